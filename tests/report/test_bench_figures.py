from __future__ import annotations

import numpy as np
import pytest

from acnorm.bench.results import Block, Comparison, Level
from acnorm.bench.statistics import Difference
from acnorm.report.bench_figures import cost_and_gain, forest


def block(metric: str, mean: float) -> Block:
    """AC-Norm against plain fine-tuning, with an interval twice as far above as below."""
    difference = Difference(mean, mean - 0.01, mean + 0.02, 0.01)
    levels = tuple(Level(name, 3, None, 1.0, None) for name in ("vanilla", "acnorm"))
    alone = Difference(mean, mean - 0.001, mean + 0.002, 0.01)
    item = Comparison("acnorm", 3, difference, alone, 0.01, (3, 0, 0), 3, 1.5)
    return Block("", "", 1.0, metric, False, levels, (item,))


@pytest.mark.parametrize(
    ("metric", "mean", "low", "high", "label"),
    [
        ("macro_auc", 0.03, 0.02, 0.05, "difference from the baseline"),
        ("brier", -0.03, 0.01, 0.04, "difference from the baseline, turned so that more is better"),
    ],
)
def test_better_is_on_the_same_side_for_errors(metric: str, mean: float, low: float, high: float, label: str):
    (axis,) = forest.__wrapped__([block(metric, mean)]).axes
    _, alone, decides, dot = axis.lines
    assert dot.get_xdata() == pytest.approx([0.03])
    assert decides.get_xdata() == pytest.approx([low, high])
    assert low < np.mean(alone.get_xdata()) < high
    assert axis.get_xlabel() == label
    (axis,) = cost_and_gain.__wrapped__([block(metric, mean)]).axes
    _, _, interval, dot = axis.lines
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == pytest.approx((1.5, 0.03))
    assert interval.get_ydata() == pytest.approx([low, high])
    assert axis.get_ylabel() == label
