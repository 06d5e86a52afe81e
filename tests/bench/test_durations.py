from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnorm.bench.durations import in_words, seconds_of
from acnorm.errors import UserError


@given(number=st.integers(1, 10**6), unit=st.sampled_from("smh"))
def test_numbers_with_a_unit(number: int, unit: str):
    assert seconds_of(f"{number}{unit}") == number * {"s": 1, "m": 60, "h": 3600}[unit]


@pytest.mark.parametrize("text", ["", "2", "0h", "2 days", "-3m", "h", "1e3s", "infh", "2h30"])
def test_other_texts_are_refused(text: str):
    told = re.escape(f"--budget is {text!r}, must be a time above 0 such as 90s, 30m or 2h.")
    with pytest.raises(UserError, match=f"^{told}$"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "59 min 59 s"), (3600, "1 h"), (5400, "1 h 30 min"), (3629, "1 h")],
)  # fmt: skip
def test_times_in_words(seconds: float, words: str):
    assert in_words(seconds) == words
