"""What of a network learns, and how fast: the optimiser's parameter groups, and what is frozen in an epoch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn

from acnorm.tuning.hooks import Method, Penalty, Setup, inside


def parameter_groups(
    method: Method, setup: Setup, *, rate: float, head_rate: float, decay: float
) -> list[dict[str, Any]]:
    """Return the optimiser's groups: those of the encoder, the fastest first, then those of the head.

    Parameters that never learn are left out. Where the method gives each parameter of the encoder a rate of
    its own, each is a group, with its ``name``.

    Args:
        method: of the run.
        setup: of the run.
        rate: learning rate of the encoder.
        head_rate: of the head, as a multiple.
        decay: weight decay of all that the method gives none of its own.

    Examples:
        >>> from acnorm.tuning.vanilla import Vanilla
        >>> setup = Setup(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), "1")
        >>> groups = parameter_groups(Vanilla(), setup, rate=0.1, head_rate=10, decay=0.0)
        >>> [(len(group["params"]), group["lr"]) for group in groups]
        [(2, 0.1), (2, 1.0)]
    """
    rates, decays = method.rates(setup), method.decays(setup)
    epochs = range(setup.epochs) if method.one_process else range(1)
    never = frozenset.intersection(*(method.frozen(setup, epoch) for epoch in epochs))
    groups: dict[tuple[Any, ...], list[str]] = {}
    parameters = setup.parameters
    for name in parameters:
        if name not in never:
            at_head, multiple = inside(name, (setup.head,)), rates.get(name, 1.0)
            own = name if method.own_rates and not at_head else ""
            groups.setdefault((at_head, -multiple, decays.get(name, decay), own), []).append(name)
    made = []
    for (at_head, slowness, own_decay, own), names in sorted(groups.items(), key=lambda item: item[0][:2]):
        whole = rate * -slowness * (head_rate if at_head else 1)
        group = {"params": [parameters[name] for name in names], "lr": whole, "weight_decay": own_decay}
        made.append(group | ({"name": own} if own else {}))
    return made


def penalty_groups(
    method: Method, setup: Setup, terms: Sequence[Penalty], *, rate: float, head_rate: float, decay: float
) -> list[dict[str, Any]]:
    """Return the optimiser's groups of what penalties learn, as the head or as the encoder in rate and weight decay.

    A method that gives the encoder a weight decay of its own (none, beside L2-SP) gives it to these too.

    Args:
        method: of the run.
        setup: of the run.
        terms: penalties.
        rate: learning rate of the encoder.
        head_rate: of the head, as a multiple.
        decay: weight decay of all that the method gives none of its own.

    Examples:
        >>> from acnorm.tuning.l2sp import L2SP
        >>> class Own(Penalty):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(nn.Linear(1, 1).weight.detach())
        >>> setup = Setup(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), "1")
        >>> (group,) = penalty_groups(L2SP(), setup, [Own()], rate=0.1, head_rate=10, decay=0.5)
        >>> group["lr"], group["weight_decay"]
        (1.0, 0.0)
    """
    decays = method.decays(setup)
    groups = []
    for term in terms:
        like = [name for name in setup.parameters if inside(name, (setup.head,)) == term.new]
        own = decays.get(like[0], decay) if like else decay
        if term.learning():
            whole = rate * (head_rate if term.new else 1)
            groups.append({"params": term.learning(), "lr": whole, "weight_decay": own})
    return groups


def freeze_terms(terms: Sequence[Penalty], setup: Setup, frozen: Collection[str]) -> None:
    """Let what penalties learn as the encoder does rest while the whole encoder is frozen.

    Examples:
        >>> freeze_terms([], Setup(nn.Linear(1, 1), ""), ())
    """
    resting = bool(setup.encoder) and set(setup.encoder) <= set(frozen)
    for term in terms:
        for parameter in term.learning() if not term.new else ():
            parameter.requires_grad_(not resting)


def freeze(network: nn.Module, frozen: Collection[str], stages: Collection[Collection[str]] = ()) -> None:
    """Let all parameters but some learn, and put what learns nothing into eval.

    A module is put into eval, with all in it, where it has parameters and all are frozen, or where it belongs to a
    stage of which all are: its norm layers keep their running statistics, its dropout rests.

    Args:
        network: of which everything else is left as it is.
        frozen: names of the parameters.
        stages: names of the modules of each stage.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False), nn.Linear(2, 1))
        >>> freeze(network, {"0.weight", "0.bias"}, [("0", "1")])
        >>> [part.training for part in network]
        [False, False, True]
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
    resting = set(resting_modules(network, stages))
    for name, module in network.named_modules():
        if name in resting:
            module.eval()


def resting_modules(network: nn.Module, stages: Collection[Collection[str]] = ()) -> list[str]:
    """Return the names of the modules in which nothing learns, the outermost only."""
    found: list[str] = []
    still = [name for stage in stages if _rests(network, stage) for name in stage]
    for name, module in network.named_modules():
        owned = list(module.parameters())
        rests = inside(name, still) if not owned else not any(parameter.requires_grad for parameter in owned)
        if rests and not inside(name, found):
            found.append(name)
    return found


def _rests(network: nn.Module, stage: Collection[str]) -> bool:
    owned = [parameter for name in stage for parameter in network.get_submodule(name).parameters()]
    return bool(owned) and not any(parameter.requires_grad for parameter in owned)
