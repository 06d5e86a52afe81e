"""Cells of a study's tables."""

from __future__ import annotations

from acnorm.report.study_tables import (
    MEASURES,
    RULES,
    layer_cells,
    measure_cells,
    ordered,
    result_cells,
    rule_cells,
    target_cells,
)
from study_tools import study_of_many, tiny


def test_measures_and_rules():
    judgement = study_of_many().judgements[0]
    good, _, mute = judgement.measures
    cells = measure_cells(good)
    assert len(cells) == len(MEASURES)
    assert cells[:3] == ["good", "32 of 32", "+0.800 [+0.800, +0.800]"]
    assert cells[4] == "8 / 0"
    assert cells[6] == "8 of 8"
    assert measure_cells(mute)[1:3] == ["0 of 32", "–"]
    assert len(rule_cells(judgement.rules[0])) == len(RULES)
    assert [row.name for row in ordered(judgement.rules)] == ["best on the other targets", "a random pick", "largest"]


def test_targets_layers_and_results():
    judgement = study_of_many(6).judgements[0]
    targets = target_cells(judgement)
    assert targets[0] == ["weighted τ (regret)", "t0", "t1", "t2", "t3", "t4", "t5"]
    assert targets[1][:3] == ["good", "+0.80 (0.000)", "+0.80 (0.001)"]
    assert targets[3][1] == "– (–)"
    assert layer_cells(judgement)[0] == ["Spearman of Σ C of one layer", "1 step"]
    assert layer_cells(judgement)[1][0] == "bn1"
    assert layer_cells(judgement)[1][1].endswith("(6 + / 0 −)")
    assert result_cells(judgement)[1][:2] == ["a", "0.500 ± 0.010 (3)"]


def test_what_is_missing_is_a_dash():
    rows = {row[0]: row for row in result_cells(tiny()[1].judgements[1])}
    assert "random initialisation" not in rows
    assert result_cells(tiny()[1].judgements[0])[0][1] == "left, Macro AUC"
