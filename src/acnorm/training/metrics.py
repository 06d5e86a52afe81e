"""Classification metrics and their bootstrap intervals.

The values are those of scikit-learn and torchmetrics (the tests compare them); they are written here as array
operations because an interval takes a thousand evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from acnorm.data.case import Case
from acnorm.ranking.auc import macro_auc

METRICS = (
    "macro_auc",
    "accuracy",
    "balanced_accuracy",
    "quadratic_kappa",
    "macro_f1",
    "brier",
    "expected_calibration_error",
)
OF_TWO_CLASSES = ("sensitivity_at_specificity_90",)
LOWER_IS_BETTER = ("brier", "expected_calibration_error", "hd95", "false_lesions", "ejection_fraction_error")
SIGNED = ("volume_error",)  # of which neither more nor less is better
SPECIFICITY = 0.9
BINS = 15
THRESHOLD = 0.5  # of the probability from which a class is said to be there, where there may be several
Measure = Callable[[NDArray[Any], NDArray[np.float64]], dict[str, float]]


@dataclass(frozen=True)
class Interval:
    """A metric with its 95 % interval; None where it is not defined.

    undefined: cases (or patients) that a mean leaves out because it is not defined there.
    """

    value: float | None
    low: float | None
    high: float | None
    undefined: int = 0

    def to_dict(self) -> dict[str, float | None]:
        """Plain values for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def classification_metrics(
    labels: Int[NDArray[np.int64], " case"], probabilities: Float[NDArray[np.float64], "case class"]
) -> dict[str, float]:
    """Return every metric of ``METRICS`` and, of two classes, ``OF_TWO_CLASSES``; NaN where one is not defined.

    macro_auc: mean of the one-vs-rest areas under the ROC curve, over the classes with cases of both kinds.
    balanced_accuracy: mean recall over the classes that have cases. quadratic_kappa: Cohen's kappa with
    quadratic weights. macro_f1: mean over the classes that have cases or predictions. brier: squared error of
    the probabilities summed over classes (0 to 2). expected_calibration_error: 15 equal bins of the top
    probability, absolute gap weighted by cases. sensitivity_at_specificity_90: the largest sensitivity for the second
    class at a threshold that leaves 90 % of the first alone.

    Args:
        labels: true class of each case.
        probabilities: rows sum to 1.

    Raises:
        ValueError: no cases.

    Examples:
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> metrics = classification_metrics(np.array([0, 1, 1]), probabilities)
        >>> round(metrics["accuracy"], 3), metrics["macro_auc"]
        (0.667, 1.0)
    """
    if not len(labels):
        raise ValueError("there are no cases to measure.")
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(float)
    truth = np.eye(classes)[labels]
    metrics = {
        "macro_auc": macro_auc(truth > 0, probabilities),
        "accuracy": float(confusion.trace() / confusion.sum()),
        "balanced_accuracy": _balanced_accuracy(confusion),
        "quadratic_kappa": _quadratic_kappa(confusion),
        "macro_f1": _macro_f1(confusion),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "expected_calibration_error": _calibration_error(predicted == labels, probabilities.max(axis=1)),
    }
    if classes == 2:
        metrics["sensitivity_at_specificity_90"] = _sensitivity_at(SPECIFICITY, labels == 1, probabilities[:, 1])
    return metrics


def multilabel_metrics(
    truth: Bool[NDArray[np.bool_], "case class"], probabilities: Float[NDArray[np.float64], "case class"]
) -> dict[str, float]:
    """Return the metrics of cases that may show several classes; NaN where one is not defined.

    macro_auc: mean over the classes with cases of both kinds. macro_average_precision, macro_f1: means over the classes
    that have cases. label_accuracy: share of all answers, case by class, that are right. exact_match: share of cases
    with all classes right. A class is said to be there from a probability of a half on. brier: mean squared error of
    the probabilities (0 to 1).

    Args:
        truth: which classes each case shows.
        probabilities: of each class by itself.

    Raises:
        ValueError: no cases.

    Examples:
        >>> truth = np.array([[True, False], [True, True], [False, False]])
        >>> metrics = multilabel_metrics(truth, np.array([[0.9, 0.2], [0.8, 0.4], [0.1, 0.1]]))
        >>> metrics["macro_auc"], round(metrics["label_accuracy"], 3), round(metrics["exact_match"], 3)
        (1.0, 0.833, 0.667)
    """
    if not len(truth):
        raise ValueError("there are no cases to measure.")
    found = probabilities >= THRESHOLD
    present = truth.any(axis=0)
    hits = (truth & found).sum(axis=0)
    f1 = 2 * hits / np.maximum(truth.sum(axis=0) + found.sum(axis=0), 1)
    nothing = float("nan")
    return {
        "macro_auc": macro_auc(truth, probabilities),
        "macro_average_precision": (
            float(_average_precisions(truth, probabilities)[present].mean()) if present.any() else nothing
        ),
        "macro_f1": float(f1[present].mean()) if present.any() else nothing,
        "label_accuracy": float((found == truth).mean()),
        "exact_match": float((found == truth).all(axis=1).mean()),
        "brier": float(((probabilities - truth) ** 2).mean()),
    }


def truth_of(cases: Sequence[Case], classes: int) -> Bool[NDArray[np.bool_], "case class"]:
    """Return which classes each case shows.

    Examples:
        >>> from pathlib import Path
        >>> truth_of([Case("a", Path("lungs.npz"), 0, labels=(0, 2)), Case("b", Path("lungs.npz"), 1)], 3).astype(int)
        array([[1, 0, 1],
               [0, 1, 0]])
    """
    truth = np.zeros((len(cases), classes), dtype=bool)
    for row, case in enumerate(cases):
        truth[row, list(case.shown)] = True
    return truth


def with_intervals(
    labels: NDArray[Any],
    probabilities: Float[NDArray[np.float64], "case class"],
    groups: Sequence[str],
    *,
    measure: Measure = classification_metrics,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return every metric with the 2.5 and 97.5 percentiles over resampled groups (patients, or cases).

    The calibration error of a resample is larger than that of the cases it is drawn from, the more the fewer there are
    (its bins hold the same cases several times): those resamples are first shifted by their mean excess (the
    bootstrap's estimate of the bias, Efron and Tibshirani 1993, chapter 10), and end at 0.

    Args:
        labels: true class of each case, or what else ``measure`` takes.
        probabilities: of each case.
        groups: the patient of each case; all cases of a patient are drawn together. A name for each case
            resamples cases.
        measure: gives the metrics by name.
        resamples: bootstrap samples.
        seed: of the resampling.

    Examples:
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
        >>> result = with_intervals(np.array([0, 1, 1, 0]), probabilities, ["a", "b", "c", "d"], resamples=200)
        >>> result["accuracy"].value, result["accuracy"].low <= 0.5 <= result["accuracy"].high
        (0.5, True)
    """
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    members = [np.flatnonzero(inverse == group) for group in range(len(names))]
    draw = np.random.default_rng(seed)
    samples = []
    for _ in range(resamples):
        chosen = np.concatenate([members[group] for group in draw.integers(len(names), size=len(names))])
        samples.append(list(measure(labels[chosen], probabilities[chosen]).values()))
    values = measure(labels, probabilities)
    table = np.array(samples)
    if "expected_calibration_error" in values:
        error = list(values).index("expected_calibration_error")
        table[:, error] = (table[:, error] - table[:, error].mean() + values["expected_calibration_error"]).clip(0, 1)
    return {name: _interval(value, table[:, at]) for at, (name, value) in enumerate(values.items())}


def _interval(value: float, samples: NDArray[np.float64]) -> Interval:
    defined = samples[~np.isnan(samples)]
    if np.isnan(value) or not len(defined):
        return Interval(None, None, None)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def _average_precisions(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each class, Σ (recall_k − recall_{k−1}) precision_k over distinct thresholds; 0 of a class without cases."""
    found = np.zeros(truth.shape[1])
    for at in range(truth.shape[1]):
        order = np.argsort(-scores[:, at], kind="stable")
        hits = np.cumsum(truth[order, at])
        last = np.append(np.diff(scores[order, at]) != 0, True)  # of each run of equal scores
        hits, called = hits[last], (np.arange(len(order)) + 1)[last]
        if hits[-1]:
            found[at] = (np.diff(hits, prepend=0) / hits[-1] * hits / called).sum()
    return found


def area_under_curve(truth: Bool[NDArray[np.bool_], " case"], scores: Float[NDArray[np.floating], " case"]) -> float:
    """Return the area under the ROC curve; NaN where all cases are of one kind.

    Args:
        truth: which cases are positive.
        scores: higher for those that look positive.

    Examples:
        >>> area_under_curve(np.array([False, True, True]), np.array([0.1, 0.4, 0.1]))
        0.75
    """
    return macro_auc(truth[:, None], scores[:, None].astype(np.float64))


def _sensitivity_at(specificity: float, positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    if positive.all() or not positive.any():
        return float("nan")
    negatives = np.sort(scores[~positive])
    # the lowest threshold with enough negatives at or below it; cases above it are called positive
    threshold = negatives[int(np.ceil(specificity * len(negatives) - 1e-9)) - 1]
    return float((scores[positive] > threshold).mean())


def _balanced_accuracy(confusion: NDArray[np.float64]) -> float:
    cases = confusion.sum(axis=1)
    present = cases > 0
    return float((confusion.diagonal()[present] / cases[present]).mean())


def _quadratic_kappa(confusion: NDArray[np.float64]) -> float:
    grades = np.arange(len(confusion))
    weights = (grades[:, None] - grades[None, :]) ** 2
    expected = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
    chance = (weights * expected).sum()
    return float(1 - (weights * confusion).sum() / chance) if chance else float("nan")


def _macro_f1(confusion: NDArray[np.float64]) -> float:
    size = confusion.sum(axis=0) + confusion.sum(axis=1)
    present = size > 0
    return float((2 * confusion.diagonal()[present] / size[present]).mean())


def _calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, weights=right.astype(float) - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / len(right))
