from __future__ import annotations

import numpy as np
import pytest

from acnorm.bench.statistics import Difference
from acnorm.bench.words import metric_in_words, name_of, sentence_of, verdict_of


def told(
    difference: Difference, corrected: float | None, *, lower: bool = False, needed: int | None = 40, runs: int = 25
) -> str:
    names = ("acnorm", "vanilla")
    return sentence_of(names, "macro AUC", difference, corrected, lower_is_better=lower, needed=needed, runs=runs)


UP, DOWN = Difference(0.03, 0.01, 0.05, 0.004), Difference(-0.03, -0.05, -0.01, 0.0004)
WIDE = Difference(0.004, -0.01, 0.018, 0.5)


@pytest.mark.parametrize(
    ("difference", "corrected", "lower", "verdict"),
    [
        (UP, 0.004, False, "better"),
        (UP, 0.004, True, "worse"),
        (DOWN, 0.004, False, "worse"),
        (DOWN, 0.004, True, "better"),
        (UP, 0.08, False, "open"),
        (WIDE, 0.5, False, "open"),
        (Difference(0.001, -0.004, 0.006, 0.5), 0.5, False, "alike"),
        (Difference(0.004, 0.001, 0.007, 0.01), 0.01, False, "better"),
        (Difference(0.1), None, False, "unknown"),
    ],
)
def test_verdicts(difference: Difference, corrected: float | None, lower: bool, verdict: str):
    assert verdict_of(difference, corrected, lower_is_better=lower) == verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            told(UP, 0.012),
            "acnorm was better than vanilla in macro AUC by +0.030 (95 % interval +0.010 to +0.050), which is beyond chance on these data (Holm-corrected p 0.012).",
        ),
        (
            told(DOWN, 0.0004),
            "acnorm was worse than vanilla in macro AUC by -0.030 (95 % interval -0.050 to -0.010), which is beyond chance on these data (Holm-corrected p below 0.001).",
        ),
        (
            told(UP, 0.08),
            "acnorm looks better than vanilla in macro AUC by +0.030 (95 % interval +0.010 to +0.050), but among so many comparisons chance alone gives such a difference too often to conclude (Holm-corrected p 0.080).",
        ),
        (
            told(WIDE, 0.5),
            "acnorm cannot be told from vanilla in macro AUC: the difference of +0.004 has the 95 % interval -0.010 to +0.018, which leaves room for acnorm to be better by up to 0.018 and worse by up to 0.010; about 40 runs of each would be needed to see a difference of 1 %.",
        ),
        (
            told(WIDE, 0.5, lower=True, needed=None),
            "acnorm cannot be told from vanilla in macro AUC: the difference of +0.004 has the 95 % interval -0.010 to +0.018, which leaves room for acnorm to be better by up to 0.010 and worse by up to 0.018; no number of runs on these cases would show a difference of 1 %, more cases would.",
        ),
        (
            told(Difference(0.001, -0.004, 0.006, 0.5), 0.5),
            "acnorm and vanilla differ by less than 1 % in macro AUC on these data: +0.001 (95 % interval -0.004 to +0.006).",
        ),
        (
            told(Difference(0.0, 0.0, 0.0, 1.0), 1.0, runs=3),
            "acnorm and vanilla came to the same macro AUC in each of 3 pairs of runs.",
        ),
        (
            told(Difference(0.1), None, runs=1),
            "Nothing can be concluded about acnorm and vanilla in macro AUC: a difference of +0.100, without an interval: give more seeds or folds.",
        ),
        (
            told(Difference(float("nan")), None, runs=0),
            "Nothing can be concluded about acnorm and vanilla in macro AUC: no pair of finished runs has a value.",
        ),
    ],
)
def test_sentences(text: str, expected: str):
    assert text == expected
    assert "prove" not in text


def test_enough_runs_are_said_to_be_enough():
    assert told(WIDE, 0.5, needed=20).endswith(
        "these 25 runs of each would have shown a difference of 1 % four times in five."
    )


def test_nothing_is_said_of_the_runs_needed_where_these_are_unknown():
    text = told(WIDE, 0.5, needed=0)
    assert text.endswith("to be better by up to 0.018 and worse by up to 0.010.")
    assert "these 25 runs" not in text


def test_names():
    assert name_of("patience", 5) == name_of("patience", 5.0) == "patience 5"
    assert name_of("slices", True) == "slices True"
    assert metric_in_words("hd95_LV") == "HD95 LV"


@pytest.mark.parametrize(
    ("axis", "value", "name"),
    [
        ("learning_rate", 0.001, "learning_rate 0.001"),
        ("learning_rate", 1e-5, "learning_rate 1e-05"),
        ("learning_rate", np.float64(0.3), "learning_rate 0.3"),
        ("epochs", 1e6, "epochs 1000000"),
        ("fraction", 1, "100 % of labels"),
        ("fraction", 0.07, "7 % of labels"),
        ("fraction", 0.3, "30 % of labels"),
        ("fraction", 0.125, "12.5 % of labels"),
        ("fraction", 1e-5, "0.001 % of labels"),
    ],
)
def test_numbers_are_written_as_people_write_them(axis: str, value: float, name: str):
    assert name_of(axis, value) == name


@pytest.mark.parametrize("axis", ["learning_rate", "fraction"])
@pytest.mark.parametrize(("one", "other"), [(0.001, 0.0010000001), (0.3, 0.1 + 0.2)])
def test_different_numbers_have_different_names(axis: str, one: float, other: float):
    assert name_of(axis, one) != name_of(axis, other)


def test_millimetres_are_not_told_in_percent():
    names, small = ("acnorm", "vanilla"), Difference(0.001, -0.004, 0.006, 0.5)
    text = sentence_of(names, "HD95", small, 0.5, lower_is_better=True, needed=3, runs=9, share=False)
    assert text == (
        "acnorm cannot be told from vanilla in HD95: the difference of +0.001 has the 95 % interval -0.004 to +0.006, "
        "which leaves room for acnorm to be better by up to 0.004 and worse by up to 0.006."
    )
