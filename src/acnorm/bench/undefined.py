"""Metrics that are not defined in every case, such as the HD95 of a region that was missed: what may be compared.

A method that misses a region in the hard cases has no distance there, and its mean is one of the easy cases. So runs
are compared in the cases in which all of them have a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool
from numpy.typing import NDArray


@dataclass(frozen=True)
class Undefined:
    """Test cases, counted once a run, in which a metric is not defined, in the runs of two that are compared.

    first, second: of each. cases: of all. shared: whether these are the same cases in both.

    Examples:
        >>> Undefined(first=3, second=0, cases=40, shared=False).told("acnorm", "vanilla")
        'not defined in 3 of 40 test cases of acnorm and in 0 of vanilla; compared where both are, which says nothing \
of the cases that were missed'
        >>> Undefined(first=3, second=3, cases=40, shared=True).told("acnorm", "vanilla")
        ''
    """

    first: int = 0
    second: int = 0
    cases: int = 0
    shared: bool = True

    def with_run(self, first: int, second: int, cases: int, *, shared: bool) -> Undefined:
        """Return the counts with those of one more run of each."""
        return Undefined(self.first + first, self.second + second, self.cases + cases, self.shared and shared)

    def told(self, first: str, second: str) -> str:
        """Return it in words; nothing where the same cases are left out of both."""
        if self.shared:
            return ""
        return (
            f"not defined in {self.first} of {self.cases} test cases of {first} and in {self.second} of {second}; "
            "compared where both are, which says nothing of the cases that were missed"
        )

    def favours(self, *, first: bool) -> bool:
        """Return whether one of the two is judged by fewer cases than the other, which may make it look better."""
        return self.first > self.second if first else self.second > self.first


def in_common(values: Mapping[str, pd.Series[float]]) -> Bool[NDArray[np.bool_], " case"] | None:
    """Return the cases in which all runs have a value; None where these are the same for each, so that all are counted.

    Args:
        values: of the test cases of each run, by id, NaN where not defined; None is returned of runs on other cases.

    Examples:
        >>> first, second = pd.Series([2.0, float("nan"), 1.0]), pd.Series([3.0, 9.0, 4.0])
        >>> in_common({"first": first, "second": second}).tolist()
        [True, False, True]
        >>> in_common({"first": second, "second": second}) is None
        True
    """
    columns = list(values.values())
    known: Sequence[NDArray[np.bool_]] = [column.notna().to_numpy() for column in columns]
    same_cases = all(column.index.equals(columns[0].index) for column in columns)
    if not same_cases or len({column.tobytes() for column in known}) < 2:
        return None
    found: NDArray[np.bool_] = np.logical_and.reduce(known)
    return found
