"""What the settings of a method must be, told as "method.name is value, must be …"."""

from __future__ import annotations

from math import isfinite


class Rules:
    """Collect what is wrong with the settings of a method.

    Args:
        method: its settings' name in the configuration.
        settings: the method.

    Examples:
        >>> from types import SimpleNamespace
        >>> rules = Rules("bss", SimpleNamespace(eta=-1.0, k=0))
        >>> not_negative(rules, "eta")
        >>> at_least_one(rules, "k")
        >>> rules.problems
        ['bss.eta is -1.0, must be 0 or more and finite', 'bss.k is 0, must be 1 or more']
    """

    def __init__(self, method: str, settings: object) -> None:
        self.method = method
        self.settings = settings
        self.problems: list[str] = []

    def check(self, name: str, allowed: str, right: bool) -> None:
        """Note a setting that is not right."""
        if not right:
            value = getattr(self.settings, name)
            shown = repr(value) if isinstance(value, str) else value
            self.problems.append(f"{self.method}.{name} is {shown}, must be {allowed}")

    def number(self, name: str) -> float:
        """The value of a setting, NaN where it is no number."""
        value = getattr(self.settings, name)
        return float(value) if isinstance(value, int | float) else float("nan")


def positive(rules: Rules, *names: str) -> None:
    """Require numbers above 0.

    Examples:
        >>> positive.__name__
        'positive'
    """
    for name in names:
        rules.check(name, "above 0 and finite", rules.number(name) > 0 and isfinite(rules.number(name)))


def not_negative(rules: Rules, *names: str) -> None:
    """Require numbers from 0.

    Examples:
        >>> not_negative.__name__
        'not_negative'
    """
    for name in names:
        rules.check(name, "0 or more and finite", rules.number(name) >= 0 and isfinite(rules.number(name)))


def at_least_one(rules: Rules, *names: str) -> None:
    """Require whole numbers from 1.

    Examples:
        >>> at_least_one.__name__
        'at_least_one'
    """
    for name in names:
        rules.check(name, "1 or more", rules.number(name) >= 1)


def share(rules: Rules, *names: str) -> None:
    """Require numbers between 0 and 1, both left out.

    Examples:
        >>> share.__name__
        'share'
    """
    for name in names:
        rules.check(name, "above 0 and below 1", 0 < rules.number(name) < 1)


def at_least(rules: Rules, least: int, *names: str) -> None:
    """Require whole numbers from ``least``.

    Examples:
        >>> at_least.__name__
        'at_least'
    """
    for name in names:
        rules.check(name, f"{least} or more", rules.number(name) >= least)


def between(rules: Rules, *names: str) -> None:
    """Require numbers from 0 to 1, both allowed.

    Examples:
        >>> between.__name__
        'between'
    """
    for name in names:
        rules.check(name, "between 0 and 1", 0 <= rules.number(name) <= 1)


def up_to_one(rules: Rules, *names: str) -> None:
    """Require numbers above 0 and up to 1.

    Examples:
        >>> up_to_one.__name__
        'up_to_one'
    """
    for name in names:
        rules.check(name, "above 0 and at most 1", 0 < rules.number(name) <= 1)


def below_one(rules: Rules, *names: str) -> None:
    """Require numbers from 0 and below 1.

    Examples:
        >>> below_one.__name__
        'below_one'
    """
    for name in names:
        rules.check(name, "0 or more and below 1", 0 <= rules.number(name) < 1)
