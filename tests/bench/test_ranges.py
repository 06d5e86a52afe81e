from __future__ import annotations

from math import inf

import pytest

from acnorm.bench.ranges import difference_within, mean_within, range_of
from acnorm.bench.statistics import Difference


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("macro_auc", (0, 1)),
        ("dice_LV", (0, 1)),
        ("quadratic_kappa", (-1, 1)),
        ("brier", (0, 2)),
        ("hd95_LV", (0, inf)),
        ("false_lesions", (0, inf)),
        ("volume_error_LV", (-inf, inf)),
    ],
)
def test_where_metrics_end(metric: str, expected: tuple[float, float]):
    assert range_of(metric) == expected


def test_intervals_are_cut_and_the_rest_stays():
    wide = Difference(0.9, -3.0, 3.0, 0.2)
    assert mean_within(wide, "quadratic_kappa") == Difference(0.9, -1.0, 1.0, 0.2)
    assert difference_within(wide, "quadratic_kappa") == Difference(0.9, -2.0, 2.0, 0.2)
    assert mean_within(wide, "hd95") == Difference(0.9, 0.0, 3.0, 0.2)
    assert difference_within(wide, "hd95") == wide
    assert mean_within(Difference(0.9), "dice") == Difference(0.9)
