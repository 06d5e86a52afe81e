from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from acnorm.bench.results import Results, metric_of, results_of
from acnorm.bench.statistics import corrected_resampled_t
from acnorm.bench.store import Store
from acnorm.data.phantoms import fundus_phantoms
from acnorm.errors import UserError
from bench_tools import base, planned

Value = Callable[[pd.Series], float]


def finish(store: Store, value: Value, *, metric: str = "macro_auc", seconds: Value = lambda _: 10.0) -> Store:
    """Finish all cells with values that depend on their place."""
    for _, row in store.table().iterrows():
        metrics = {metric: {"value": value(row)}}
        found = {"monitor": "val_macro_auc", "seconds": seconds(row), "splits": {"test": {"metrics": metrics}}}
        store.finish(row["address"], found, seconds=1.0, memory=1)
    return store


def without_test(folder: Path, **changes: Any) -> Store:
    """Phantoms whose splits are made here: a table without a split column would do, an archive without test does."""
    fundus_phantoms(folder / "all.npz", domain="target", cases=60, size=16, seed=0, task="disc_side")
    arrays = dict(np.load(folder / "all.npz"))
    joined = {
        f"train_{what}": np.concatenate([arrays[f"{split}_{what}"] for split in ("train", "val", "test")])
        for what in ("images", "labels")
    }
    np.savez(folder / "some.npz", **joined)
    return planned(folder, base=base(folder, data=str(folder / "some.npz")), **changes)


def by_hand(results: Results) -> tuple[np.ndarray, float]:
    table = results.table
    wide = table.pivot(index=["label_seed", "label_fold"], columns="label_method", values="metric_macro_auc")
    return (wide["bn-only"] - wide["vanilla"]).to_numpy(), float(table["ratio"].mean())


def noisy(row: pd.Series) -> float:
    place = 10 * row["label_seed"] + row["label_fold"]
    return 0.7 + 0.01 * np.sin(place) + (0.03 + 0.01 * np.cos(place) if row["label_method"] == "bn-only" else 0)


def test_made_folds_are_judged_by_the_corrected_t_test(tmp_path: Path):
    results = results_of(finish(without_test(tmp_path, seeds=(0, 1), folds=5), noisy))
    (block,) = results.blocks
    (item,) = block.comparisons
    apart, ratio = by_hand(results)
    assert not block.released_test
    assert ratio == pytest.approx(0.2 / 0.64, rel=0.05)
    expected = corrected_resampled_t(apart, ratio)
    assert item.difference.mean == pytest.approx(expected.mean)
    assert (item.difference.low, item.difference.high) == pytest.approx((expected.low, expected.high))
    assert item.corrected == item.difference.p == pytest.approx(expected.p)
    assert (item.name, item.runs, item.record) == ("bn-only", 10, (10, 0, 0))
    assert [level.name for level in block.levels] == ["vanilla", "bn-only"]
    assert item.sentence.startswith("bn-only was better than vanilla in macro AUC by +0.0")
    assert results.record() == {"bn-only": (1, 0, 0)}
    assert item.over_patients is None  # these runs have no cases on disk


def write_cases(store: Store, skill: Callable[[pd.Series, int], float], patients: int = 40) -> None:
    """A per_case.csv for every cell, two cases a patient, of which ``skill`` is the share that is right."""
    for _, row in store.table().iterrows():
        folder = store.run_folder(row["address"])
        folder.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(int(row["label_seed"]))
        lines = []
        for case in range(2 * patients):
            right = draw.random() < skill(row, case // 2)
            share = 0.9 if right == bool(case % 2) else 0.1
            lines.append(("test", f"{case:03}", f"P{case // 2}", case % 2, int(share > 0.5), 1 - share, share))
        names = ["split", "id", "patient", "label", "prediction", "probability_0", "probability_1"]
        pd.DataFrame(lines, columns=names).to_csv(folder / "per_case.csv", index=False)


def test_a_released_test_set_is_judged_by_the_bootstrap_over_patients_and_runs(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1, 2))
    write_cases(store, lambda row, patient: 0.95 if row["label_method"] == "bn-only" else 0.55 + 0.1 * (patient % 2))

    def accuracy(row: pd.Series) -> float:
        cases = pd.read_csv(store.run_folder(row["address"]) / "per_case.csv")
        return float((cases["label"] == cases["prediction"]).mean())

    store = planned(tmp_path, seeds=(0, 1, 2), metric="accuracy")
    results = results_of(finish(store, accuracy, metric="accuracy"))
    (block,) = results.blocks
    (item,) = block.comparisons
    assert block.released_test
    assert block.metric == "accuracy"
    assert item.difference.low < item.difference.mean < item.difference.high
    assert item.over_patients.low > item.difference.low  # chance in training comes on top
    assert item.verdict == "better"
    apart, _ = by_hand_of(results, "accuracy")
    assert item.difference.mean == pytest.approx(apart.mean())
    assert block.levels[0].mean.low < block.levels[0].mean.mean < block.levels[0].mean.high


def test_one_run_each_says_nothing_however_many_patients(tmp_path: Path):
    store = planned(tmp_path)
    write_cases(store, lambda row, _: 0.99 if row["label_method"] == "bn-only" else 0.5)
    (item,) = results_of(finish(store, noisy)).blocks[0].comparisons
    assert item.verdict == "unknown"
    assert (item.difference.low, item.corrected) == (None, None)
    assert item.over_patients.low > 0


def by_hand_of(results: Results, metric: str) -> tuple[np.ndarray, None]:
    wide = results.table.pivot(index="label_seed", columns="label_method", values=f"metric_{metric}")
    return (wide["bn-only"] - wide["vanilla"]).to_numpy(), None


def test_without_cases_a_released_test_set_is_judged_over_runs(tmp_path: Path):
    results = results_of(finish(planned(tmp_path, seeds=(0, 1, 2)), noisy))
    apart, _ = by_hand(results)
    expected = stats.ttest_1samp(apart, 0)
    assert results.blocks[0].comparisons[0].difference.p == pytest.approx(expected.pvalue)


def test_no_interval_leaves_the_range_of_the_metric(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1))
    results = results_of(finish(store, lambda row: 0.6 + 0.3 * row["label_seed"] * (row["label_method"] == "bn-only")))
    (block,) = results.blocks
    (item,) = block.comparisons
    assert (item.difference.low, item.difference.high) == (-1.0, 1.0)
    assert block.levels[1].mean.mean == pytest.approx(0.75)
    assert (block.levels[1].mean.low, block.levels[1].mean.high) == (0.0, 1.0)
    assert item.difference.p == pytest.approx(0.5)  # of the t-test, as it is


def test_blocks_are_tasks_and_fractions_and_p_values_are_corrected_over_all(tmp_path: Path):
    store = planned(
        tmp_path,
        axes={"method": ["vanilla", "bn-only", "l2"]},
        tasks={"short": {"epochs": 1}, "long": {"epochs": 2}},
        fractions=(0.5, 1.0),
        seeds=(0, 1, 2, 3),
    )

    def value(row: pd.Series) -> float:
        gain = {"vanilla": 0.0, "bn-only": 0.05, "l2": 0.0}[row["label_method"]]
        return 0.6 + gain * row["label_fraction"] + 0.01 * np.sin(7 * row["position"])

    results = results_of(finish(store, value, seconds=lambda row: 20.0 if row["label_method"] == "l2" else 10.0))
    assert [block.name for block in results.blocks] == [
        "short, 50 % of labels",
        "short, 100 % of labels",
        "long, 50 % of labels",
        "long, 100 % of labels",
    ]
    assert [block.group for block in results.blocks] == ["short", "short", "long", "long"]
    items = [item for block in results.blocks for item in block.comparisons]
    assert len(items) == 8
    smallest = min(items, key=lambda item: item.difference.p)
    assert smallest.corrected == pytest.approx(8 * smallest.difference.p)
    assert {item.cost for item in items if item.name == "l2"} == {2.0}
    assert items[0].sentence.startswith("short, 50 % of labels: bn-only ")
    assert sum(sum(counts) for counts in results.record().values()) == 8


def test_where_less_is_better(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1, 2), metric="brier")
    results = results_of(finish(store, noisy, metric="brier"))
    (item,) = results.blocks[0].comparisons
    assert results.blocks[0].lower_is_better
    assert item.record == (0, 0, 3)
    assert item.difference.mean > 0
    assert "was worse than" in item.sentence or "worse by up to" in item.sentence or "looks worse" in item.sentence


def test_what_is_not_finished_or_failed_is_left_out_in_pairs(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1, 2))
    table = store.table()
    for at, row in table.iterrows():
        if at == 1:
            store.fail(row["address"], "it broke", memory=None)
            store.fail(row["address"], "it broke", memory=None)
        elif at != 5:
            found = {"macro_auc": {"value": 0.5 + 0.1 * at}}
            content = {"monitor": "val_macro_auc", "seconds": 1.0, "splits": {"test": {"metrics": found}}}
            store.finish(row["address"], content, seconds=1.0, memory=1)
    results = results_of(store)
    (item,) = results.blocks[0].comparisons
    assert item.runs == 1
    assert item.sentence.startswith("Nothing can be concluded about bn-only and vanilla")
    assert [level.runs for level in results.blocks[0].levels] == [3, 1]
    assert results.failed == [("method bn-only, fraction 1.0, seed 0, fold 0", "it broke")]


def test_nothing_finished_is_no_error(tmp_path: Path):
    results = results_of(planned(tmp_path))
    (item,) = results.blocks[0].comparisons
    assert item.sentence.endswith("no pair of finished runs has a value.")
    assert results.counts["waiting"] == 2


def test_a_task_that_has_not_what_was_asked_for_is_compared_by_its_own(tmp_path: Path):
    tasks = {"eyes": {"epochs": 1}, "hearts": {"epochs": 2}}
    store = planned(tmp_path, tasks=tasks, metric="accuracy", seeds=(0, 1))
    for _, row in store.table().iterrows():
        name = "accuracy" if row["label_task"] == "hearts" else "macro_auc"
        found = {"monitor": f"val_{name}", "seconds": 1.0, "splits": {"test": {"metrics": {name: {"value": 0.5}}}}}
        store.finish(row["address"], found, seconds=1.0, memory=1)
    assert [(block.task, block.metric) for block in results_of(store).blocks] == [
        ("eyes", "macro_auc"),
        ("hearts", "accuracy"),
    ]


def test_a_report_while_no_run_has_the_metric_yet_takes_that_of_the_runs(tmp_path: Path):
    results = results_of(finish(planned(tmp_path, metric="brier"), noisy))
    assert [block.metric for block in results.blocks] == ["macro_auc"]


def test_a_metric_with_a_sign_is_refused(tmp_path: Path):
    done = finish(planned(tmp_path), noisy, metric="volume_error_liver").table()
    with pytest.raises(UserError, match="--metric volume_error_liver: has a sign and no better end; give another"):
        metric_of(done, "volume_error_liver")


def test_the_metric_of_one_region_stands_for_the_mean(tmp_path: Path):
    store = planned(tmp_path)
    for _, row in store.table().iterrows():
        found = {name: {"value": 0.5} for name in ("iou_vessel", "dice_vessel")}
        content = {"monitor": "val_dice", "seconds": 1.0, "splits": {"test": {"metrics": found}}}
        store.finish(row["address"], json.loads(json.dumps(content)), seconds=1.0, memory=1)
    assert results_of(store).blocks[0].metric == "dice_vessel"


def test_checkpoints_are_compared_with_random_weights(tmp_path: Path):
    (tmp_path / "a.pth").write_bytes(b"a")
    store = planned(tmp_path, axes={"weights": [None, str(tmp_path / "a.pth")]}, seeds=(0, 1))
    (item,) = results_of(store).blocks[0].comparisons
    assert item.name == str(tmp_path / "a.pth")
    assert "and random weights in" in item.sentence


def distances(store: Store, of: Callable[[pd.Series, int], float]) -> Results:
    """Runs with the HD95 of a tumour in twenty test cases, of which each mean is of those that have one."""
    means = {}
    for _, row in store.table().iterrows():
        folder = store.run_folder(row["address"])
        folder.mkdir(parents=True, exist_ok=True)
        values = [of(row, case) for case in range(20)]
        table = pd.DataFrame({"split": "test", "id": [f"{case:02}" for case in range(20)], "hd95_tumour": values})
        table.assign(patient="", label="", prediction="").to_csv(folder / "per_case.csv", index=False)
        means[row["address"]] = None if np.isnan(values).all() else float(np.nanmean(values))
    return results_of(finish(store, lambda row: means[row["address"]], metric="hd95_tumour"))


@pytest.mark.parametrize(("worse_by", "verdict"), [(1.0, "worse"), (-1.0, "open")])
def test_who_misses_the_hard_cases_is_not_better_by_that(tmp_path: Path, worse_by: float, verdict: str):
    """Ten easy cases at 4, and ten hard ones at 20, of which one method finds nothing."""

    def hd95(row: pd.Series, case: int) -> float:
        hard, chance = case >= 10, 0.1 * np.sin(row["label_seed"] + case)
        if row["label_method"] == "bn-only":
            return float("nan") if hard else 4 + worse_by + chance
        return 20 + chance if hard else 4 + chance / 2

    (block,) = distances(planned(tmp_path, seeds=(0, 1, 2, 3, 4)), hd95).blocks
    (item,) = block.comparisons
    assert item.difference.mean == pytest.approx(worse_by, abs=0.2)
    assert item.over_patients.mean == pytest.approx(worse_by, abs=0.2)
    assert block.values["bn-only"].sub(block.values["vanilla"]).mean() == pytest.approx(item.difference.mean)
    assert item.verdict == verdict  # better alone it is not called, who is judged by fewer cases
    assert item.sentence.endswith(
        " (HD95 tumour is not defined in 50 of 100 test cases of bn-only and in 0 of vanilla; compared where both are, "
        "which says nothing of the cases that were missed)."
    )


def test_a_run_that_finds_nothing_is_told(tmp_path: Path):
    def hd95(row: pd.Series, case: int) -> float:
        nothing = row["label_method"] == "bn-only" and row["label_seed"] < 2
        return float("nan") if nothing else 5 + 0.1 * case + row["label_seed"]

    (block,) = distances(planned(tmp_path, seeds=(0, 1, 2, 3)), hd95).blocks
    (item,) = block.comparisons
    assert (item.runs, item.undefined.first, item.undefined.cases) == (2, 40, 80)
    assert block.values.dropna().index.tolist() == [(2, 0), (3, 0)]
    assert "(HD95 tumour is not defined in 40 of 80 test cases of bn-only and in 0 of vanilla; " in item.sentence


def test_cases_that_nobody_can_be_judged_in_are_no_difference(tmp_path: Path):
    def hd95(row: pd.Series, case: int) -> float:
        found = 5 + 0.1 * case + row["label_seed"] + (row["label_method"] == "bn-only")
        return float("nan") if case < 4 else found

    (block,) = distances(planned(tmp_path, seeds=(0, 1, 2)), hd95).blocks
    (item,) = block.comparisons
    assert (item.undefined.first, item.undefined.second, item.undefined.shared) == (12, 12, True)
    assert "not defined" not in item.sentence
    assert item.difference.mean == pytest.approx(1)


def test_levels_that_differ_in_a_late_digit_are_two(tmp_path: Path):
    rates = [0.001, 0.0010000001, 0.002]
    store = planned(tmp_path, axes={"learning_rate": rates}, seeds=(0, 1))
    (block,) = results_of(finish(store, lambda row: row["label_learning_rate"])).blocks
    names = ["learning_rate 0.001", "learning_rate 0.0010000001", "learning_rate 0.002"]
    assert [(level.name, level.runs) for level in block.levels] == [(name, 2) for name in names]


def test_tables_that_differ_in_a_late_digit_have_titles_of_their_own(tmp_path: Path):
    axes = {"method": ["vanilla", "bn-only"], "learning_rate": [0.001, 0.0010000001]}
    results = results_of(planned(tmp_path, axes=axes, fractions=(0.3, 0.5)))
    assert [block.name for block in results.blocks] == [
        "learning_rate 0.001, 30 % of labels",
        "learning_rate 0.001, 50 % of labels",
        "learning_rate 0.0010000001, 30 % of labels",
        "learning_rate 0.0010000001, 50 % of labels",
    ]
