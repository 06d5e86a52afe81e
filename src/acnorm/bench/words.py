"""What can and cannot be concluded from a comparison, in plain sentences."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from acnorm.bench.statistics import Difference
from acnorm.errors import counted

LEVEL = 0.05
MARGIN = 0.01  # the difference that a reader asks about: 1 %
NO_SHARES = ("hd95", "false_lesions", "volume_error", "ejection_fraction_error")  # for which 1 % says nothing
Verdict = Literal["better", "worse", "alike", "open", "unknown"]


def verdict_of(
    difference: Difference, corrected: float | None, *, lower_is_better: bool, share: bool = True
) -> Verdict:
    """Return what a comparison says.

    "better" or "worse": beyond chance, after the correction for the number of comparisons. "alike": any difference is
    below ``MARGIN`` (of metrics that are shares). "open": the interval leaves room. "unknown": too few runs for an
    interval.

    Examples:
        >>> verdict_of(Difference(0.03, 0.01, 0.05, 0.01), 0.02, lower_is_better=False)
        'better'
        >>> verdict_of(Difference(0.03, -0.01, 0.07, 0.2), 0.4, lower_is_better=False)
        'open'
    """
    if difference.low is None or difference.high is None or corrected is None:
        return "unknown"
    if corrected < LEVEL and (difference.low > 0 or difference.high < 0):
        return "better" if (difference.mean > 0) != lower_is_better else "worse"
    if share and max(abs(difference.low), abs(difference.high)) < MARGIN:
        return "alike"
    return "open"


def sentence_of(
    names: tuple[str, str],
    metric: str,
    difference: Difference,
    corrected: float | None,
    *,
    lower_is_better: bool,
    needed: int | None,
    runs: int,
    share: bool = True,
) -> str:
    """Return what can be concluded of a comparison.

    Args:
        names: of the two, the baseline second.
        metric: as people write it.
        difference: first minus second.
        corrected: the p value after Holm's correction.
        lower_is_better: of the metric.
        needed: runs with which a difference of ``MARGIN`` would be seen; None where none is enough, 0 where it is
            unknown.
        runs: pairs that there are.
        share: whether 1 % of the metric says something.

    Examples:
        >>> seen = Difference(0.03, 0.01, 0.05, 0.001)
        >>> sentence_of(("a", "b"), "Dice", seen, 0.001, lower_is_better=False, needed=4, runs=9)
        'a was better than b in Dice by +0.030 (95 % interval +0.010 to +0.050), which is beyond chance on these data \
(Holm-corrected p 0.001).'
    """
    first, second = names
    verdict = verdict_of(difference, corrected, lower_is_better=lower_is_better, share=share)
    if verdict == "unknown" or difference.low is None or difference.high is None:
        what = f"a difference of {difference.mean:+.3f}" if runs else "no pair of finished runs has a value"
        return (
            f"Nothing can be concluded about {first} and {second} in {metric}: {what}"
            f"{', without an interval: give more seeds or folds' if runs else ''}."
        )
    interval = f"95 % interval {difference.low:+.3f} to {difference.high:+.3f}"
    told = f"{difference.mean:+.3f} ({interval})"
    if verdict in ("better", "worse"):
        return (
            f"{first} was {verdict} than {second} in {metric} by {told}, which is beyond chance on these data "
            f"(Holm-corrected p {_p(corrected)})."
        )
    if difference.low == difference.high == 0:
        where = "the one pair" if runs == 1 else f"each of {runs} pairs"
        return f"{first} and {second} came to the same {metric} in {where} of runs."
    if verdict == "alike":
        return f"{first} and {second} differ by less than 1 % in {metric} on these data: {told}."
    if difference.low > 0 or difference.high < 0:
        side = "better" if (difference.mean > 0) != lower_is_better else "worse"
        return (
            f"{first} looks {side} than {second} in {metric} by {told}, but among so many comparisons chance alone "
            f"gives such a difference too often to conclude (Holm-corrected p {_p(corrected)})."
        )
    most, least = (-difference.low, difference.high) if lower_is_better else (difference.high, -difference.low)
    return (
        f"{first} cannot be told from {second} in {metric}: the difference of {difference.mean:+.3f} "
        f"has the {interval}, "
        f"which leaves room for {first} to be better by up to {most:.3f} and worse by up to {least:.3f}"
        f"{f'; {_needed(needed, runs)}' if share and needed != 0 else ''}."
    )


def unfinished_sentence(unfinished: int, cells: int) -> str:
    """Return the caution that figures are not of all cells.

    Examples:
        >>> unfinished_sentence(1, 8), unfinished_sentence(3, 8)[:28]
        ('1 of 8 cells is not finished: the figures are of the others.', '3 of 8 cells are not finishe')
    """
    verb = "is" if unfinished == 1 else "are"
    return f"{unfinished} of {counted(cells, 'cell')} {verb} not finished: the figures are of the others."


def _needed(needed: int | None, runs: int) -> str:
    if needed is None:
        return "no number of runs on these cases would show a difference of 1 %, more cases would"
    if needed <= runs:
        return f"these {runs} runs of each would have shown a difference of 1 % four times in five"
    return f"about {needed} runs of each would be needed to see a difference of 1 %"


def _p(value: float | None) -> str:
    return "unknown" if value is None else "below 0.001" if value < 0.001 else f"{value:.3f}"


def name_of(axis: str, value: Any) -> str:
    """Return how a value of an axis is written, so that different values have different names.

    Examples:
        >>> name_of("weights", None), name_of("patience", None), name_of("fraction", 0.25), name_of("method", "bss")
        ('random weights', 'no patience', '25 % of labels', 'bss')
    """
    if value is None:
        return "random weights" if axis == "weights" else f"no {axis}"
    if axis == "fraction":
        return f"{(100 * Decimal(repr(float(value)))).normalize():f} % of labels"
    if isinstance(value, str):
        return value
    return f"{axis} {in_digits(value)}" if isinstance(value, float) else f"{axis} {value}"


def in_digits(value: float) -> str:
    """Return a number in as few digits as tell it from every other.

    Examples:
        >>> in_digits(5.0), in_digits(0.001), in_digits(0.0010000001), in_digits(1e-5)
        ('5', '0.001', '0.0010000001', '1e-05')
    """
    short = f"{value:.15g}"
    return short if float(short) == value else repr(float(value))


def metric_in_words(metric: str) -> str:
    """Return a metric as it stands in a sentence.

    Examples:
        >>> metric_in_words("macro_auc"), metric_in_words("dice"), metric_in_words("dice_LV")
        ('macro AUC', 'mean Dice', 'Dice LV')
    """
    if metric == "dice":
        return "mean Dice"
    words = {"auc": "AUC", "dice": "Dice", "hd95": "HD95", "iou": "IoU", "f1": "F1", "cldice": "clDice"}
    return " ".join(words.get(word, word) for word in metric.split("_"))
