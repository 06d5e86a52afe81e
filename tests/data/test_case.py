from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from acnorm.data.case import Case, Collection, duplicate_ids, patients_across_splits


def eye(name: str, *, patient: str | None = None, split: str | None = None) -> Case:
    return Case(name, Path(f"{name}.png"), 0, patient, split)


def test_case_is_a_record_that_cannot_change():
    with pytest.raises(FrozenInstanceError):
        eye("a").label = 3


def test_where_names_the_file_and_in_an_archive_the_case():
    assert eye("a").where() == "a.png"
    assert Case("train_3", Path("x.npz"), 0, index=3).where() == "x.npz[train_3]"


def test_by_split_orders_splits_and_loses_no_case():
    cases = tuple(eye(str(i), split=split) for i, split in enumerate(["test", None, "train", "test", "val"]))
    parts = Collection(cases, ("0",), Path("x"), "table").by_split()
    assert list(parts) == ["train", "val", "test", None]
    assert sorted(case.id for part in parts.values() for case in part) == list("01234")


def test_patients_known_only_where_every_case_names_one():
    both = (eye("a", patient="P"), eye("b", patient="P"))
    assert Collection(both, ("0",), Path("x"), "table").patients_known
    assert not Collection((*both, eye("c")), ("0",), Path("x"), "table").patients_known


def test_patients_across_splits_counts_no_split_as_one_and_ignores_unknown_patients():
    cases = [eye("a", patient="P", split="test"), eye("b", patient="P"), eye("c", split="val"), eye("d")]
    assert patients_across_splits(cases) == {"P": ("test", "no split")}


def test_duplicate_ids():
    assert duplicate_ids([eye("a"), eye("b"), eye("a")]) == {"a": 2}
