"""BN-only: the affine of norm layers and the head train (Frankle et al., ICLR 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from acnorm.tuning.hooks import FROZEN, About, Method, Setup
from acnorm.tuning.rules import Rules, positive
from acnorm.tuning.space import Between, Space

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class BNOnly(Method):
    """Train γ and β of the norm layers, and the head; all other weights stay.

    Running statistics move with the batches, as in plain fine-tuning; ``norm_statistics`` can freeze them. Frankle et
    al. train the affine of networks with random weights; here the weights are those of the source.

    Args:
        rate: learning rate of the affine as a multiple of that of plain fine-tuning; so few parameters need more.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 1))
        >>> sorted(BNOnly().frozen(Setup(network, "2"), 0))
        ['0.bias', '0.weight']
    """

    about: ClassVar[About] = About(
        "Frankle et al., ICLR 2021 (arXiv 2003.00152)",
        "0.4 to 0.6",
        "very few images, or many tuned networks to store: little differs between them",
    )
    decides: ClassVar[frozenset[str]] = FROZEN
    space: ClassVar[Space] = {"rate": Between(1, 30, log=True)}

    rate: float = 10.0

    def problems(self) -> list[str]:
        """A rate above 0."""
        rules = Rules("bn_only", self)
        positive(rules, "rate")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """There must be an affine to train."""
        if not _affine(setup):
            raise ValueError(f"no norm layer with weight and bias outside the head of {type(setup.network).__name__}.")

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:  # noqa: ARG002
        """All of the encoder but the affine."""
        return frozenset(setup.encoder) - _affine(setup)

    def rates(self, setup: Setup) -> dict[str, float]:
        """That of the affine."""
        return dict.fromkeys(_affine(setup), self.rate)


def _affine(setup: Setup) -> frozenset[str]:
    layers = {name: layer for name, layer in setup.network.named_modules() if isinstance(layer, NORMS)}
    found = {f"{name}.{kind}" for name, layer in layers.items() for kind, _ in layer.named_parameters(recurse=False)}
    return frozenset(found.intersection(setup.encoder))
