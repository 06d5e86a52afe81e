"""Rules that look at no score, rows over targets, and when a side is beyond chance."""

from __future__ import annotations

import pytest

from acnorm.bench.judging import Estimate
from acnorm.bench.study_cells import Scoring, Source, Truth
from acnorm.bench.study_rows import LEAST_TARGETS, rules_of, side_of
from study_tools import foretold, row

RESULTS = {"x": {"a": 0.9, "b": 0.8}, "y": {"a": 0.5, "b": 0.6}, "z": {"a": 0.5, "b": 0.7}}


def truth() -> Truth:
    fresh = Scoring("x", Source("random initialisation", "net", None), "0", None)
    return Truth("vanilla", {}, {}, {}, {}, {("x", "random initialisation"): [fresh]}, ())


def test_rules():
    everyone = {**RESULTS, "x": {**RESULTS["x"], "random initialisation": 0.95}}
    rules = rules_of(RESULTS, everyone, truth(), {"a": 10, "b": 20})
    assert {target: one.regret for target, one in rules["always a"].items()} == pytest.approx(
        {"x": 0.0, "y": 0.1, "z": 0.2}
    )
    assert {target: one.regret for target, one in rules["best on the other targets"].items()} == pytest.approx(
        {"x": 0.1, "y": 0.0, "z": 0.1}  # on x and y together a and b lose as much: their mean on z
    )
    assert rules["largest"]["x"].regret == pytest.approx(0.1)
    assert rules["a random pick"]["z"].regret == pytest.approx(0.1)
    assert rules["a random pick"]["z"].hit == 0.5
    fresh = rules["always random initialisation"]
    assert fresh["x"].regret == pytest.approx(-0.05)  # better than every candidate
    assert fresh["x"].hit == 1
    assert fresh["y"].scored == 0


def test_the_largest_says_nothing_where_all_are_alike():
    rules = rules_of(RESULTS, RESULTS, truth(), {"a": 10, "b": 10})
    assert all(one.scored == 0 for one in rules["largest"].values())


def test_differences_are_paired():
    found = row("good", foretold(8, 0.0), elsewhere=0.1, random=0.2)
    assert found.less.mean == pytest.approx(found.regret.mean - 0.1)
    assert found.less.high - found.less.low == pytest.approx(found.regret.high - found.regret.low)
    assert found.than_random.mean == pytest.approx(found.regret.mean - 0.2)


@pytest.mark.parametrize(
    ("spearman", "direction"), [(0.8, "higher is better"), (-0.8, "lower is better"), (0.03, "open")]
)
def test_directions(spearman: float, direction: str):
    found = row("m", foretold(8, 0.1, spearman))
    assert found.direction == direction
    assert (found.positive, found.negative) == {0.8: (8, 0), -0.8: (0, 8), 0.03: (3, 4)}[spearman]


def test_few_targets_never_show_a_side():
    assert row("m", foretold(LEAST_TARGETS, 0.1)).direction == "higher is better"
    assert row("m", foretold(LEAST_TARGETS - 1, 0.1)).direction == "open"
    assert 2 * 0.5**LEAST_TARGETS < 0.05 < 2 * 0.5 ** (LEAST_TARGETS - 1)
    assert side_of(Estimate(-0.5, -0.75, -0.25, 6)) == -1
    assert side_of(Estimate(-0.5, targets=6)) == 0
