"""Plain fine-tuning: all parameters train, BatchNorm as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from acnorm.tuning.hooks import About, Method


@dataclass(frozen=True)
class Vanilla(Method):
    """Train all parameters of the network as it is.

    Examples:
        >>> from torch import nn
        >>> network = nn.BatchNorm2d(4)
        >>> Vanilla().prepare(network, None) is network
        True
    """

    about: ClassVar[About] = About("none: the baseline of all", "1", "always, to compare with")
