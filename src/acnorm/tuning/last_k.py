"""Last-k: the last stages of the encoder and the head train (Yosinski et al., NeurIPS 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import FROZEN, About, Method, Setup
from acnorm.tuning.rules import Rules, at_least_one
from acnorm.tuning.space import OneOf, Space


@dataclass(frozen=True)
class LastK(Method):
    """Train the last stages of the encoder and the head; the stages before stay, running statistics and all.

    Stages are those of the network, such as layer1 to layer4 of a ResNet and its stem.

    Args:
        stages: how many train.

    Examples:
        >>> from torch import nn
        >>> setup = Setup(nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3))), "2", (("0",), ("1",)))
        >>> LastK().frozen(setup, 0)
        frozenset({'0.weight'})
    """

    about: ClassVar[About] = About(
        "Yosinski et al., NeurIPS 2014 (arXiv 1411.1792)",
        "0.6 to 0.8 for one stage",
        "few images, and early features that serve as they are",
    )
    decides: ClassVar[frozenset[str]] = FROZEN
    keeps_statistics: ClassVar[bool] = True
    space: ClassVar[Space] = {"stages": OneOf((1, 2))}

    stages: int = 1

    def problems(self) -> list[str]:
        """At least one."""
        rules = Rules("last_k", self)
        at_least_one(rules, "stages")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """Fewer than there are."""
        if self.stages >= len(setup.stages):
            raise ValueError(
                f"last_k.stages is {self.stages}, must be below {len(setup.stages)}, the stages of its encoder."
            )

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:  # noqa: ARG002
        """The stages before the last ones."""
        return frozen_below(setup, len(setup.stages) - self.stages)


def frozen_below(setup: Setup, stage: int) -> frozenset[str]:
    """Return the names of the encoder's parameters in the stages before ``stage``, counted from 0 at the image.

    Examples:
        >>> from torch import nn
        >>> setup = Setup(nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3))), "2", (("0",), ("1",)))
        >>> sorted(frozen_below(setup, 2))
        ['0.weight', '1.weight']
    """
    return frozenset(name for name, at in setup.stage_of_parameters().items() if at < stage)
