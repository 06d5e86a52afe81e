"""Gradual unfreezing: the head alone first, then stage by stage from the top (Howard and Ruder, ACL 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import FROZEN, About, Method, Setup
from acnorm.tuning.last_k import frozen_below
from acnorm.tuning.rules import Rules, at_least_one


@dataclass(frozen=True)
class Gradual(Method):
    """Train the head alone first, then one more stage of the encoder every few epochs, the last stage first.

    Stages that do not train yet keep their running statistics. There is one cosine over the whole run, as with every
    method, so that the stem learns at the low rates of the end.

    Args:
        every: epochs between two stages.

    Examples:
        >>> from torch import nn
        >>> setup = Setup(nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3))), "2", (("0",), ("1",)))
        >>> [len(Gradual().frozen(setup, epoch)) for epoch in range(4)]
        [2, 1, 0, 0]
    """

    about: ClassVar[About] = About(
        "Howard and Ruder, ACL 2018 (arXiv 1801.06146), section 3.3",
        "0.2 to 0.5 at first, rising to 1",
        "a new head whose first gradients would spoil the features",
    )
    decides: ClassVar[frozenset[str]] = FROZEN
    one_process: ClassVar[bool] = True

    every: int = 1

    def problems(self) -> list[str]:
        """At least one epoch."""
        rules = Rules("gradual", self)
        at_least_one(rules, "every")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """Every stage must come to train."""
        needed = self.every * len(setup.stages) + 1
        if setup.epochs < needed:
            raise ValueError(
                f"a stage every {self.every} epochs frees the {len(setup.stages)} stages of its encoder only in epoch "
                f"{needed}; there are {setup.epochs}. Give more --epochs or a lower --gradual.every."
            )

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:
        """The stages whose turn has not come."""
        return frozen_below(setup, len(setup.stages) - epoch // self.every)
