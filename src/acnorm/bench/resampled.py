"""The metric of a finished run on many bootstrap samples of its test cases, from its per_case.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from acnorm.data.tables import read_table
from acnorm.training.metrics import classification_metrics, multilabel_metrics

Weights = Int[NDArray[np.int64], "resample case"]


def read_test_cases(run: Path) -> pd.DataFrame | None:
    """Return the rows of the test cases, by id in order; None where the run has none on disk.

    "patient" is the id where the patient is not known.

    Examples:
        >>> read_test_cases(Path("nowhere")) is None
        True
    """
    file = run / "per_case.csv"
    if not file.is_file():
        return None
    table = read_table(file, ("split", "id", "patient", "label", "prediction"))
    table = table[table["split"] == "test"].set_index("id").sort_index()
    table["patient"] = table["patient"].where(table["patient"] != "", table.index.to_series())
    return table


def resampled_metric(
    cases: pd.DataFrame, metric: str, weights: Weights
) -> Float[NDArray[np.float64], " resample"] | None:
    """Return a metric on each bootstrap sample, NaN where it is not defined; None where cases do not tell it.

    Args:
        cases: as ``read_test_cases`` gives them.
        metric: its name in metrics.json.
        weights: how often each case is in each sample.

    Examples:
        >>> cases = pd.DataFrame({"dice_vessel": [0.8, 0.6]})
        >>> resampled_metric(cases, "dice_vessel", np.array([[1, 1], [2, 0]]))
        array([0.7, 0.8])
    """
    if metric in cases.columns and "probability_0" not in cases.columns:
        return _weighted_mean(cases[metric].to_numpy(dtype=float), weights)
    if "probability_0" not in cases.columns:
        return None
    probabilities = cases.filter(like="probability_").to_numpy(dtype=float)
    several = not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3) or cases["label"].str.contains("[|n]").any()
    truth = _truth(cases["label"], probabilities.shape[1])
    if metric == "macro_auc":
        return resampled_macro_auc(truth, probabilities, weights)
    if metric == "accuracy":
        return _weighted_mean(np.asarray(cases["label"] == cases["prediction"], dtype=np.float64), weights)
    if several:
        return _one_by_one(lambda rows: multilabel_metrics(truth[rows], probabilities[rows]), metric, weights)
    labels = truth.argmax(axis=1)
    return _one_by_one(lambda rows: classification_metrics(labels[rows], probabilities[rows]), metric, weights)


def resampled_macro_auc(
    truth: Bool[NDArray[np.bool_], "case class"], scores: Float[NDArray[np.float64], "case class"], weights: Weights
) -> Float[NDArray[np.float64], " resample"]:
    """Return the macro AUC of each bootstrap sample: all of them in one pass over the sorted cases.

    Args:
        truth: which classes each case shows.
        scores: higher where the class looks present.
        weights: how often each case is in each sample.

    Examples:
        >>> truth, scores = np.array([[False], [True], [True]]), np.array([[0.1], [0.4], [0.1]])
        >>> resampled_macro_auc(truth, scores, np.array([[1, 1, 1], [1, 0, 2], [0, 3, 0]]))
        array([0.75, 0.5 ,  nan])
    """
    areas = np.full((len(weights), truth.shape[1]), np.nan)
    for at in range(truth.shape[1]):
        order = np.argsort(scores[:, at], kind="stable")
        ranked = scores[order, at]
        negative = np.cumsum(weights[:, order] * ~truth[order, at], axis=1)
        negative = np.concatenate([np.zeros((len(weights), 1), dtype=negative.dtype), negative], axis=1)
        positive = weights[:, order] * truth[order, at]
        below = negative[:, np.searchsorted(ranked, ranked, side="left")]
        not_above = negative[:, np.searchsorted(ranked, ranked, side="right")]
        pairs = positive.sum(axis=1) * negative[:, -1]
        won = (positive * (below + not_above)).sum(axis=1) / 2
        areas[:, at] = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    defined = ~np.isnan(areas)
    count = defined.sum(axis=1)
    return _share(np.where(defined, areas, 0).sum(axis=1), count)


def _weighted_mean(values: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    return _share(weights[:, known] @ values[known], weights[:, known].sum(axis=1))


def _share(parts: NDArray[np.float64], wholes: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares


def _one_by_one(
    measure: Callable[[NDArray[np.int64]], dict[str, float]], metric: str, weights: Weights
) -> NDArray[np.float64] | None:
    rows = np.arange(weights.shape[1])
    if metric not in measure(rows):
        return None
    values = [measure(np.repeat(rows, row))[metric] if row.any() else float("nan") for row in weights]
    return np.array(values)


def _truth(labels: pd.Series[str], classes: int) -> NDArray[np.bool_]:
    truth = np.zeros((len(labels), classes), dtype=bool)
    for row, text in enumerate(labels):
        if text != "none":
            truth[row, [int(part) for part in text.split("|")]] = True
    return truth
