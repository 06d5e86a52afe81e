"""L2-SP (Xuhong et al., ICML 2018): weights are drawn towards those of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from acnorm.tuning.hooks import WEIGHTS, About, Batch, Method, Penalty, Setup
from acnorm.tuning.rules import Rules, not_negative
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class L2SP(Method):
    """Draw the weights that came from the checkpoint towards what they were there, and new ones towards 0.

    The loss gains α/2 ‖w − w⁰‖² over the weights from the checkpoint, γ and β of norm layers among them, and β/2 ‖w‖²
    over all others (equation 3). No other weight decay acts on them: ``weight_decay`` counts as 0. In a network with
    AC-Norm w is the target affine and w⁰ the source's.

    Where code in circulation goes by other ways: the square root of the sum of squares, squared again, has no
    gradient at w = w⁰, where training starts; we take the sum of squares.

    Args:
        alpha: strength for the weights from the checkpoint.
        beta: strength for the others.

    Examples:
        >>> network = nn.Linear(2, 1)
        >>> _ = network.bias.data.zero_()
        >>> penalty = L2SP(alpha=0.5).penalty(Setup(network, "", loaded=frozenset({"weight", "bias"})))
        >>> penalty(network, {}).item()
        0.0
        >>> _ = network.bias.data.add_(2)
        >>> penalty(network, {}).item()
        1.0
    """

    about: ClassVar[About] = About(
        "Xuhong et al., ICML 2018 (arXiv 1802.01483), equation 3",
        "1.1 to 1.5, the more the smaller the batches",
        "source and target are alike, and few labelled images overfit",
    )
    decides: ClassVar[frozenset[str]] = WEIGHTS
    needs_weights: ClassVar[bool] = True
    space: ClassVar[Space] = {"alpha": Between(1e-5, 0.1, log=True), "beta": Between(1e-5, 0.1, log=True)}

    alpha: float = 0.01
    beta: float = 0.01

    def problems(self) -> list[str]:
        """Strengths from 0."""
        rules = Rules("l2sp", self)
        not_negative(rules, "alpha", "beta")
        return rules.problems

    def decays(self, setup: Setup) -> dict[str, float]:
        """None beside the penalty."""
        return dict.fromkeys(setup.parameters, 0.0)

    def penalty(self, setup: Setup) -> Penalty:
        """The distance to the source."""
        return StartingPoint(setup, self.alpha, self.beta)


class StartingPoint(Penalty):
    """α/2 ‖w − w⁰‖² over the weights that came from the checkpoint, and β/2 ‖w‖² over the others.

    Args:
        setup: of the run; w⁰ are the values of its network now.
        alpha: strength of the first.
        beta: strength of the second.

    Examples:
        >>> network = nn.Linear(2, 1, bias=False)
        >>> _ = network.weight.data.fill_(1.0)
        >>> StartingPoint(Setup(network, ""), 1.0, 3.0)(network, {}).item()
        3.0
    """

    def __init__(self, setup: Setup, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.drawn = [name for name in setup.parameters if name in setup.loaded]
        self.fresh = [name for name in setup.parameters if name not in setup.loaded]
        for at, name in enumerate(self.drawn):
            self.register_buffer(f"source_{at}", setup.parameters[name].detach().clone(), persistent=False)

    def forward(self, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:  # noqa: ARG002
        """Both terms."""
        own = dict(network.named_parameters())
        sources = [self.get_buffer(f"source_{at}") for at in range(len(self.drawn))]
        near = [SquaredDistance.of(own[name], source) for name, source in zip(self.drawn, sources, strict=True)]
        small = [SquaredDistance.of(own[name], None) for name in self.fresh]
        return self.alpha / 2 * _sum(near) + self.beta / 2 * _sum(small)


class SquaredDistance(torch.autograd.Function):
    """‖w − w⁰‖², or ‖w‖², whose gradient is computed anew: nothing of the weights' size is kept until then.

    Examples:
        >>> SquaredDistance.of(torch.tensor([3.0, 4.0]), None)
        tensor(25.)
    """

    @staticmethod
    def of(weight: Tensor, source: Tensor | None) -> Float[Tensor, ""]:
        """The squared distance, in single precision at least."""
        value: Tensor = SquaredDistance.apply(weight, source)  # type: ignore[no-untyped-call]
        return value

    @staticmethod
    def forward(ctx: Any, weight: Tensor, source: Tensor | None) -> Tensor:
        """The sum of squares."""
        ctx.save_for_backward(weight, source)
        return _apart(weight, source).square().sum()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Twice the difference."""
        weight, source = ctx.saved_tensors
        return (2 * slope * _apart(weight, source)).to(weight.dtype), None


def _apart(weight: Tensor, source: Tensor | None) -> Tensor:
    apart = weight if source is None else weight - source
    return apart.to(torch.promote_types(apart.dtype, torch.float32))


def _sum(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum() if values else torch.zeros(())
