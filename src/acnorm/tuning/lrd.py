"""Layer-wise rate decay: the nearer to the image, the slower a layer learns (Howard and Ruder, ACL 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import RATES, About, Method, Setup
from acnorm.tuning.rules import Rules
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class LayerwiseDecay(Method):
    """Train each stage of the encoder at the rate of the one after it times a factor; the last at the usual rate.

    A stage's rate is ``learning_rate`` · decay^(stages between it and the head). Norm layers go with their stage. The
    decays usual for transformers (Bao et al., ICLR 2022: 0.65 to 0.9) are a factor a block; ours is one a stage, of
    which a ResNet has five. Howard and Ruder divide by 2.6 from layer to layer.

    Args:
        decay: the factor, above 0 and at most 1.

    Examples:
        >>> from torch import nn
        >>> setup = Setup(nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3))), "2", (("0",), ("1",)))
        >>> LayerwiseDecay(0.5).rates(setup)
        {'0.weight': 0.5, '1.weight': 1.0}
    """

    about: ClassVar[About] = About(
        "Howard and Ruder, ACL 2018 (arXiv 1801.06146), section 3.2",
        "1",
        "early features that need little change, without freezing them",
    )
    decides: ClassVar[frozenset[str]] = RATES
    space: ClassVar[Space] = {"decay": Between(0.5, 1)}

    decay: float = 0.75

    def problems(self) -> list[str]:
        """Above 0 and at most 1."""
        rules = Rules("lrd", self)
        rules.check("decay", "above 0 and at most 1", 0 < rules.number("decay") <= 1)
        return rules.problems

    def rates(self, setup: Setup) -> dict[str, float]:
        """By stage."""
        return {name: self.decay ** (len(setup.stages) - 1 - at) for name, at in setup.stage_of_parameters().items()}
