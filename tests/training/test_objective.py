from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.metrics import cohen_kappa_score

from acnorm.data.case import Case
from acnorm.training.objective import ClassificationObjective, OrdinalObjective, ordinal_loss
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


@pytest.mark.parametrize("classes", [2, 5])
def test_the_ordinal_loss_is_cross_entropy_and_distance_of_cumulative_shares(classes: int):
    torch.manual_seed(0)
    logits, labels = torch.randn(7, classes, dtype=torch.float64, requires_grad=True), torch.arange(7) % classes
    shares = logits.detach().softmax(1).numpy()
    distances = [
        sum((shares[at, : grade + 1].sum() - float(grade >= label)) ** 2 for grade in range(classes))
        for at, label in enumerate(labels.tolist())
    ]
    wanted = torch.nn.functional.cross_entropy(logits, labels).item() + np.mean(distances)
    loss = ordinal_loss(logits, labels)
    assert loss.item() == pytest.approx(wanted)
    torch.autograd.gradcheck(lambda values: ordinal_loss(values, labels), logits)


def test_grades_are_judged_by_their_kappa():
    cases = [Case(str(at), Path("a.npz"), label=at % 3) for at in range(9)]
    torch.manual_seed(0)
    outcomes = torch.randn(9, 3)
    judged = OrdinalObjective().judge(outcomes, cases)
    labels = [case.label for case in cases]
    kappa = cohen_kappa_score(labels, outcomes.argmax(1).tolist(), weights="quadratic")
    assert judged["val_quadratic_kappa"] == pytest.approx(kappa)
    assert set(judged) == set(OrdinalObjective.columns)
    assert OrdinalObjective.monitor in OrdinalObjective.columns
