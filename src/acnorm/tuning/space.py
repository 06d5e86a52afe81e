"""Where the settings of a method are searched: ranges of numbers and lists of choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RATE_FACTOR = 10.0  # the learning rate is searched from a tenth to ten times what is given


@dataclass(frozen=True)
class Between:
    """Numbers between two, both included; on a logarithmic scale where asked.

    Examples:
        >>> print(Between(0.1, 10, log=True)), print(Between(0.25, 0.75))
        0.1 to 10 (log)
        0.25 to 0.75
        (None, None)
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        """As ``acnorm methods`` shows it."""
        return f"{self.low:g} to {self.high:g}{' (log)' * self.log}"

    def holding(self, value: float) -> Between:
        """Return the range, made wider where a value lies outside of it.

        Examples:
            >>> Between(0.1, 10).holding(20.0).high
            20.0
        """
        if self.log and value <= 0:  # 0 is on no logarithmic scale: the search starts at the low end
            return self
        return Between(min(self.low, value), max(self.high, value), self.log)

    def rounded(self, value: float) -> float:
        """Return a value of the range with three digits, as people write it.

        Examples:
            >>> Between(0.1, 10).rounded(0.123456)
            0.123
        """
        return min(max(float(f"{value:.3g}"), self.low), self.high)


@dataclass(frozen=True)
class OneOf:
    """One of some values.

    Examples:
        >>> print(OneOf(("paper", "identity")))
        paper or identity
    """

    values: tuple[Any, ...]

    def __str__(self) -> str:
        """As ``acnorm methods`` shows it."""
        return " or ".join(map(str, self.values))

    def holding(self, value: Any) -> OneOf:
        """Return the values, with one more where it is not among them.

        Examples:
            >>> OneOf((1, 2)).holding(3).values
            (1, 2, 3)
        """
        return self if value in self.values else OneOf((*self.values, value))

    def rounded(self, value: Any) -> Any:
        """Return the value."""
        return value


Range = Between | OneOf
Space = Mapping[str, Range]


def around(rate: float) -> Between:
    """Return where a learning rate is searched.

    Examples:
        >>> print(around(0.03))
        0.003 to 0.3 (log)
    """
    return Between(rate / RATE_FACTOR, rate * RATE_FACTOR, log=True)
