"""LwF, learning without forgetting (Li and Hoiem, ECCV 2016): the source's answers on target images are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from acnorm.tuning.features import head_inputs, pooled
from acnorm.tuning.hooks import SOURCE_HEAD, About, Batch, Method, Penalty, Setup
from acnorm.tuning.rules import Rules, not_negative, positive
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class LwF(Method):
    """Keep the answers that the source's own head gives on the target images.

    The loss gains λ KL(q ‖ p), the mean over the batch: q the softmax of the frozen source network's logits divided by
    the temperature, p that of the source's head on the features as they are now (equation 2, less the entropy of q,
    which has no gradient). The source's head goes on learning, at the encoder's rate, and is left behind at the end.
    The authors record q once for each image; here it is computed for each augmented image, in eval.

    Args:
        strength: λ.
        temperature: by which logits are divided.

    Examples:
        >>> LwF().problems()
        []
    """

    about: ClassVar[About] = About(
        "Li and Hoiem, ECCV 2016 (arXiv 1606.09282), equation 2",
        "about 1.2",
        "classes of the source that mean something for the target; needs the source's own head",
    )
    decides: ClassVar[frozenset[str]] = SOURCE_HEAD
    needs_weights: ClassVar[bool] = True
    needs_source: ClassVar[bool] = True
    needs_source_head: ClassVar[bool] = True
    space: ClassVar[Space] = {"strength": Between(0.1, 10, log=True), "temperature": Between(1, 4)}

    strength: float = 1.0
    temperature: float = 2.0

    def problems(self) -> list[str]:
        """A strength from 0, a temperature above 0."""
        rules = Rules("lwf", self)
        not_negative(rules, "strength")
        positive(rules, "temperature")
        return rules.problems

    def penalty(self, setup: Setup) -> Penalty:
        """The distillation."""
        return Distillation(setup, self)


class WithSourceHead(Penalty):
    """A penalty with the source's own head, which learns on the features that go into the new one.

    Args:
        setup: of the run; its source head is copied.

    Examples:
        >>> network, head = nn.Sequential(nn.Identity(), nn.Linear(2, 1)), nn.Linear(2, 5)
        >>> penalty = WithSourceHead(Setup(network, "1", source_head=head))
        >>> with penalty.watching(network):
        ...     _ = network(torch.zeros(3, 2))
        >>> penalty.logits().shape
        torch.Size([3, 5])
    """

    new: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.name = setup.head
        self.head = deepcopy(cast(nn.Linear, setup.source_head))
        self._features: list[Tensor] = []

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Keep the features."""
        with head_inputs(network, self.name) as found:
            yield
        self._features = found

    def logits(self) -> Float[Tensor, "batch class"]:
        """Of the source's head, on the features that were kept."""
        (features,), self._features = self._features, []
        logits: Tensor = self.head(pooled(features).to(self.head.weight.dtype))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


def source_logits(source: nn.Module, setup: Setup, images: Tensor) -> Float[Tensor, "batch class"]:
    """Return what the frozen source network answers with its own head.

    Args:
        source: the source network in eval, on the device of the images.
        setup: of the run.
        images: a batch.

    Examples:
        >>> network, head = nn.Sequential(nn.Identity(), nn.Linear(2, 1)), nn.Linear(2, 5)
        >>> source_logits(network, Setup(network, "1", source_head=head), torch.zeros(3, 2)).shape
        torch.Size([3, 5])
    """
    head = cast(nn.Linear, setup.source_head).to(device=images.device, dtype=next(source.parameters()).dtype)
    with torch.no_grad(), head_inputs(source, setup.head) as found:
        source(images)
        logits: Tensor = head(pooled(found[0]).to(head.weight.dtype))
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class Distillation(WithSourceHead):
    """λ KL(q ‖ p) between the source's answers and those of its head now.

    Args:
        setup: of the run.
        method: its settings.

    Examples:
        >>> Distillation.__name__
        'Distillation'
    """

    def __init__(self, setup: Setup, method: LwF) -> None:
        super().__init__(setup)
        self._setup, self._method = setup, method
        self._source = (cast(nn.Module, setup.source),)

    def forward(self, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The mean over the batch."""
        images = batch["image"]
        source = self._source[0].to(device=images.device, dtype=next(network.parameters()).dtype)
        wanted = source_logits(source, self._setup, images) / self._method.temperature
        given = self.logits() / self._method.temperature
        divergence = functional.kl_div(
            given.log_softmax(dim=1), wanted.log_softmax(dim=1), reduction="batchmean", log_target=True
        )
        return self._method.strength * divergence
