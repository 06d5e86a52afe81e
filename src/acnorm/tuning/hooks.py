"""What a fine-tuning method may do, hook by hook, and what it is told when training starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acnorm.tuning.space import Space

Batch = dict[str, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class About:
    """What ``acnorm methods`` says of a method, beside the first sentence of its docstring.

    paper: where it was published. cost: of a training step, in the place of that of plain fine-tuning. when: to use it.
    """

    paper: str
    cost: str
    when: str


def _no_batches(_: int) -> Iterator[Batch]:
    return iter(())


def _none_plain() -> Iterator[Batch]:
    return iter(())


def _no_loss(_: nn.Module, __: Batch) -> Tensor:
    raise NotImplementedError("this setup has no loss.")


@dataclass(frozen=True)
class Setup:
    """What a method is told when training starts.

    network: with its source weights, as ``prepare`` left it.
    head: name of the module that is new by design.
    stages: names of the encoder's innermost modules, stage by stage from the image to the features. taps: the module
        of each stage whose output is the stage's.
    loaded: names of the parameters of ``network`` that came from the checkpoint.
    source: the plain source network in eval, which never changes; there only for methods that ask for it.
    epochs: of the run. batch_size: cases a step.
    loss: of a batch, without penalties.
    source_head: the head that the source was trained with; there only for methods that ask for it.
    batches: the training batches of an epoch, as many as are taken, the same whenever it is asked. plain_batches: all
        training cases once, as they are in eval.
    seed: of new weights.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 3))
        >>> Setup(network, "2", (("0",),)).encoder
        ('0.weight', '0.bias')
    """

    network: nn.Module
    head: str
    stages: tuple[tuple[str, ...], ...] = ()
    taps: tuple[str, ...] = ()
    loaded: frozenset[str] = frozenset()
    source: nn.Module | None = None
    source_head: nn.Linear | None = None
    epochs: int = 1
    batch_size: int = 1
    loss: Loss = _no_loss
    batches: Callable[[int], Iterator[Batch]] = _no_batches
    plain_batches: Callable[[], Iterator[Batch]] = _none_plain
    seed: int = 0

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """All parameters by name, each once."""
        return dict(self.network.named_parameters())

    @property
    def encoder(self) -> tuple[str, ...]:
        """Names of the parameters outside the head."""
        return tuple(name for name in self.parameters if not inside(name, (self.head,)))

    def stage_of_parameters(self) -> dict[str, int]:
        """The stage of each parameter outside the head, from 0 at the image, where also those of no stage are."""
        at = {module: stage for stage, modules in enumerate(self.stages) for module in modules}
        parts = {name: name.split(".") for name in self.encoder}
        outer = {name: [".".join(part[:end]) for end in range(1, len(part))] for name, part in parts.items()}
        return {name: next((at[module] for module in modules if module in at), 0) for name, modules in outer.items()}


FROZEN = frozenset({"what is frozen"})
NORMS = frozenset({"how norm layers normalise"})
SOURCE_HEAD = frozenset({"what the source's head learns"})
RATES = frozenset({"the learning rates of layers"})
WEIGHTS = frozenset({"where weights are drawn to"})


def inside(name: str, modules: Collection[str]) -> bool:
    """Whether a parameter or module is one of ``modules`` or inside one of them.

    Examples:
        >>> inside("layer1.0.weight", ["layer1"]), inside("layer10.weight", ["layer1"])
        (True, False)
    """
    return any(name == module or name.startswith(f"{module}.") for module in modules)


class Penalty(nn.Module):
    """A term that a method adds to the loss of a batch.

    What it compares with can be taken again from the source weights and stays out of the saved state; what it learns
    are its own parameters, which are saved.

    new: whether what it learns trains at the head's rate, or at the encoder's, and then not while the whole encoder is
    frozen.
    """

    new: ClassVar[bool] = True

    def learning(self) -> list[nn.Parameter]:
        """What it learns."""
        return list(self.parameters())

    def watching(self, network: nn.Module) -> AbstractContextManager[object]:  # noqa: ARG002
        """A block in which the network's forward of a batch runs, to keep what the term needs of it."""
        return nullcontext()

    def forward(self, network: nn.Module, batch: Batch) -> Tensor:
        """The term, of shape [], after the network's forward."""
        raise NotImplementedError


@dataclass(frozen=True)
class Method:
    """A way to fine-tune: a frozen dataclass whose fields are what a user can set; no hook need be given.

    decides: what it decides alone; two methods that decide the same do not combine.
    head_alone: only the head trains. acts_on_head: it does something even so.
    needs_weights: there must be a checkpoint. needs_source: it compares with the frozen source network.
    needs_source_head: the checkpoint must hold the classification head that it was trained with.
    keeps_statistics: parts are frozen to the end with their running statistics, which may not be taken anew.
    moves_statistics: it needs the norm layers to see the statistics of batches.
    one_process: what is frozen, or the rates, change from epoch to epoch.
    own_rates: each parameter has a rate of its own, which ``epoch_rates`` gives.
    space: where its settings are searched, beside the learning rate, which is searched for every method.

    Examples:
        >>> Method().frozen(Setup(nn.Linear(2, 2), ""), 0)
        frozenset()
    """

    about: ClassVar[About] = About("", "", "")
    decides: ClassVar[frozenset[str]] = frozenset()
    head_alone: ClassVar[bool] = False
    acts_on_head: ClassVar[bool] = False
    needs_weights: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    needs_source_head: ClassVar[bool] = False
    keeps_statistics: ClassVar[bool] = False
    moves_statistics: ClassVar[bool] = False
    one_process: ClassVar[bool] = False
    own_rates: ClassVar[bool] = False
    space: ClassVar[Space] = {}

    def problems(self) -> list[str]:
        """What is wrong with the settings, each as "name is value, must be …"."""
        return []

    def check(self, setup: Setup) -> None:
        """Refuse (``ValueError``) a run that makes no sense with this method."""

    def prepare(self, network: nn.Module, trained_norms: Collection[str] | None) -> nn.Module:  # noqa: ARG002
        """Change a network whose source weights are in; ``trained_norms`` is None without a checkpoint."""
        return network

    def rebuild(self, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """Bring a new network to the saved state of one that ``prepare`` changed."""
        network.load_state_dict(state)
        return network

    def finish(self, network: nn.Module, example: Tensor) -> nn.Module:  # noqa: ARG002
        """Return the plain network with the same outputs."""
        return network

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:  # noqa: ARG002
        """Names of the parameters that do not learn in this epoch; modules that learn nothing are kept in eval."""
        return frozenset()

    def rates(self, setup: Setup) -> dict[str, float]:  # noqa: ARG002
        """Learning rates of parameters as multiples of what they would be."""
        return {}

    def epoch_rates(self, setup: Setup, epoch: int) -> dict[str, float]:  # noqa: ARG002
        """Further multiples, for one epoch."""
        return {}

    def decays(self, setup: Setup) -> dict[str, float]:  # noqa: ARG002
        """Weight decays of parameters that have one of their own."""
        return {}

    def penalty(self, setup: Setup) -> Penalty | None:  # noqa: ARG002
        """What is added to the loss."""
        return None
