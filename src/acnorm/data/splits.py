"""Which cases train, which choose the model, which judge it; no patient on two sides."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from acnorm.data.case import SPLITS, UNUSED, Case, Collection, duplicate_ids, patients_across_splits
from acnorm.data.problems import Problem, fault, faults
from acnorm.data.split_file import read_assignment, write_assignment
from acnorm.errors import counted


@dataclass(frozen=True)
class Splits:
    """The cases of each split, in the order of their ids, and a sentence on where the division comes from.

    unused: cases that a split file leaves out.
    """

    train: tuple[Case, ...]
    val: tuple[Case, ...]
    test: tuple[Case, ...]
    origin: str
    unused: tuple[Case, ...] = ()

    def by_name(self) -> dict[str, tuple[Case, ...]]:
        """The cases under the names "train", "val" and "test"."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def assignment(self) -> dict[str, str]:
        """The split of every case by its id, as a split file holds it."""
        parts = {**self.by_name(), UNUSED: self.unused}
        return {case.id: name for name, cases in parts.items() for case in cases}


def split_cases(
    collection: Collection,
    *,
    seed: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    file: Path | None = None,
    skip_bad: bool = False,
) -> Splits:
    """Divide cases into train, val and test: given splits are kept, missing ones are made and saved to `file`.

    A missing test set is `test_fraction` of the cases outside the validation set, a missing validation set
    `val_fraction`: of all cases where both are made, else of the training cases. What is held out is stratified
    by label and keeps the cases of a patient together; a class known from one patient (or case) only stays in
    training. The same cases give the same splits for a seed, in whatever order they come. An existing `file`
    is reused, whatever the seed; the cases that it calls "unused" are left out. It may name more cases than there are
    with `skip_bad`: those that have been left out.

    Raises `DataError` for a patient in two splits, a class without training case, ids that occur twice, too few
    cases to divide, and a `file` that does not fit the data.

    Examples:
        >>> cases = tuple(Case(f"{i:02}", Path(f"{i}.png"), i % 2, patient=f"P{i // 2}") for i in range(40))
        >>> splits = split_cases(Collection(cases, ("healthy", "ill"), Path("eyes"), "folder"))
        >>> len(splits.train), len(splits.val), len(splits.test)
        (24, 8, 8)
        >>> splits.origin
        'made: a stratified, patient-grouped 20 % for test and 20 % for validation (seed 0)'
    """
    _refuse_fractions(collection.source, val_fraction, test_fraction)
    _refuse_doubles(collection)
    cases = sorted(collection.cases, key=lambda case: case.id)
    if file is not None and file.exists():
        assigned, origin = read_assignment(file, cases, skip_bad=skip_bad)
    else:
        assigned, origin = _assign(cases, collection.source, seed, val_fraction, test_fraction)
    placed = [replace(case, split=assigned[case.id]) for case in cases]
    refuse_leaks([case for case in placed if case.split != UNUSED], collection.source)
    if collection.task != "segmentation":
        _refuse_untrained_classes(placed, collection)
    if file is not None and not file.exists():
        write_assignment(file, assigned, origin)
    train, val, test, unused = (tuple(case for case in placed if case.split == split) for split in (*SPLITS, UNUSED))
    return Splits(train, val, test, origin, unused)


def _assign(
    cases: Sequence[Case], source: Path, seed: int, val_fraction: float, test_fraction: float
) -> tuple[dict[str, str], str]:
    given = {split for split in ("val", "test") if any(case.split == split for case in cases)}
    assigned = {case.id: case.split if case.split in given else "train" for case in cases}
    pool = [case for case in cases if assigned[case.id] == "train"]
    if not pool:
        raise fault(source, "no training case", "give training cases, or leave the splits out")
    fractions = {"test": test_fraction, "val": val_fraction}
    if not given:
        # both are shares of all cases, but the second is cut from what the first has left
        fractions["val"] = val_fraction / (1 - test_fraction)
    for split, fraction in fractions.items():
        if split not in given:
            held_out = hold_out(pool, fraction, seed, source)
            assigned |= dict.fromkeys(held_out, split)
            pool = [case for case in pool if case.id not in held_out]
    return assigned, _origin(cases, given, seed, val_fraction, test_fraction)


def _origin(cases: Sequence[Case], given: set[str], seed: int, val_fraction: float, test_fraction: float) -> str:
    if len(given) == 2:
        return "given by the data"
    grouped = any(case.patient is not None for case in cases)
    how = "stratified, patient-grouped" if grouped else "stratified"
    val, test = f"{100 * val_fraction:g} %", f"{100 * test_fraction:g} %"
    if not given:
        return f"made: a {how} {test} for test and {val} for validation (seed {seed})"
    if "test" in given:
        return f"test given; validation: a {how} {val} of the training cases (seed {seed})"
    return f"validation given; test: a {how} {test} of the training cases (seed {seed})"


def hold_out(pool: Sequence[Case], fraction: float, seed: int, source: Path) -> set[str]:
    """Return the ids of about this fraction of the pool: some folds of a stratified, grouped division of it.

    Raises `DataError` where every division would take a class out of the rest.

    Examples:
        >>> pool = [Case(f"{i:02}", Path(f"{i}.png"), i % 2, patient=f"P{i // 2}") for i in range(20)]
        >>> len(hold_out(pool, 0.2, 0, Path("eyes")))
        4
    """
    candidates = divisible(pool)
    labels = np.array([case.label for case in candidates], dtype=np.int64)
    share = Fraction(fraction).limit_denominator(100)
    group_count = len({group_of(case) for case in candidates})
    most = int(np.bincount(labels).max()) if candidates else 0
    folds = min(share.denominator, group_count, most)
    if folds < 2:
        raise fault(
            source,
            f"too few cases to divide ({len(pool)} of {len({group_of(case) for case in pool})} patients or images)",
            "give the splits yourself, or add cases",
        )
    wanted = min(max(1, round(fraction * folds)), folds - 1)
    taken: set[str] = set()
    classes = {case.label for case in pool}
    for fold in stratified_folds(candidates, labels, folds, seed):
        ids = taken | {candidates[row].id for row in fold}
        if len(fold) and {case.label for case in pool if case.id not in ids} == classes:
            taken, wanted = ids, wanted - 1
        if wanted == 0:
            break
    if not taken:
        raise fault(source, "no division keeps every class in training", "give the splits yourself, or add cases")
    return taken


def group_of(case: Case) -> tuple[str, str]:
    """Return what must stay together: the patient of a case, or the case alone where that is unknown.

    Examples:
        >>> group_of(Case("left", Path("l.png"), 0, patient="P1"))
        ('patient', 'P1')
    """
    return ("patient", case.patient) if case.patient is not None else ("case", case.id)


def divisible(pool: Sequence[Case]) -> list[Case]:
    """Return the cases that may be held out: not those of the only patient (or case) of a class.

    Examples:
        >>> cases = [Case(f"{i}", Path("eyes.npz"), label) for i, label in enumerate((0, 0, 1))]
        >>> [case.label for case in divisible(cases)]
        [0, 0]
    """
    groups: dict[int, set[tuple[str, str]]] = {}
    for case in pool:
        groups.setdefault(case.label, set()).add(group_of(case))
    pinned = {group for members in groups.values() if len(members) == 1 for group in members}
    return [case for case in pool if group_of(case) not in pinned]


def stratified_folds(
    cases: Sequence[Case], labels: NDArray[np.int64], folds: int, seed: int
) -> list[NDArray[np.int64]]:
    """Return the rows of each fold, the folds with the most even classes first; no patient is in two.

    Examples:
        >>> cases = [Case(str(i), Path("eyes.npz"), i % 2) for i in range(8)]
        >>> [len(fold) for fold in stratified_folds(cases, np.array([i % 2 for i in range(8)]), 4, seed=0)]
        [2, 2, 2, 2]
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(group_of(case) for case in cases))}
    groups = np.array([numbers[group_of(case)] for case in cases])
    grouped = len(numbers) < len(cases)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer cases than folds is dealt with by the choice below
        parts = [rows for _, rows in splitter.split(labels, labels, groups)]
    totals = np.bincount(labels)
    present = totals > 0

    def unevenness(rows: NDArray[np.int64]) -> float:
        counts = np.bincount(labels[rows], minlength=len(totals))
        return float(np.abs(counts[present] / totals[present] - 1 / folds).sum())

    return sorted(parts, key=unevenness)


def _refuse_fractions(source: Path, val_fraction: float, test_fraction: float) -> None:
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 < value < 1:
            raise fault(source, f"{name} is {value:g}", "give a number above 0 and below 1")
    if val_fraction + test_fraction >= 1:
        raise fault(
            source,
            f"val_fraction and test_fraction make {val_fraction + test_fraction:g}",
            "leave cases for training: give less than 1 together",
        )


def _refuse_doubles(collection: Collection) -> None:
    problems = [
        Problem(str(collection.source), f"{count} cases have the id '{name}'", "give every case its own id")
        for name, count in duplicate_ids(collection.cases).items()
    ]
    if problems:
        raise faults(problems)
    refuse_leaks(collection.cases, collection.source)


def refuse_leaks(cases: Sequence[Case], source: Path) -> None:
    """Refuse cases of which a patient is in more than one of the splits that they came with.

    Raises `DataError` that names the first patients.

    Examples:
        >>> refuse_leaks([Case("a", Path("a.png"), 0, patient="P1", split="train")], Path("eyes"))
    """
    leaks = patients_across_splits(tuple(cases))
    if leaks:
        first = ", ".join(f"{patient} in {' and '.join(where)}" for patient, where in list(leaks.items())[:3])
        more = f" and {len(leaks) - 3} more" if len(leaks) > 3 else ""
        raise fault(
            source,
            f"{counted(len(leaks), 'patient')} in more than one split: {first}{more}",
            "move all cases of a patient into one split, or leave the splits out",
        )


def _refuse_untrained_classes(cases: Sequence[Case], collection: Collection) -> None:
    counts = Counter(label for case in cases if case.split == "train" for label in case.shown)
    missing = [f"'{name}'" for label, name in enumerate(collection.classes) if not counts[label]]
    if missing:
        noun = "class" if len(missing) == 1 else "classes"
        raise fault(
            collection.source,
            f"no training case of the {noun} {', '.join(missing)}",
            "add cases or remove the class",
        )
