from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.bench.folds import Division, divisions, with_fraction
from acnorm.data.case import UNUSED, Case, Collection, patients_across_splits
from acnorm.data.split_file import write_assignment
from acnorm.data.splits import split_cases
from acnorm.errors import UserError

SOURCE = Path("eyes")


def collection(cases: list[Case], classes: int = 2) -> Collection:
    return Collection(tuple(cases), tuple(map(str, range(classes))), SOURCE, "table")


def eyes(count: int, *, classes: int = 2, per_patient: int = 1, split: str | None = None) -> list[Case]:
    return [
        Case(f"{split or 'eye'}-{i:03}", SOURCE, i // per_patient % classes, f"{split}P{i // per_patient}", split)
        for i in range(count)
    ]


def part(division: Division, split: str) -> set[str]:
    return {name for name, found in division.assigned.items() if found == split}


def as_file(file: Path, division: Division, cases: Collection):
    write_assignment(file, division.assigned, division.origin)
    return split_cases(cases, file=file)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=24, max_size=40),
    classes=st.integers(2, 3),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=20, deadline=None)
def test_every_case_is_tested_once_and_no_patient_is_on_two_sides(
    sizes: list[int], classes: int, folds: int, seed: int
):
    cases = [Case(f"{p}-{i}", SOURCE, p % classes, f"P{p}") for p, size in enumerate(sizes) for i in range(size)]
    made = divisions(collection(cases, classes), folds=folds, seed=seed)
    assert len(made) == folds
    tested = Counter(name for division in made for name in part(division, "test"))
    assert tested == Counter(case.id for case in cases)
    patients = {case.id: case.patient for case in cases}
    for division in made:
        placed = [Case(name, SOURCE, 0, patients[name], split) for name, split in division.assigned.items()]
        assert not patients_across_splits(placed)
        assert set(division.assigned.values()) == {"train", "val", "test"}
        assert not division.released_test


def test_folds_are_stratified_and_a_fifth_of_the_rest_is_for_validation():
    cases = eyes(100, classes=4)
    labels = {case.id: case.label for case in cases}
    for division in divisions(collection(cases, 4), folds=5, seed=3):
        assert Counter(labels[name] for name in part(division, "test")) == dict.fromkeys(range(4), 5)
        assert len(part(division, "val")) == 16
        assert division.ratio == pytest.approx(20 / 64)


def test_repeats_differ_and_the_same_seed_repeats():
    cases = collection(eyes(40))
    first, again, other = (divisions(cases, folds=4, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert {division.sha256 for division in first}.isdisjoint(division.sha256 for division in other)


def test_a_released_test_set_is_kept_and_the_rest_is_divided():
    cases = eyes(30, split="train") + eyes(10, split="val") + eyes(10, split="test")
    made = divisions(collection(cases), folds=4, seed=0)
    assert all(part(division, "test") == {f"test-{i:03}" for i in range(10)} for division in made)
    validated = Counter(name for division in made for name in part(division, "val"))
    assert validated == Counter(case.id for case in cases if case.split != "test")
    assert all(division.released_test for division in made)
    assert made[1].origin == "made: fold 2 of 4 for validation (test given), stratified, patients whole (seed 0)"


def test_one_fold_is_the_division_of_finetune():
    cases = collection(eyes(40))
    (made,) = divisions(cases, folds=1, seed=2)
    assert made.assigned == split_cases(cases, seed=2).assignment()


def test_the_files_are_read_by_finetune(tmp_path: Path):
    cases = collection(eyes(40, per_patient=2))
    division = with_fraction(divisions(cases, folds=4, seed=0)[2], cases, 0.5, seed=0)
    splits = as_file(tmp_path / "s.json", division, cases)
    assert splits.assignment() == division.assigned
    assert splits.unused
    assert splits.origin == (
        "reused from s.json: made: fold 3 of 4 for test, stratified, patients whole (seed 0); "
        "12 of 24 training cases (50 %)"
    )


def test_a_class_of_one_patient_stays_in_training():
    rare = Case("rare", SOURCE, 2, "R")
    made = divisions(collection([*eyes(20), rare], 3), folds=5, seed=0)
    assert all(division.assigned["rare"] == "train" for division in made)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=20, max_size=40),
    classes=st.integers(2, 4),
    seed=st.integers(0, 2**31),
    fractions=st.lists(st.floats(0.02, 1), min_size=2, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_fractions_nest_keep_patients_whole_and_every_class(
    sizes: list[int], classes: int, seed: int, fractions: list[float]
):
    cases = [Case(f"{p}-{i}", SOURCE, p % classes, f"P{p}") for p, size in enumerate(sizes) for i in range(size)]
    group = collection(cases, classes)
    whole = Division({case.id: "train" for case in cases}, "all", released_test=False)
    kept = [part(with_fraction(whole, group, fraction, seed), "train") for fraction in sorted(fractions)]
    for smaller, larger in pairwise(kept):
        assert smaller <= larger
    for fraction, names in zip(sorted(fractions), kept, strict=True):
        chosen = [case for case in cases if case.id in names]
        assert {case.label for case in chosen} == set(range(classes))
        assert {case.id for case in cases if case.patient in {case.patient for case in chosen}} == names
        assert abs(len(names) - fraction * len(cases)) <= 4 * classes


@given(fraction=st.floats(0.05, 1), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_ratio_is_of_test_to_training_cases_alone(fraction: float, seed: int):
    cases = collection(eyes(60))
    division = with_fraction(divisions(cases, folds=4, seed=seed)[0], cases, fraction, seed)
    assert division.ratio == len(part(division, "test")) / len(part(division, "train"))


def test_fractions_are_stratified():
    cases = [Case(f"{label}-{i:02}", SOURCE, label) for label, count in ((0, 80), (1, 40)) for i in range(count)]
    whole = Division({case.id: "train" for case in cases}, "all", released_test=False)
    kept = part(with_fraction(whole, collection(cases), 0.25, seed=4), "train")
    counts = Counter(name[0] for name in kept)
    assert len(kept) == 30
    assert abs(counts["0"] - 20) <= 1


def test_cases_of_several_classes_keep_every_class():
    cases = [Case(f"{i:02}", SOURCE, 0, labels=(0, 1) if i % 10 else (2,)) for i in range(30)]
    whole = Division({case.id: "train" for case in cases}, "all", released_test=False)
    kept = part(with_fraction(whole, collection(cases, 3), 0.05, seed=0), "train")
    assert {label for case in cases if case.id in kept for label in case.shown} == {0, 1, 2}


def test_label_maps_are_shared_out_by_patient():
    cases = [Case(f"{i:02}", SOURCE, 0, f"P{i // 2}", mask=SOURCE) for i in range(20)]
    group = collection(cases, 3)
    division = divisions(group, folds=2, seed=0)[0]
    some = with_fraction(division, group, 0.5, seed=0)
    assert len(part(some, "train")) == len(part(division, "train")) / 2
    assert part(some, "val") == part(division, "val")
    assert some.assigned.keys() == {case.id for case in cases}
    assert UNUSED in some.assigned.values()


@pytest.mark.parametrize("folds", [5, 0])
def test_what_cannot_be_divided(folds: int):
    with pytest.raises(UserError) as error:
        divisions(collection(eyes(8)), folds=folds, seed=0)
    assert str(error.value) == (f"eyes: --folds {folds}: cannot divide 8 cases of 8 patients or images; give 1 to 4")


def test_a_patient_of_the_released_test_set_is_in_no_fold():
    cases = [*eyes(16, split="train"), *eyes(4, split="val"), *eyes(8, split="test")]
    assert len(divisions(collection(cases), folds=2, seed=0)) == 2
    leaking = [replace(case, patient="testP1") if case.id == "val-000" else case for case in cases]
    for folds in (1, 2):
        with pytest.raises(
            UserError, match=r"^eyes: 1 patient in more than one split: testP1 in (train|val) and test; "
        ):
            divisions(collection(leaking), folds=folds, seed=0)
    apart = [replace(case, patient="trainP1") if case.id == "val-000" else case for case in cases]
    assert len(divisions(collection(apart), folds=2, seed=0)) == 2  # these are divided anew


def test_a_fold_that_would_lose_a_class_is_refused():
    """Two of the cases also show a class by which they are not stratified, so that both may fall into one test fold."""
    cases = [Case(f"{i:02}", SOURCE, i % 2, labels=(i % 2, 2) if i < 4 and not i % 2 else (i % 2,)) for i in range(16)]
    told = set()
    for seed in range(20):
        try:
            made = divisions(collection(cases, 3), folds=2, seed=seed)
        except UserError as error:
            told.add(str(error))
            continue
        trained = [
            {label for case in cases if part[case.id] == "train" for label in case.shown} for part in parts(made)
        ]
        assert trained == [{0, 1, 2}] * 2
    assert told == {
        "eyes: --folds 2: a fold leaves no training case of the class '2'; give another number of folds or other "
        "seeds, or leave the class out"
    }


def parts(made: list[Division]) -> list[dict[str, str]]:
    return [division.assigned for division in made]


def test_the_address_of_a_division_is_what_is_where():
    one = Division({"a": "train", "b": "test"}, "made", released_test=False)
    same = Division(json.loads('{"b": "test", "a": "train"}'), "told otherwise", released_test=True)
    assert one.sha256 == same.sha256 != Division({"a": "test", "b": "train"}, "made", released_test=False).sha256
