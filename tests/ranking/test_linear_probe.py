"""The linear probe against scikit-learn's ridge regression, and what folds may not do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from acnorm.ranking import linear_probe as module
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.linear_probe import linear_probe, probe_answers
from drawn_features import drawn


@pytest.mark.parametrize("size", [5, 60])
def test_answers_are_those_of_scikit_learns_ridge_on_the_plain_features(size: int, monkeypatch: pytest.MonkeyPatch):
    """With one penalty; folds are found out from the calls. The rotation to fewer axes loses nothing."""
    features, labels = drawn(40, size, 3, seed=1)
    monkeypatch.setattr(module, "PENALTIES", np.array([0.03]))
    folds, split = [], module._folds
    monkeypatch.setattr(module, "_folds", lambda *given: folds.append(split(*given)) or folds[-1])
    found = probe_answers(features, labels)[1]
    order = np.argsort(((features - features.mean(axis=0)) ** 2).sum(axis=1))
    for train, test in (part for fold in folds if sum(len(rows) for _, rows in fold) == 40 for part in fold):
        train, test = order[train], order[test]
        mean = features[train].mean(axis=0)
        scale = np.sqrt(((features[train] - mean) ** 2).sum(axis=1).mean())
        ridge = Ridge(alpha=0.03 * len(train)).fit(features[train] / scale, np.eye(3)[labels[train]])
        assert found[test] == pytest.approx(ridge.predict(features[test] / scale), abs=1e-9)


def test_folds_hold_every_case_out_once_with_all_its_patients_cases():
    truth = np.eye(2)[np.arange(60) % 2]
    members = np.arange(60) // 3
    parts = module._folds(truth, members, 5)
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(60))
    assert all(not set(members[train]) & set(members[test]) for train, test in parts)


def test_the_penalty_with_the_least_error_is_taken(monkeypatch: pytest.MonkeyPatch):
    """In noise a great penalty errs least, with a clear signal a small one; each alone gives the same answers."""
    for signal, best in ((0.0, 10.0), (20.0, 1e-4)):
        features, labels = drawn(60, 5, 2, signal=signal)
        monkeypatch.setattr(module, "PENALTIES", np.array([1e-4, 10.0]))
        both = probe_answers(features, labels)[1]
        monkeypatch.setattr(module, "PENALTIES", np.array([best]))
        assert np.array_equal(both, probe_answers(features, labels)[1])


def test_the_score_is_the_area_under_the_curve_of_the_answers():
    features, labels = drawn(60, 5, 3, signal=0.7)
    truth, answers = probe_answers(features, labels)
    assert np.array_equal(truth, labels[:, None] == np.arange(3))
    assert linear_probe(features, labels) == pytest.approx(roc_auc_score(truth, answers, average="macro"))


def test_a_patient_is_never_in_training_and_held_out_at_once():
    """Labels that follow the patient alone, whom the features name: with leaking folds this would be perfect."""
    draw = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 4)
    labels = draw.permutation(np.arange(20) % 2)[patients]
    features = draw.normal(size=(20, 40))[patients] + 0.01 * draw.normal(size=(80, 40))
    assert linear_probe(features, labels) > 0.99
    assert linear_probe(features, labels, [str(patient) for patient in patients]) < 0.75


def test_classes_apart_are_perfect_and_noise_is_at_chance_with_fewer_cases_than_features():
    assert linear_probe(*drawn(50, 100, 3, signal=5.0)) == 1.0
    noise = [linear_probe(*drawn(50, 100, 2, signal=0.0, seed=seed)) for seed in range(20)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.1)


def test_several_classes_a_case_are_answered_one_by_one():
    features, labels = drawn(50, 6, 2, signal=3.0)
    several = np.stack([labels == 0, labels == 1, np.ones(50, bool)], axis=1)
    truth, answers = probe_answers(features, several)
    assert truth.shape == answers.shape == (50, 2)  # the class that all show says nothing
    assert np.array_equal(answers, probe_answers(features, labels)[1])


def test_a_class_of_one_patient_is_left_out_without_a_warning():
    features, labels = drawn(30, 4, 2, signal=2.0)
    lone = labels.copy()
    lone[0] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        truth, answers = probe_answers(features, lone)
    assert truth.shape == answers.shape == (30, 2)
    with pytest.raises(NotDefined, match=r"^no class has cases of two patients and cases without it$"):
        linear_probe(features, labels, [str(label) for label in labels])
