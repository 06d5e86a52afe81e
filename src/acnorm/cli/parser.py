"""The argument parser of the verbs: what is wrong with flags is told in one line, as all bad input is."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from acnorm.errors import UserError

_TYPES = {"int": "a whole number", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """``argparse`` for one verb, whose flags may be spelled with ``-`` or ``_`` and not be cut short.

    Args:
        verb: as in ``acnorm VERB``.
        description: what ``--help`` says of it.

    Raises:
        UserError: from ``parse``, for flags that are unknown (with the nearest), missing, empty or of a wrong kind.

    Examples:
        >>> parser = Parser("rank", "Score checkpoints.")
        >>> _ = parser.add_argument("--probe-seeds", type=int)
        >>> parser.parse(["--probe_seeds", "3"])
        Namespace(probe_seeds=3)
        >>> parser.parse(["--probe-seed", "3"])
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: no flag --probe-seed; did you mean --probe-seeds?
    """

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(prog=f"acnorm {verb}", description=description, allow_abbrev=False)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments after the verb."""
        given = [self._hyphened(argument) for argument in arguments]
        flags = [_flag(argument) for argument in _before_double_dash(given)]
        unknown = [flag for flag in flags if flag and flag not in self._option_string_actions]
        if unknown:
            raise UserError("; ".join(self._unknown(flag) for flag in dict.fromkeys(unknown)))
        self._refuse_empty(given)
        return self.parse_args(given)

    def error(self, message: str) -> NoReturn:
        """Raise what ``argparse`` would print."""
        raise UserError(f"{_in_words(message)}; see {self.prog} --help.")

    def _hyphened(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        hyphened = name.replace("_", "-")
        return f"{hyphened}{equals}{value}" if hyphened in self._option_string_actions else argument

    def _refuse_empty(self, given: Sequence[str]) -> None:
        for before, argument in pairwise(["", *given]):
            flag, equals, value = argument.partition("=")
            if not argument or (equals and not value and flag in self._option_string_actions):
                name = next((name for name in (flag, before) if name in self._option_string_actions), "an argument")
                raise UserError(f"{name} is empty, must be given a value; see {self.prog} --help.")

    def _unknown(self, flag: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
        return f"no flag {flag}; " + (f"did you mean {near[0]}?" if near else f"see {self.prog} --help.")


def _before_double_dash(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _flag(argument: str) -> str | None:
    return argument.partition("=")[0] if re.match(r"--?[A-Za-z]", argument) else None


def _in_words(message: str) -> str:
    missing = message.removeprefix("the following arguments are required: ")
    if missing != message:
        return f"missing: {missing}"
    wrong = re.fullmatch(r"argument (\S+): invalid (\w+) value: (.*)", message)
    if wrong:
        flag, kind, value = wrong.groups()
        return f"{flag} is {value}, must be {_TYPES.get(kind, kind)}"
    stray = message.removeprefix("unrecognized arguments: ")
    if stray != message:
        return f"unexpected: {stray}"
    switch = re.fullmatch(r"argument (\S+): ignored explicit argument (.*)", message)
    if switch:
        return f"{switch[1]} is {switch[2]}, must be given without a value"
    return message.removeprefix("argument ")
