"""Go on without the cases that are broken, and say which they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from acnorm.data.case import Case, Collection
from acnorm.data.formats import read_cases
from acnorm.data.problems import DataError, Problem, fault


def read_sound(data: Path | str, format: str | None, *, skip_bad: bool = True) -> Collection:
    """Read a data set; what its format refuses is left out and noted, where cases may be left out and others are sound.

    Raises `DataError` where none is.

    Examples:
        >>> read_sound("nowhere", None)
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: nowhere: no such file or folder; check the path
    """
    try:
        return read_cases(data, format)
    except DataError as error:
        if not skip_bad or error.sound is None or not error.sound.cases:
            raise
        return replace(error.sound, notes=(*error.sound.notes, *map(_left_out, error.problems)))


def without_broken(collection: Collection, read: Callable[[Case], Any]) -> Collection:
    """Return the collection without the cases that ``read`` refuses, each noted with the reason.

    Raises `DataError` where no case can be read.

    Examples:
        >>> eyes = Collection((Case("eye", Path("eye.png"), 0),), ("healthy",), Path("eyes"), "folder")
        >>> without_broken(eyes, lambda case: None) == eyes
        True
    """
    sound, notes = [], list(collection.notes)
    for case in collection.cases:
        try:
            read(case)
        except DataError as error:
            notes += map(_left_out, error.problems)
        else:
            sound.append(case)
    if not sound:
        raise fault(collection.source, "no case can be read", "see acnorm check")
    return replace(collection, cases=tuple(sound), notes=tuple(notes))


def without(collection: Collection, problems: Mapping[str, Problem]) -> Collection:
    """Return the collection without the cases of these ids, each noted with what is wrong with it.

    Examples:
        >>> eyes = Collection((Case("eye", Path("eye.png"), 0),), ("healthy",), Path("eyes"), "folder")
        >>> without(eyes, {"eye": Problem("eye.png", "has 2 axes, most have 3", "move it")}).notes[0].line()
        'eye.png: left out: has 2 axes, most have 3; move it'
    """
    kept = tuple(case for case in collection.cases if case.id not in problems)
    return replace(collection, cases=kept, notes=(*collection.notes, *map(_left_out, problems.values())))


def _left_out(problem: Problem) -> Problem:
    return replace(problem, what=f"left out: {problem.what}", fatal=False)
