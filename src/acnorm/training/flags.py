"""Command-line arguments in the one form that the parser of the settings reads: ``--learning_rate=0.1``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_SWITCH_VALUES = ("true", "false", "yes", "no")
_WITHOUT_VALUE = ("--help", "--print_config")


def joined(arguments: Sequence[str], switches: Collection[str]) -> list[str]:
    """Spell flags with underscores and put each in one piece with its value; a switch alone stands for true.

    Args:
        arguments: as typed.
        switches: names of the flags that are true or false.

    Examples:
        >>> joined(["--learning-rate", "-inf", "--resume", "--out", "run", "more"], ["resume"])
        ['--learning_rate=-inf', '--resume=true', '--out=run', 'more']
    """
    left = list(arguments)
    result: list[str] = []
    while left:
        name, equals, value = left.pop(0).partition("=")
        if name == "--":
            return [*result, name, *left]
        if not name.startswith("--"):
            result.append(name + equals + value)
            continue
        flag = "--" + name[2:].replace("-", "_")
        if equals:
            result.append(f"{flag}={value}")
        elif flag.removeprefix("--") in switches:
            given = bool(left) and left[0].lower() in _SWITCH_VALUES
            result.append(f"{flag}={left.pop(0) if given else 'true'}")
        elif flag in _WITHOUT_VALUE or not left or left[0].startswith("--"):
            result.append(flag)
        else:
            result.append(f"{flag}={left.pop(0)}")
    return result


def hyphened(text: str) -> str:
    """Spell the flags in a text with hyphens, as those of the other verbs.

    Examples:
        >>> hyphened("--acnorm.temperature, --learning_rate of learning_rate")
        '--acnorm.temperature, --learning-rate of learning_rate'
    """
    return re.sub(r"--\w[\w.]*", lambda flag: flag.group().replace("_", "-"), text)
