"""The tables of a study for other programs hold the scores and the results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acnorm.report.study_csv import cells_table, measures_table
from study_tools import tiny


def test_one_row_a_target_and_candidate():
    study = tiny()[1]
    table = cells_table(study)
    assert list(table["target"] + table["candidate"]) == [
        target + name for target in ("left", "odd") for name in ("random initialisation", "a", "b", "c", "d")
    ]
    assert list(table.columns[:11]) == [
        *("target", "candidate", "model", "weights", "metric"),
        *("vanilla", "vanilla deviation", "vanilla runs", "acnorm", "acnorm deviation", "acnorm runs"),
    ]
    vanilla = study.judgements[0]
    row = table[(table["target"] == "odd") & (table["candidate"] == "c")].iloc[0]
    assert row["vanilla"] == vanilla.truth.results["odd"]["c"]
    assert row["acnorm"] == pytest.approx(row["vanilla"] + 0.02)
    assert row["vanilla runs"] == 2
    for measure in ("knn", "leep", "ac-corr, 1 step", "affine-drift, 2 epochs"):
        assert row[measure] == vanilla.scores[measure]["odd"]["c"]
    assert table["acnorm"].isna().sum() == 2  # random weights have no AC-Norm
    assert table["knn"].notna().all()


def test_scores_of_other_training_cases_have_columns_of_their_own():
    study = tiny()[1]
    first, second = study.judgements
    moved = {target: dict.fromkeys(values, 0.25) for target, values in second.scores["knn"].items()}
    changed = replace(study, judgements=(first, replace(second, scores={**second.scores, "knn": moved})))
    table = cells_table(changed)
    assert "knn" not in table
    assert set(table["knn (acnorm)"].dropna()) == {0.25}
    assert table["knn (vanilla)"].nunique() > 1
    assert "leep" in table


def test_one_row_a_measure_rule_and_layer():
    study = tiny()[1]
    table = measures_table(study)
    counts = table[table["method"] == "vanilla"]["kind"].value_counts().to_dict()
    ac_corr = {f"ac-corr of one layer, {length}": 2 for length in ("1 step", "2 epochs")}
    assert counts == {"measure": 8, "rule": 8, **ac_corr}
    row = table[(table["method"] == "acnorm") & (table["name"] == "knn")].iloc[0]
    judged = study.judgements[1].measures[0]
    assert (row["tau"], row["regret"], row["hits"]) == (judged.tau.mean, judged.regret.mean, judged.hits.mean)
    assert row["regret_less_elsewhere"] == judged.less.mean
    assert row["tau_targets"] == 2
