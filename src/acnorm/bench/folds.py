"""Divisions for many runs: repeated grouped, stratified folds, and shares of the training labels that nest.

A patient is never on two sides. Where the data come with a test set it stays as it is, and only the other cases are
divided; else every case is tested once a repeat.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from acnorm.data.case import UNUSED, Case, Collection
from acnorm.data.problems import fault
from acnorm.data.splits import divisible, group_of, hold_out, refuse_leaks, split_cases, stratified_folds

VALIDATION = 0.2  # of the cases outside the test fold


@dataclass(frozen=True)
class Division:
    """Which cases a run trains on, chooses its epoch by, and is tested on.

    Args:
        assigned: the split of every case id, "unused" for those left out.
        origin: where the division comes from, in a sentence.
        released_test: whether the test set came with the data, and so is the same for all runs.
    """

    assigned: dict[str, str]
    origin: str
    released_test: bool

    @functools.cached_property
    def sha256(self) -> str:
        """Of which case is where."""
        return hashlib.sha256(json.dumps(sorted(self.assigned.items())).encode()).hexdigest()

    @functools.cached_property
    def tested(self) -> frozenset[str]:
        """The ids of the test cases."""
        return frozenset(name for name, split in self.assigned.items() if split == "test")

    @property
    def ratio(self) -> float:
        """Test cases over training cases, which the corrected resampled t-test asks for."""
        splits = list(self.assigned.values())
        return splits.count("test") / max(splits.count("train"), 1)


def divisions(collection: Collection, *, folds: int, seed: int) -> list[Division]:
    """Return the divisions of one repeat: one a fold.

    Each fold is the test set once, and a stratified, grouped fifth of the rest is for validation; where the data bring
    a test set, each fold is the validation set once. One fold is the division that ``acnorm finetune`` makes.
    A class known from one patient (or case) only stays in training.

    Args:
        collection: the cases, with the splits that they came with.
        folds: 1 or more.
        seed: of the repeat.

    Raises `DataError` where the cases do not suffice.

    Examples:
        >>> cases = tuple(Case(f"{i:02}", Path(f"{i}.png"), i % 2, patient=f"P{i // 2}") for i in range(40))
        >>> made = divisions(Collection(cases, ("healthy", "ill"), Path("eyes"), "folder"), folds=5, seed=0)
        >>> [sum(split == "test" for split in division.assigned.values()) for division in made]
        [8, 8, 8, 8, 8]
    """
    cases = sorted(collection.cases, key=lambda case: case.id)
    released = any(case.split == "test" for case in cases)
    if folds == 1:
        splits = split_cases(collection, seed=seed)
        return [Division(splits.assignment(), splits.origin, released)]
    pool = [case for case in cases if case.split != "test"]
    if released:  # what was given as training or validation is divided anew
        given = [replace(case, split="test" if case.split == "test" else "train") for case in cases]
        refuse_leaks(given, collection.source)
    candidates = divisible(pool)
    _refuse_folds(candidates, folds, collection.source)
    labels = np.array([case.label for case in candidates], dtype=np.int64)
    parts = [{candidates[row].id for row in rows} for rows in stratified_folds(candidates, labels, folds, seed)]
    if not all(parts):
        raise fault(collection.source, f"--folds {folds}: a fold would be empty", "give fewer folds")
    made = []
    for fold, held in enumerate(sorted(parts, key=sorted)):
        assigned = {case.id: "test" if case.split == "test" else "train" for case in cases}
        assigned |= dict.fromkeys(held, "val" if released else "test")
        if not released:
            rest = [case for case in pool if case.id not in held]
            assigned |= dict.fromkeys(hold_out(rest, VALIDATION, seed, collection.source), "val")
        _refuse_lost_class(cases, assigned, collection, folds)
        what = "validation (test given)" if released else "test"
        origin = f"made: fold {fold + 1} of {folds} for {what}, stratified, patients whole (seed {seed})"
        made.append(Division(assigned, origin, released))
    return made


def _refuse_folds(candidates: Sequence[Case], folds: int, source: Path) -> None:
    groups = len({group_of(case) for case in candidates})
    labels = [case.label for case in candidates]
    most = int(np.bincount(labels).max()) if candidates else 0
    if folds < 1 or folds > min(groups, most):
        raise fault(
            source,
            f"--folds {folds}: cannot divide {len(candidates)} cases of {groups} patients or images",
            f"give 1 to {max(1, min(groups, most))}",
        )


def _refuse_lost_class(cases: Iterable[Case], assigned: dict[str, str], collection: Collection, folds: int) -> None:
    if collection.task == "segmentation":
        return
    trained = {label for case in cases if assigned[case.id] == "train" for label in case.shown}
    lost = [repr(name) for label, name in enumerate(collection.classes) if label not in trained]
    if lost:
        raise fault(
            collection.source,
            f"--folds {folds}: a fold leaves no training case of the class {', '.join(lost)}",
            "give another number of folds or other seeds, or leave the class out",
        )


def with_fraction(division: Division, collection: Collection, fraction: float, seed: int) -> Division:
    """Return the division with a share of its training cases, the others unused.

    Whole patients are kept, first one of each class, then so that every class keeps its share; the cases of a smaller
    fraction are among those of a larger one of the same seed. Validation and test stay as they are.

    Args:
        division: of all cases.
        collection: the cases.
        fraction: of the training cases, above 0, at most 1.
        seed: of the order in which patients are taken.

    Examples:
        >>> cases = tuple(Case(f"{i:02}", Path(f"{i}.png"), i % 2) for i in range(40))
        >>> collection = Collection(cases, ("healthy", "ill"), Path("eyes"), "folder")
        >>> whole = divisions(collection, folds=5, seed=0)[0]
        >>> from collections import Counter
        >>> sorted(Counter(with_fraction(whole, collection, 0.25, seed=0).assigned.values()).items())
        [('test', 8), ('train', 7), ('unused', 19), ('val', 6)]
    """
    if fraction == 1:
        return division
    trained = [case for case in collection.cases if division.assigned[case.id] == "train"]
    several = collection.task == "segmentation"
    order, first = _order(trained, seed, every_class=not several)
    kept: set[str] = set()
    for place, group in enumerate(order):
        size = len(kept) + len(group)
        # the patient that crosses the wanted number is taken where that comes nearer to it
        if place >= first and size + len(kept) > 2 * fraction * len(trained):
            break
        kept |= {case.id for case in group}
    left_out = {case.id: UNUSED for case in trained if case.id not in kept}
    origin = f"{division.origin}; {len(kept)} of {len(trained)} training cases ({100 * fraction:g} %)"
    return replace(division, assigned=division.assigned | left_out, origin=origin)


def _order(cases: Sequence[Case], seed: int, *, every_class: bool) -> tuple[list[list[Case]], int]:
    """The patients in the order in which they are taken, and how many of the first show every class once."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in sorted(cases, key=lambda case: case.id):
        groups.setdefault(group_of(case), []).append(case)
    draw = np.random.default_rng(seed)
    by_label: dict[int, list[list[Case]]] = {}
    for group in groups.values():
        labels = [case.label for case in group]
        by_label.setdefault(max(set(labels), key=lambda label: (labels.count(label), label)), []).append(group)
    placed = []
    for label in sorted(by_label):
        members = [by_label[label][at] for at in draw.permutation(len(by_label[label]))]
        start = draw.random()
        placed += [((at + start) / len(members), label, group) for at, group in enumerate(members)]
    order = [group for _, _, group in sorted(placed, key=lambda item: item[:2])]
    first: list[list[Case]] = []
    missing = {label for case in cases for label in case.shown} if every_class else {cases[0].label}
    while missing:
        best = max(order, key=lambda group: len(missing & _shown(group)))
        first.append(best)
        missing -= _shown(best)
    return first + [group for group in order if group not in first], len(first)


def _shown(group: Sequence[Case]) -> set[int]:
    return {label for case in group for label in case.shown}
