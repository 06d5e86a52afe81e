from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import is_whole_number, ordered, settle, split_name
from acnorm.data.problems import DataError, Problem
from acnorm.errors import UserError


@pytest.mark.parametrize(
    ("word", "split"),
    [("TRAIN", "train"), (" valid ", "val"), ("validation", "val"), ("Testing", "test"), ("dev", None)],
)
def test_words_for_splits(word: str, split: str | None):
    assert split_name(word) == split


def test_numbers_are_ordered_by_value_and_names_by_alphabet():
    assert ordered(["10", "9", "0"]) == ("0", "9", "10")
    assert ordered(["severe", "10", "mild"]) == ("10", "mild", "severe")
    assert not is_whole_number("1.5")


def collection(*cases: Case, classes: tuple[str, ...] = ("0", "1")) -> Collection:
    return Collection(cases, classes, Path("eyes"), "table")


def test_a_collection_without_fault_passes():
    good = collection(Case("a", Path("a"), 0), Case("b", Path("b"), 1))
    assert settle(good) is good


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (collection(), "eyes: holds no case; check that this is the folder or file you meant"),
        (
            collection(Case("a", Path("a"), 0), classes=("ill",)),
            "eyes: only one class ('ill'); classification needs two or more",
        ),
        (
            collection(Case("a", Path("a"), 0), Case("a", Path("b"), 1)),
            "eyes: 2 cases have the id 'a'; give every case an id of its own",
        ),
    ],
)
def test_collections_that_cannot_be_worked_with(bad: Collection, message: str):
    with pytest.raises(UserError) as error:
        settle(bad)
    assert str(error.value) == message


def test_all_problems_are_told_and_the_sound_cases_kept():
    good = collection(Case("a", Path("a"), 0))
    with pytest.raises(DataError) as error:
        settle(good, [Problem("x", "is bad", "mend it"), Problem("y", "is bad", "mend it")])
    assert len(error.value.problems) == 2
    assert error.value.sound is good
