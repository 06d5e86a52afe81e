"""AC-Norm (Zhang et al., arXiv 2307.15282) as a fine-tuning method: convert, train, fold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acnorm.core.convert import convert
from acnorm.core.correlation import EPS, TEMPERATURE
from acnorm.core.fold import fold
from acnorm.core.layer import NORMS as NORM_KINDS
from acnorm.core.layer import Init
from acnorm.core.partners import ALLOWED, PAPER, is_known
from acnorm.tuning.hooks import NORMS, About, Method
from acnorm.tuning.rules import Rules, positive
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class ACNormTuning(Method):
    """Let each BatchNorm channel borrow from the source channels whose affine resembles it.

    Args:
        temperature: of the softmax in the channel correlation.
        eps: of the affine ratio.
        init: "paper" (as published: outputs change at the start) or "identity" (starts as the plain network).
        partners: from which channels to borrow: "paper" (those at least as near as the own), or a control for
            ablations: "dense" (all), "top-K" (the K nearest), "own" (scaling alone), "others" (borrowing alone) or
            "permuted" (the paper's weights on channels drawn at random).
        norms: kind of norm layers to convert: "batch" as in the paper, "instance", "group" or "any" of the three.
        include: name pattern of the norm layers to convert.
        exclude: name pattern of norm layers to leave alone; none by default.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> _ = nn.init.normal_(network[1].bias)
        >>> type(ACNormTuning().prepare(network, None)[1]).__name__
        'ACNorm'
    """

    about: ClassVar[About] = About(
        "Zhang et al., arXiv 2307.15282; Pattern Recognition 2024",
        "1.05 to 1.1 while training, nothing once folded",
        "a pretrained network with BatchNorm, few labelled images, another domain",
    )
    decides: ClassVar[frozenset[str]] = NORMS
    space: ClassVar[Space] = {"temperature": Between(0.1, 10, log=True)}

    temperature: float = TEMPERATURE
    eps: float = EPS
    init: Init = "paper"
    partners: str = PAPER
    norms: str = "batch"
    include: str = "*"
    exclude: str = ""

    def problems(self) -> list[str]:
        """Temperature and eps above 0, and a start that is known."""
        rules = Rules("acnorm", self)
        positive(rules, "temperature", "eps")
        rules.check("init", "'paper' or 'identity'", self.init in ("paper", "identity"))
        rules.check("norms", "'batch', 'instance', 'group' or 'any'", self.norms in (*NORM_KINDS, "any"))
        rules.check("partners", ALLOWED, is_known(self.partners))
        return rules.problems

    def prepare(self, network: nn.Module, trained_norms: Collection[str] | None) -> nn.Module:
        """Convert the norm layers whose affine came from the checkpoint."""
        exclude = (self.exclude,) if self.exclude else ()
        return convert(
            network,
            trained_norms,
            include=self.include,
            exclude=exclude,
            norms=self.norms,
            temperature=self.temperature,
            eps=self.eps,
            init=self.init,
            partners=self.partners,
        )

    def rebuild(self, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """Rebuild the wrappers that the state holds, and load it."""
        return convert(network, state=state)

    def finish(self, network: nn.Module, example: Tensor) -> nn.Module:
        """Fold; a fold that moves the output is an error."""
        return fold(network, example)
