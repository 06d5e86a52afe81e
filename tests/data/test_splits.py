from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.data.case import SPLITS, Case, Collection, patients_across_splits
from acnorm.data.splits import Splits, split_cases
from acnorm.errors import UserError

SOURCE = Path("eyes")


def collection(cases: list[Case], classes: int = 2) -> Collection:
    return Collection(tuple(cases), tuple(map(str, range(classes))), SOURCE, "table")


def eyes(count: int, *, classes: int = 2, per_patient: int = 0, split: str | None = None) -> list[Case]:
    return [
        Case(
            f"{split or 'eye'}-{i:03}",
            Path(f"{i}.png"),
            i % classes,
            patient=f"P{i // per_patient}" if per_patient else None,
            split=split,
        )
        for i in range(count)
    ]


def ids(splits: Splits) -> dict[str, list[str]]:
    return {name: [case.id for case in cases] for name, cases in splits.by_name().items()}


@given(
    sizes=st.lists(st.integers(1, 4), min_size=30, max_size=80),
    classes=st.integers(2, 5),
    seed=st.integers(0, 2**31),
    known=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_made_splits_keep_patients_whole_and_lose_no_case(sizes: list[int], classes: int, seed: int, known: bool):
    cases = [
        Case(f"{p}-{i}", SOURCE, p % classes, patient=f"P{p}" if known else None)
        for p, size in enumerate(sizes)
        for i in range(size)
    ]
    splits = split_cases(collection(cases, classes), seed=seed)
    placed = [case for part in splits.by_name().values() for case in part]
    assert sorted(case.id for case in placed) == sorted(case.id for case in cases)
    assert not patients_across_splits(placed)
    assert all(case.split == name for name, part in splits.by_name().items() for case in part)
    assert {case.label for case in splits.train} == set(range(classes))
    random.Random(seed).shuffle(cases)
    assert ids(split_cases(collection(cases, classes), seed=seed)) == ids(splits)


@given(
    counts=st.lists(st.integers(10, 60), min_size=2, max_size=5),
    val=st.sampled_from([0.1, 0.2, 0.25, 0.3]),
    test=st.sampled_from([0.1, 0.2, 0.25, 0.3]),
)
@settings(max_examples=30, deadline=None)
def test_made_splits_are_stratified(counts: list[int], val: float, test: float):
    cases = [Case(f"{k}-{i:02}", SOURCE, k) for k, count in enumerate(counts) for i in range(count)]
    splits = split_cases(collection(cases, len(counts)), val_fraction=val, test_fraction=test)
    for part, fraction in ((splits.val, val), (splits.test, test)):
        for label, count in enumerate(counts):
            # each fold is within one case of its share, and up to three folds of ten are taken
            assert abs(sum(case.label == label for case in part) - fraction * count) <= 5


def test_seeds_differ_and_repeat():
    cases = collection(eyes(60))
    assert ids(split_cases(cases, seed=1)) == ids(split_cases(cases, seed=1))
    assert ids(split_cases(cases, seed=1)) != ids(split_cases(cases, seed=2))


def test_given_splits_are_kept():
    cases = eyes(6, split="train") + eyes(4, split="val") + eyes(4, split="test")
    splits = split_cases(collection(cases))
    assert [len(splits.by_name()[name]) for name in SPLITS] == [6, 4, 4]
    assert splits.origin == "given by the data"


def test_a_missing_validation_set_is_a_fifth_of_the_training_cases():
    cases = eyes(50, split="train", per_patient=1) + eyes(10, split="test")
    splits = split_cases(collection(cases), seed=3)
    assert [len(splits.by_name()[name]) for name in SPLITS] == [40, 10, 10]
    assert ids(splits)["test"] == [f"test-{i:03}" for i in range(10)]
    assert splits.origin == "test given; validation: a stratified, patient-grouped 20 % of the training cases (seed 3)"


def test_a_missing_test_set():
    splits = split_cases(collection(eyes(50, split="train") + eyes(10, split="val")))
    assert [len(splits.by_name()[name]) for name in SPLITS] == [40, 10, 10]
    assert splits.origin == "validation given; test: a stratified 20 % of the training cases (seed 0)"


def test_cases_without_split_are_divided_when_test_is_given():
    splits = split_cases(collection(eyes(50) + eyes(10, split="test")))
    assert [len(splits.by_name()[name]) for name in SPLITS] == [40, 10, 10]


def test_both_are_shares_of_all_cases():
    splits = split_cases(collection(eyes(100)), val_fraction=0.1, test_fraction=0.3)
    assert [len(splits.by_name()[name]) for name in SPLITS] == [60, 10, 30]
    assert splits.origin == "made: a stratified 30 % for test and 10 % for validation (seed 0)"


def test_a_class_known_once_stays_in_training():
    rare = Case("rare", SOURCE, 2)
    for seed in range(5):
        splits = split_cases(collection([*eyes(40), rare], 3), seed=seed)
        assert rare.id in ids(splits)["train"]


def test_saved_splits_are_reused_whatever_the_seed(tmp_path: Path):
    file = tmp_path / "run" / "splits.json"
    first = split_cases(collection(eyes(40)), seed=1, file=file)
    again = split_cases(collection(eyes(40)), seed=2, file=file)
    assert ids(again) == ids(first)
    assert again.origin == f"reused from splits.json: {first.origin}"
    assert set(json.loads(file.read_text())["cases"].values()) == set(SPLITS)
    assert list(file.parent.iterdir()) == [file]


def test_patients_in_two_splits_are_named():
    cases = eyes(4, split="train", per_patient=1) + eyes(4, split="test", per_patient=1)
    with pytest.raises(UserError) as error:
        split_cases(collection(cases))
    assert str(error.value) == (
        "eyes: 4 patients in more than one split: P0 in train and test, P1 in train and test, "
        "P2 in train and test and 1 more; move all cases of a patient into one split, or leave the splits out"
    )


@pytest.mark.parametrize(
    ("cases", "options", "message"),
    [
        (eyes(4, classes=1), {}, "no training case of the class '1'; add cases or remove the class"),
        (
            eyes(4, split="val") + eyes(4, split="test"),
            {},
            "no training case; give training cases, or leave the splits out",
        ),
        (
            [Case("a", SOURCE, 0), Case("a", SOURCE, 1)],
            {},
            "2 cases have the id 'a'; give every case its own id",
        ),
        (
            eyes(2),
            {},
            "too few cases to divide (2 of 2 patients or images); give the splits yourself, or add cases",
        ),
        (
            eyes(8, per_patient=8),
            {},
            "too few cases to divide (8 of 1 patients or images); give the splits yourself, or add cases",
        ),
        (eyes(9), {"val_fraction": 0}, "val_fraction is 0; give a number above 0 and below 1"),
        (eyes(9), {"test_fraction": 1.5}, "test_fraction is 1.5; give a number above 0 and below 1"),
        (
            eyes(9),
            {"test_fraction": 0.5, "val_fraction": 0.5},
            "val_fraction and test_fraction make 1; leave cases for training: give less than 1 together",
        ),
    ],
)
def test_what_cannot_be_divided(cases: list[Case], options: dict[str, float], message: str):
    with pytest.raises(UserError) as error:
        split_cases(collection(cases), **options)
    assert str(error.value) == f"eyes: {message}"


def test_patients_of_several_classes_never_take_the_last_of_a_class_along():
    labels = {"P": (0, 1), "Q": (1, 2), "R": (2, 0)}
    cases = [Case(f"{p}{k}", SOURCE, k, patient=p) for p, both in labels.items() for k in both]
    made = split_cases(collection([*cases, Case("x", SOURCE, 0), Case("y", SOURCE, 1)], 3))
    assert {case.label for case in made.train} == {0, 1, 2}


def test_a_division_impossible_for_every_fold(monkeypatch: pytest.MonkeyPatch):
    everything = [list(range(10))]
    monkeypatch.setattr("acnorm.data.splits.stratified_folds", lambda *_: everything)
    with pytest.raises(
        UserError, match=r"eyes: no division keeps every class in training; give the splits yourself, or add"
    ):
        split_cases(collection(eyes(10)))


def assign(file: Path, assigned: dict[str, str]) -> Path:
    file.write_text(json.dumps({"origin": "by hand", "cases": assigned}))
    return file


def test_a_file_leaves_cases_out(tmp_path: Path):
    cases = eyes(6)
    given = dict(zip((case.id for case in cases), ["train", "train", "unused", "unused", "val", "test"], strict=True))
    splits = split_cases(collection(cases), file=assign(tmp_path / "s.json", given))
    assert [case.id for case in splits.unused] == ["eye-002", "eye-003"]
    assert [len(splits.by_name()[name]) for name in SPLITS] == [2, 1, 1]
    assert splits.assignment() == given


def test_what_is_left_out_trains_no_class_and_leaks_nothing(tmp_path: Path):
    cases = eyes(6, per_patient=3)  # P0: 0, 1, 0 and P1: 1, 0, 1
    given = dict(zip((case.id for case in cases), ["train", "train", "unused", "test", "unused", "val"], strict=True))
    with pytest.raises(UserError, match="1 patient in more than one split: P1 in val and test"):
        split_cases(collection(cases), file=assign(tmp_path / "s.json", given))
    given["eye-005"] = given["eye-001"] = "unused"
    with pytest.raises(UserError, match="no training case of the class '1'"):
        split_cases(collection(cases), file=assign(tmp_path / "t.json", given))


def test_a_file_may_divide_training_and_validation_cases_anew(tmp_path: Path):
    cases = eyes(4, split="train") + eyes(2, split="val") + eyes(2, split="test")
    given = {case.id: {"val": "train", "train": "train"}.get(str(case.split), "test") for case in cases}
    given["train-000"] = "val"
    splits = split_cases(collection(cases), file=assign(tmp_path / "s.json", given))
    assert ids(splits)["val"] == ["train-000"]
    given["test-000"] = "unused"
    with pytest.raises(UserError, match="'test-000' is in unused, but in test by the data"):
        split_cases(collection(cases), file=assign(tmp_path / "t.json", given))
