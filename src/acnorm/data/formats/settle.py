"""What every format checks last, and the names by which splits are known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from acnorm.data.case import Case, Collection, duplicate_ids
from acnorm.data.problems import Problem, faults
from acnorm.errors import counted

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_name(text: str) -> str | None:
    """The split that a word stands for, or None where it stands for none.

    Examples:
        >>> split_name("Validation"), split_name("holdout")
        ('val', None)
    """
    return _SPLIT_WORDS.get(text.strip().lower())


def is_whole_number(text: str) -> bool:
    """Whether a label is a number of a class: 3, or 3.0 as spreadsheets write it.

    Examples:
        >>> [is_whole_number(text) for text in ("3", "3.0", "-1", "0.5", "mild")]
        [True, True, True, False, False]
    """
    return re.fullmatch(r"-?\d+(\.0+)?", text) is not None


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in order: by value where all are whole numbers, else alphabetically.

    Examples:
        >>> ordered(["10", "2"]), ordered(["mild", "healthy"])
        (('2', '10'), ('healthy', 'mild'))
    """
    found = set(names)
    if all(is_whole_number(name) for name in found):
        return tuple(sorted(found, key=lambda name: (float(name), name)))
    return tuple(sorted(found))


def in_strata(cases: Sequence[Case], classes: int) -> tuple[Case, ...]:
    """Cases of several labels each, with the rarest of them as that by which they are stratified, or `classes` of none.

    Examples:
        >>> shown = [(0,), (0, 1), ()]
        >>> cases = [Case(str(at), Path("lungs.npz"), 0, labels=labels) for at, labels in enumerate(shown)]
        >>> [case.label for case in in_strata(cases, classes=2)]
        [0, 1, 2]
    """
    counts = Counter(label for case in cases for label in case.shown)
    return tuple(
        replace(case, label=min(case.shown, key=lambda label: (counts[label], label), default=classes))
        for case in cases
    )


def left_out(folder: Path, names: Sequence[str]) -> Problem:
    """The note on test cases that have no label.

    Examples:
        >>> left_out(Path("imagesTs"), ["heart_3", "heart_4"]).line()
        'imagesTs: 2 cases have no label (first heart_3) and are left out; add their labels to test on them'
    """
    count = counted(len(names), "case has", "cases have")
    what = f"{count} no label (first {names[0]}) and {'is' if len(names) == 1 else 'are'} left out"
    return Problem(str(folder), what, "add their labels to test on them", fatal=False)


def settle(collection: Collection, problems: Sequence[Problem] = ()) -> Collection:
    """The collection, if it is one that can be worked with; otherwise raises `DataError` with all problems."""
    source = str(collection.source)
    found = list(problems)
    found += [
        Problem(source, f"{count} cases have the id '{name}'", "give every case an id of its own")
        for name, count in duplicate_ids(collection.cases).items()
    ]
    if not collection.cases and not found:
        found.append(Problem(source, "holds no case", "check that this is the folder or file you meant"))
    if len(collection.classes) == 1:
        only = collection.classes[0]
        found.append(Problem(source, f"only one class ('{only}')", "classification needs two or more"))
    if found:
        raise faults(found, collection)
    return collection
