"""A linear probe: how well does a penalised linear classifier on the frozen features do on patients it has not seen?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from acnorm.ranking.auc import macro_auc
from acnorm.ranking.inputs import canonical_order, finite_features, principal, truth_of
from acnorm.ranking.knn import measurable, numbered

FOLDS, INNER_FOLDS = 5, 3
PENALTIES = np.logspace(-4, 1, 6)  # a training case, for features whose cases have a mean squared length of 1


def linear_probe(features: NDArray[Any], labels: NDArray[Any], groups: Sequence[str] | None = None) -> float:
    """Return the macro AUC of ridge regression on the classes, over five patient-grouped, stratified folds.

    Alain and Bengio (arXiv 1610.01644) train logistic regressions; least squares on 0 and 1 has a closed form for every
    penalty at once, and only the order of its answers counts. In each fold the features are centred and scaled by one
    number, both of the training cases, and the penalty is chosen by the squared error over three folds of these.

    Args:
        features: [case, feature].
        labels: the class of each case, or [case, class] of 0 and 1.
        groups: the patient of each case, all of whose cases are in one fold; each case by itself where not given.

    Raises:
        NotDefined: the features are not finite or all the same, or no class has cases of two patients.

    Examples:
        >>> labels = np.arange(20) % 2
        >>> linear_probe(labels[:, None] + 0.1 * np.eye(20), labels)
        1.0
    """
    return macro_auc(*probe_answers(features, labels, groups))


def probe_answers(
    features: NDArray[Any], labels: NDArray[Any], groups: Sequence[str] | None = None
) -> tuple[Bool[NDArray[np.bool_], "case class"], Float[NDArray[np.float64], "case class"]]:
    """Return which of the measurable classes each case shows, and the answers given while it was held out.

    Classes all of whose cases are of one patient cannot be measured and are left out of the result.

    Args:
        features: as for ``linear_probe``.
        labels: as for ``linear_probe``.
        groups: as for ``linear_probe``.

    Raises:
        NotDefined: as ``linear_probe``.

    Examples:
        >>> labels = np.arange(20) % 2
        >>> truth, answers = probe_answers(labels[:, None] + 0.1 * np.eye(20), labels)
        >>> answers.shape, bool((answers.argmax(axis=1) == labels).all())
        ((20, 2), True)
    """
    numbers = finite_features(features, len(labels))
    truth, members = truth_of(labels), numbered(groups, len(labels))
    kept = measurable(truth, members)
    order = canonical_order(numbers, labels)
    if groups is None:
        members = order.argsort()
    axes = principal(numbers)[order]  # nothing is lost: the penalty does not see a rotation
    answers = np.empty((len(labels), int(kept.sum())))
    answers[order] = _held_out(axes, truth[order][:, kept].astype(np.float64), members[order])
    return truth[:, kept], answers


def _held_out(
    features: NDArray[np.float64], truth: NDArray[np.float64], members: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Answers [case, class] from the folds in which the case was not trained on, with the fold's best penalty."""
    answers = np.zeros_like(truth)
    for train, test in _folds(truth, members, FOLDS):
        errors = sum(
            ((_answers(features, truth, train[inner], train[outer]) - truth[train[outer]]) ** 2).sum(axis=(1, 2))
            for inner, outer in _folds(truth[train], members[train], INNER_FOLDS)
        )
        answers[test] = _answers(features, truth, train, test)[int(np.argmin(errors))]
    return answers


def _folds(
    truth: NDArray[np.float64], members: NDArray[np.intp], folds: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows of the training and held-out cases of each fold; stratified by the set of classes that a case shows."""
    strata = np.unique(truth, axis=0, return_inverse=True)[1].reshape(-1)
    folds = min(folds, len(np.unique(members)), int(np.bincount(strata).max()))
    if folds < 2:
        return []
    grouped = len(np.unique(members)) < len(members)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer cases than folds
        parts = list(splitter.split(strata, strata, members))
    return [(train, test) for train, test in parts if len(train) and len(test)]


def _answers(
    features: NDArray[np.float64], truth: NDArray[np.float64], train: NDArray[np.intp], test: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Answers [penalty, case, class] to the cases ``test`` of ridge regressions on the cases ``train``."""
    mean, share = features[train].mean(axis=0), truth[train].mean(axis=0)
    inputs = features[train] - mean
    squares, axes = np.linalg.eigh(inputs.T @ inputs)
    penalties = PENALTIES * max(float(squares.sum()), np.finfo(np.float64).tiny)
    moved = (axes.T @ (inputs.T @ (truth[train] - share))) / (squares.clip(0) + penalties[:, None])[..., None]
    return np.asarray(((features[test] - mean) @ axes) @ moved + share)
