"""Candidates, targets and ways of fine-tuning, told from the labels and settings of the cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from acnorm.bench.store import Store
from acnorm.bench.study_cells import read_truths
from acnorm.errors import UserError
from bench_tools import planned, result
from study_tools import study_bench, tiny, value_of
from tiny_runs import checkpoint


def test_each_way_of_fine_tuning_is_a_truth_of_candidates_by_targets():
    store = Store.existing(tiny()[0])
    vanilla, acnorm = read_truths(store)
    assert (vanilla.name, acnorm.name) == ("vanilla", "acnorm")
    assert list(vanilla.results) == ["left", "odd"]
    assert list(vanilla.results["left"]) == ["random initialisation", "a", "b", "c", "d"]
    assert list(acnorm.results["left"]) == ["a", "b", "c", "d"]
    assert vanilla.results["left"]["d"] == pytest.approx(0.6 + 0.0005 + 0.15)
    assert vanilla.runs["left"]["d"] == 2
    assert vanilla.deviations["left"]["d"] == pytest.approx(0.001 / 2**0.5)
    assert vanilla.metrics == {"left": "macro_auc", "odd": "macro_auc"}
    (scoring,) = vanilla.scorings["left", "b"]  # both seeds have the released splits
    assert scoring.source.weights == str(tiny()[0].parent / "b.pth")
    assert Path(scoring.splits).is_file()
    assert vanilla.scorings["left", "random initialisation"][0].source.weights is None


def small(folder: Path, value: Callable[[pd.Series], float | None] = value_of, **changes: object) -> Store:
    """Two candidates on one target, both by AC-Norm."""
    weights = [checkpoint(folder / f"{name}.pth", seed=1) for name in "ad"]
    axes = {"weights": [str(file) for file in weights]}
    settings = {"targets": ("left",), "axes": axes, "exclude": ()} | changes
    return Store.existing(study_bench(folder, value, **settings))


def test_only_seeds_that_all_candidates_have_finished_count(tmp_path: Path):
    def value(row: pd.Series) -> float | None:
        return None if row["label_seed"] == 1 and row["label_weights"].endswith("d.pth") else value_of(row)

    (truth,) = read_truths(small(tmp_path, value))
    assert truth.name == "acnorm"
    assert truth.runs == {"left": {"a": 1, "d": 1}}
    assert truth.results["left"]["a"] == pytest.approx(0.6)
    assert truth.uneven == ()


def test_candidates_without_a_seed_in_common_are_said(tmp_path: Path):
    def value(row: pd.Series) -> float | None:
        return value_of(row) if row["label_seed"] == row["label_weights"].endswith("d.pth") else None

    (truth,) = read_truths(small(tmp_path, value))
    assert truth.runs == {"left": {"a": 1, "d": 1}}
    assert truth.uneven == ("left",)


def test_shares_of_the_labels_are_ways_of_their_own(tmp_path: Path):
    half, whole = read_truths(small(tmp_path, fractions=(0.5, 1.0), seeds=(0,)))
    assert (half.name, whole.name) == ("50 % of labels", "100 % of labels")
    assert half.scorings["left", "a"][0].splits != whole.scorings["left", "a"][0].splits


def test_a_share_that_each_target_has_of_its_own_is_no_way_of_fine_tuning(tmp_path: Path):
    tasks = {
        name: {"data": str(tmp_path / f"{name}.npz"), "fractions": [part]}
        for name, part in (("left", 0.5), ("odd", 0.75))
    }
    (truth,) = read_truths(small(tmp_path, targets=("left", "odd"), tasks=tasks, seeds=(0,)))
    assert list(truth.results) == ["left", "odd"]
    assert truth.name == "acnorm"


def test_every_division_into_splits_is_scored(tmp_path: Path):
    (truth,) = read_truths(small(tmp_path, folds=2, seeds=(0, 1)))
    assert truth.runs["left"] == {"a": 4, "d": 4}
    assert len({one.splits for one in truth.scorings["left", "a"]}) == 4


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path):
    files = []
    for at, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        files.append(str(checkpoint(tmp_path / name / "w.pth", seed=at)))
    (truth,) = read_truths(small(tmp_path, axes={"weights": files}, value=lambda _: 0.5))
    assert list(truth.results["left"]) == ["one/w", "two/w"]


def test_lower_is_better_is_turned():
    truth = read_truths(Store.existing(tiny()[0]))[0]
    assert truth.better == truth.results
    assert (
        replace(truth, metrics=dict.fromkeys(truth.metrics, "brier")).better["odd"]["a"] == -truth.results["odd"]["a"]
    )


def test_nothing_finished_and_one_candidate_are_refused(tmp_path: Path):
    store = planned(tmp_path)
    with pytest.raises(
        UserError, match=r"^no cell of the bench has finished; wait for acnorm bench, or run it again\.$"
    ):
        read_truths(store)
    store.finish(store.table()["address"][0], result(0.5), seconds=1.0, memory=1)
    told = r"^the finished cells have one candidate; a study needs weights \(or model\) as an axis\.$"
    with pytest.raises(UserError, match=told):
        read_truths(store)


def test_while_settings_are_searched_no_test_figure_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = small(tmp_path)
    store.plan([], {"searching": True})
    monkeypatch.setattr(Store, "table", None)
    with pytest.raises(
        UserError, match=r"^settings are still being searched; wait for the bench, or give its command again\.$"
    ):
        read_truths(store)
