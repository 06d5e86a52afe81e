"""Times as people write them: "90s", "30m", "2h"."""

from __future__ import annotations

import re

from acnorm.errors import UserError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Return the seconds of a time such as "90s", "30m", "2h" or "1.5h".

    Raises:
        UserError: other than a number above 0 with its unit.

    Examples:
        >>> seconds_of("90s"), seconds_of("30m"), seconds_of("2h")
        (90.0, 1800.0, 7200.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UserError(f"--budget is {text!r}, must be a time above 0 such as 90s, 30m or 2h.")
    return seconds


def in_words(seconds: float) -> str:
    """Return a time as people say it.

    Examples:
        >>> in_words(48.3), in_words(90), in_words(4350), in_words(7200)
        ('48 s', '1 min 30 s', '1 h 12 min', '2 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    large, small, names = (whole // 60, whole % 60, ("min", "s"))
    if whole >= 3600:
        minutes = round(seconds / 60)
        large, small, names = (minutes // 60, minutes % 60, ("h", "min"))
    return f"{large} {names[0]}" + (f" {small} {names[1]}" if small else "")
