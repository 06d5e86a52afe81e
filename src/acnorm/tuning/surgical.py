"""Surgical fine-tuning: one stage of the encoder and the head train (Lee et al., ICLR 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import FROZEN, About, Method, Setup
from acnorm.tuning.rules import Rules, at_least_one
from acnorm.tuning.space import OneOf, Space


@dataclass(frozen=True)
class Surgical(Method):
    """Train one stage of the encoder and the head; the other stages stay, running statistics and all.

    In the paper source and target have the same classes and the head is a block like others; here the head is new and
    always trains.

    Args:
        stage: which one, counted from 1 at the image: the first suits a change in how images look.

    Examples:
        >>> from torch import nn
        >>> setup = Setup(nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3))), "2", (("0",), ("1",)))
        >>> Surgical(stage=1).frozen(setup, 0)
        frozenset({'1.weight'})
    """

    about: ClassVar[About] = About(
        "Lee et al., ICLR 2023 (arXiv 2210.11466)",
        "0.4 to 0.6 for the first stage",
        "another scanner or staining, where the first stage alone has to change",
    )
    decides: ClassVar[frozenset[str]] = FROZEN
    keeps_statistics: ClassVar[bool] = True
    space: ClassVar[Space] = {"stage": OneOf((1, 2))}

    stage: int = 1

    def problems(self) -> list[str]:
        """Counted from 1."""
        rules = Rules("surgical", self)
        at_least_one(rules, "stage")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """One that is there."""
        if self.stage > len(setup.stages):
            raise ValueError(
                f"surgical.stage is {self.stage}, must be from 1 to {len(setup.stages)}, the stages of its encoder."
            )

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:  # noqa: ARG002
        """All stages but that one."""
        return frozenset(name for name, at in setup.stage_of_parameters().items() if at != self.stage - 1)
