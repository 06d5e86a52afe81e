"""The exceptions that the command line tells in one line."""

from __future__ import annotations


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
