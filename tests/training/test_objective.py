from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics

from acnorm.data.case import Case
from acnorm.training.objective import ClassificationObjective
from tiny_runs import TinyNet


def test_classification_is_trained_by_cross_entropy_and_judged_as_scikit_learn_would():
    generator = torch.Generator().manual_seed(0)
    network, images = TinyNet(3, 3).eval(), torch.randn(30, 3, 16, 16, generator=generator)
    labels = torch.randint(3, (30,), generator=generator)
    objective, batch = ClassificationObjective(), {"image": images, "label": labels}
    outcomes = objective.outcome(network, batch).detach()
    probabilities = outcomes.double().softmax(1).numpy()
    cases = [Case(str(at), Path("eyes.npz"), int(label)) for at, label in enumerate(labels)]
    judged = objective.judge(outcomes, cases)
    assert tuple(judged) == objective.columns
    loss = metrics.log_loss(labels, probabilities)
    assert float(objective.loss(network, batch).detach()) == pytest.approx(loss, rel=1e-5)
    assert judged["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert judged["val_macro_auc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert judged["val_accuracy"] == pytest.approx(np.mean(probabilities.argmax(1) == labels.numpy()))
