"""LP-FT: first the head alone, then everything (Kumar et al., ICLR 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import FROZEN, About, Method, Setup
from acnorm.tuning.rules import Rules, share
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class LPFT(Method):
    """Train the head alone on the features of the source, then everything from there.

    In the first part of the run the encoder is frozen and in eval, so that the head learns on features as the source
    gives them. A head that fits no longer distorts the features in its first steps (section 3). The authors fit the
    head to convergence and choose the rate of each part on validation data; here both parts share the epochs of the run
    and its one cosine, so that the run costs no more than any other.

    Args:
        share: of the epochs in which the head trains alone, at least one.

    Examples:
        >>> from torch import nn
        >>> setup = Setup(nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1)), "1", epochs=8)
        >>> [len(LPFT().frozen(setup, epoch)) for epoch in range(4)]
        [1, 1, 0, 0]
    """

    about: ClassVar[About] = About(
        "Kumar et al., ICLR 2022 (arXiv 2202.10054)",
        "0.2 to 0.5 in the first part, then 1",
        "target images unlike the source's, or tests on images unlike those trained on",
    )
    decides: ClassVar[frozenset[str]] = FROZEN
    one_process: ClassVar[bool] = True
    space: ClassVar[Space] = {"share": Between(0.1, 0.5)}

    share: float = 0.25

    def problems(self) -> list[str]:
        """A share."""
        rules = Rules("lp_ft", self)
        share(rules, "share")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """Two parts need two epochs."""
        if setup.epochs < 2:
            raise ValueError("the head alone and then everything take 2 epochs at least; give more --epochs.")

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:
        """The encoder, in the first part."""
        head_epochs = min(max(1, round(self.share * setup.epochs)), setup.epochs - 1)
        return frozenset(setup.encoder) if epoch < head_epochs else frozenset()
