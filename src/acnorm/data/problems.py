"""What can be wrong with data: a `Problem` is one line, a `DataError` carries one or many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acnorm.errors import UserError

if TYPE_CHECKING:
    from acnorm.data.case import Collection


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the data: where, what, and what to do about it.

    Examples:
        >>> Problem("eyes/007.png", "the file is empty", "copy it again").line()
        'eyes/007.png: the file is empty; copy it again'
    """

    file: str
    what: str
    remedy: str
    fatal: bool = True

    def line(self) -> str:
        """The problem as exactly one line, whatever the file is called."""
        return " ".join(f"{self.file}: {self.what}; {self.remedy}".splitlines())

    def to_dict(self) -> dict[str, str | bool]:
        """The problem as plain values for JSON."""
        return asdict(self)


class DataError(UserError):
    """Bad data, told in one line; `problems` holds all that was found, `sound` the cases that are fine.

    The message alone is enough to build one, so that a worker process can hand it on.

    Examples:
        >>> raise fault("eyes.npz", "no array 'train_labels'", "add it")
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: eyes.npz: no array 'train_labels'; add it
    """

    def __init__(self, message: str, *, problems: Sequence[Problem] = (), sound: Collection | None = None) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        self.sound = sound


def fault(file: Path | str, what: str, remedy: str) -> DataError:
    """The error for one problem, ready to be raised.

    Examples:
        >>> fault("a.png", "the file is empty", "copy it again").problems[0].fatal
        True
    """
    problem = Problem(str(file), what, remedy)
    return DataError(problem.line(), problems=(problem,))


def faults(problems: Sequence[Problem], sound: Collection | None = None) -> DataError:
    """The error for several problems at once: the first in full, the others counted.

    Examples:
        >>> empty = [Problem(name, "the file is empty", "copy it again") for name in ("a.png", "b.png")]
        >>> str(faults(empty))
        'a.png: the file is empty; copy it again (and 1 more: run `acnorm check` to see all)'
    """
    message = problems[0].line()
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more: run `acnorm check` to see all)"
    return DataError(message, problems=problems, sound=sound)
