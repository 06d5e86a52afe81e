from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from acnorm.training.metrics import classification_metrics, with_intervals


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_scikit_learn(seed: int):
    draw = np.random.default_rng(seed)
    labels, probabilities = draw.integers(5, size=200), draw.dirichlet(np.ones(5), 200)
    predicted = probabilities.argmax(axis=1)
    found = classification_metrics(labels, probabilities)
    expected = {
        "macro_auc": sklearn_metrics.roc_auc_score(labels, probabilities, multi_class="ovr"),
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, predicted),
        "quadratic_kappa": sklearn_metrics.cohen_kappa_score(labels, predicted, weights="quadratic"),
        "macro_f1": sklearn_metrics.f1_score(labels, predicted, average="macro"),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12)


def test_resampling_patients_widens_the_interval_of_repeated_cases():
    draw = np.random.default_rng(0)
    labels, probabilities = (
        np.repeat(draw.integers(2, size=30), 4),
        np.repeat(draw.dirichlet(np.ones(2), 30), 4, axis=0),
    )
    cases = with_intervals(labels, probabilities, [str(at) for at in range(120)], resamples=300)["accuracy"]
    patients = with_intervals(labels, probabilities, [str(at // 4) for at in range(120)], resamples=300)["accuracy"]
    assert cases.value == patients.value
    assert patients.high - patients.low > 1.5 * (cases.high - cases.low)
