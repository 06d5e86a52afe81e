"""L2: weights are drawn towards 0, the baseline of L2-SP (Xuhong et al., ICML 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import WEIGHTS, About, Method, Setup
from acnorm.tuning.rules import Rules, not_negative
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class L2(Method):
    """Draw all weights towards 0, those of the encoder and those of the head each as strongly as asked.

    The loss gains α/2 ‖w‖² over the encoder and β/2 ‖w‖² over the head. The gradient of these is what an optimiser's
    weight decay adds, so they are given to it as weight decay, in the place of ``weight_decay``; under SGD the steps
    are the same. The defaults are those of L2-SP, from which this differs in the reference alone.

    Args:
        alpha: strength for the encoder.
        beta: strength for the head.

    Examples:
        >>> from torch import nn
        >>> L2(alpha=0.1).decays(Setup(nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)), "1"))
        {'0.weight': 0.1, '1.weight': 0.01}
    """

    about: ClassVar[About] = About(
        "Xuhong et al., ICML 2018 (arXiv 1802.01483), equation 1",
        "1",
        "the baseline of L2-SP",
    )
    decides: ClassVar[frozenset[str]] = WEIGHTS
    acts_on_head: ClassVar[bool] = True
    space: ClassVar[Space] = {"alpha": Between(1e-5, 0.1, log=True), "beta": Between(1e-5, 0.1, log=True)}

    alpha: float = 0.01
    beta: float = 0.01

    def problems(self) -> list[str]:
        """Strengths from 0."""
        rules = Rules("l2", self)
        not_negative(rules, "alpha", "beta")
        return rules.problems

    def decays(self, setup: Setup) -> dict[str, float]:
        """The strengths."""
        encoder = set(setup.encoder)
        return {name: self.alpha if name in encoder else self.beta for name in setup.parameters}
