"""BSS, batch spectral shrinkage (Chen et al., NeurIPS 2019): the smallest singular values of features shrink."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from acnorm.tuning.features import head_inputs, pooled
from acnorm.tuning.hooks import About, Batch, Method, Penalty, Setup
from acnorm.tuning.rules import Rules, at_least_one, not_negative
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class BSS(Method):
    """Shrink the smallest singular values of the features of a batch, which transfer worst.

    The loss gains η Σ_{i ≤ k} σ²_{−i}, σ_{−i} being the i-th smallest singular value of the features [batch, channel]
    that go into the head (equation 5), pooled over space. Of label maps these are the features of the encoder's last
    stage. The spectrum is computed in single precision or better, outside of autocast.

    The authors' code differentiates through the vectors of the decomposition, whose gradient is not finite where
    singular values are equal or 0; that of the values alone always is. The largest singular value is never shrunk, so
    a batch of one case has no penalty; a batch must be larger than k.

    Args:
        eta: strength.
        k: how many singular values.

    Examples:
        >>> BSS().problems()
        []
    """

    about: ClassVar[About] = About(
        "Chen et al., NeurIPS 2019 (Catastrophic forgetting meets negative transfer)",
        "about 1",
        "few labelled images and a source that is partly wrong for them; batches of 8 and more",
    )
    space: ClassVar[Space] = {"eta": Between(1e-5, 0.1, log=True)}

    eta: float = 1e-3
    k: int = 1

    def problems(self) -> list[str]:
        """A strength from 0, at least one singular value."""
        rules = Rules("bss", self)
        not_negative(rules, "eta")
        at_least_one(rules, "k")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """Enough cases a batch."""
        if setup.batch_size <= self.k:
            raise ValueError(
                f"bss.k is {self.k}, must be below --batch-size {setup.batch_size}: more would shrink all features."
            )

    def penalty(self, setup: Setup) -> Penalty:
        """The shrinkage."""
        return Shrinkage(setup.head, self.eta, self.k)


class Shrinkage(Penalty):
    """η times the sum of squares of the k smallest singular values of what goes into the head.

    Args:
        head: its name.
        eta: strength.
        k: how many.

    Examples:
        >>> network, penalty = nn.Sequential(nn.Identity(), nn.Linear(2, 1)), Shrinkage("1", 1.0, 1)
        >>> with penalty.watching(network):
        ...     _ = network(torch.tensor([[3.0, 0.0], [0.0, 2.0]]))
        >>> penalty(network, {})
        tensor(4.)
    """

    def __init__(self, head: str, eta: float, k: int) -> None:
        super().__init__()
        self.head, self.eta, self.k = head, eta, k
        self._features: list[Tensor] = []

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Keep the features."""
        with head_inputs(network, self.head) as found:
            yield
        self._features = found

    def forward(self, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:  # noqa: ARG002
        """Of the features that were kept."""
        (features,), self._features = self._features, []
        with torch.autocast(features.device.type, enabled=False):
            return self.eta * smallest_squares(pooled(features), self.k)


def smallest_squares(features: Float[Tensor, "batch channel"], k: int) -> Float[Tensor, ""]:
    """Return the sum of squares of the k smallest singular values, the largest always left out.

    Examples:
        >>> smallest_squares(torch.diag(torch.tensor([1.0, 2.0, 3.0])), 2)
        tensor(5.)
    """
    count = min(k, min(features.shape) - 1)
    values: Tensor = torch.linalg.svdvals(features)
    return values[len(values) - count :].square().sum()
