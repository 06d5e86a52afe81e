"""Linear probe: the head alone trains, on the features of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import FROZEN, About, Method, Setup


@dataclass(frozen=True)
class LinearProbe(Method):
    """Train the head alone; the encoder stays as it is, running statistics and all.

    The encoder is in eval, also after ``.train()``: taking its gradients away alone would let its running statistics
    drift. For label maps the head is the whole decoder, so the probe is not linear.

    Examples:
        >>> from torch import nn
        >>> sorted(LinearProbe().frozen(Setup(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), "1"), 0))
        ['0.bias', '0.weight']
    """

    about: ClassVar[About] = About(
        "Alain and Bengio, ICLR workshop 2017 (arXiv 1610.01644)",
        "about 0.2, of label maps 0.5",
        "to see what the features of the source are worth; very few images",
    )
    decides: ClassVar[frozenset[str]] = FROZEN
    head_alone: ClassVar[bool] = True
    keeps_statistics: ClassVar[bool] = True

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:  # noqa: ARG002
        """All of the encoder."""
        return frozenset(setup.encoder)
