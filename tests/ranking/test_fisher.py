"""Fisher's discriminant against scikit-learn's, and the cases apart from the means of their classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from acnorm.ranking.fisher import apart_from_class, fisher_probabilities
from acnorm.ranking.inputs import Cases


def drawn(seed: int = 0) -> Cases:
    draw = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [9, 12, 15])
    return Cases(draw.normal(size=(36, 4)) + labels[:, None], labels, 3)


def test_probabilities_are_those_of_scikit_learn():
    cases = drawn()
    apart = apart_from_class(cases)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(cases.features, cases.labels)
    found = fisher_probabilities(cases, apart.T @ apart / len(apart))
    assert found == pytest.approx(theirs.predict_proba(cases.features), rel=1e-9)


def test_cases_apart_from_their_classes_have_no_mean_there():
    cases = drawn()
    apart = apart_from_class(cases)
    assert [float(np.abs(apart[cases.labels == name].mean(axis=0)).max()) for name in range(3)] == pytest.approx(
        [0] * 3
    )
