"""The exceptions that the command line tells in one line, and words for these lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """Bad input, told in one line: what, which file or key, what is allowed, what to do next.

    The command line prints the line on stderr and ends with exit code 2.

    Examples:
        >>> raise UserError("--epochs is 0; give 1 or more.")
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --epochs is 0; give 1 or more.
    """


class RunError(RuntimeError):
    """A run that failed on its way, told in one line; the command line ends with exit code 1.

    Examples:
        >>> raise RunError("the loss is not finite at epoch 3.")
        Traceback (most recent call last):
            ...
        acnorm.errors.RunError: the loss is not finite at epoch 3.
    """


class StoppedError(RunError):
    """A run that the user stopped on its way.

    Examples:
        >>> issubclass(StoppedError, RunError)
        True
    """


def printable(text: str) -> str:
    """Return text of anyone's, such as the names in a file, without what a terminal obeys or cannot print.

    Examples:
        >>> printable("conv\x1b[31m.weight")
        'conv?[31m.weight'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number of things in words: of one thing, or of several.

    Args:
        number: of things.
        one: what one of them is called.
        several: what several are called; as one with an "s" where not given.

    Examples:
        >>> counted(1, "cell"), counted(3, "cell"), counted(1, "pair of runs", "pairs of runs")
        ('1 cell', '3 cells', '1 pair of runs')
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def near(value: Any, names: Iterable[str]) -> str:
    """Return the nearest name as a question, behind a message; nothing where none is near.

    Examples:
        >>> near("acnrom", {"acnorm": 1, "vanilla": 2}), near("x", {"acnorm": 1})
        (' (did you mean acnorm?)', '')
    """
    found = _nearest(str(value), list(names))
    return f" (did you mean {found}?)" if found else ""


def hint(value: str, names: Iterable[str]) -> str:
    """Return what to give in the place of an unknown name: the nearest, or one of all where none is near.

    Examples:
        >>> hint("acnrom", ["acnorm", "vanilla"]), hint("x", ["acnorm", "vanilla"])
        ('did you mean acnorm?', 'there are acnorm, vanilla.')
    """
    known = list(names)
    found = _nearest(value, known)
    return f"did you mean {found}?" if found else f"there are {', '.join(known)}."


def _nearest(value: str, names: list[str]) -> str | None:
    import difflib  # when something is wrong, and not with every start of the command line

    return next(iter(difflib.get_close_matches(value, names, n=1)), None)
