from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from acnorm.bench.undefined import Undefined, in_common

RUNS, CASES = 3, 6


@given(arrays.arrays(bool, (RUNS, CASES)))
def test_cases_in_common_are_those_that_all_have(known: np.ndarray):
    values = {str(run): pd.Series(np.where(row, 1.0, np.nan)) for run, row in enumerate(known)}
    found = in_common(values)
    if (known == known[0]).all():
        assert found is None
    else:
        assert found is not None
        np.testing.assert_array_equal(found, known.all(axis=0))


def test_runs_on_other_cases_have_none_in_common():
    first, second = pd.Series([1.0, np.nan], index=["a", "b"]), pd.Series([1.0, 2.0], index=["b", "c"])
    assert in_common({"first": first, "second": second}) is None
    assert in_common({"first": first, "second": pd.Series([1.0], index=["a"])}) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=5))
def test_counts_are_summed_over_runs(runs: list[tuple[int, int, bool]]):
    found = Undefined()
    for first, second, shared in runs:
        found = found.with_run(first, second, 10, shared=shared)
    assert (found.first, found.second) == (sum(run[0] for run in runs), sum(run[1] for run in runs))
    assert found.cases == 10 * len(runs)
    assert found.shared == all(run[2] for run in runs)
    assert bool(found.told("a", "b")) != found.shared


def test_who_is_judged_by_fewer_cases_is_favoured():
    found = Undefined(first=3, second=1, cases=10, shared=False)
    assert found.favours(first=True)
    assert not found.favours(first=False)
    assert not Undefined(first=2, second=2, cases=10, shared=False).favours(first=True)
