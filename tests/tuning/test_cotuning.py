"""Co-Tuning: the relation of classes against counting and Bayes' rule, the penalty against its formula."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acnorm.tuning.cotuning import CoTuning, direct, relation_of, reverse
from networks import move
from tuning_setups import Training, batch_of, loss, setup_of

kinds = pytest.mark.parametrize("kind", ["2D classifier", "3D classifier"])


@given(seed=st.integers(0, 2**31), cases=st.integers(1, 20), classes=st.integers(1, 4))
def test_the_direct_relation_is_the_mean_over_each_class(seed: int, cases: int, classes: int):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(cases, 5, dtype=torch.float64, generator=generator).softmax(1)
    labels = torch.randint(classes, (cases,), generator=generator)
    found = direct(probabilities, labels, classes)
    torch.testing.assert_close(found.sum(1), torch.ones(classes, dtype=torch.float64))
    for label in range(classes):
        rows = [row for row, own in zip(probabilities, labels, strict=True) if own == label] or list(probabilities)
        torch.testing.assert_close(found[label], sum(rows) / len(rows))


def test_the_reverse_relation_is_bayes_rule_on_sure_sources():
    generator = torch.Generator().manual_seed(0)
    of_source = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]], dtype=torch.float64)  # p(target | source)
    sources = torch.randint(3, (3000,), generator=generator)
    labels = (torch.rand(3000, generator=generator, dtype=torch.float64) < of_source[sources, 1]).long()
    found = reverse(torch.eye(3, dtype=torch.float64)[sources], labels, 2)
    joint = torch.stack([torch.bincount(sources[labels == label], minlength=3) for label in (0, 1)]).double()
    torch.testing.assert_close(found, joint / joint.sum(1, keepdim=True), atol=0.02, rtol=0)


def test_with_too_few_cases_to_validate_the_reverse_relation_is_the_direct_one():
    probabilities = torch.rand(4, 3, dtype=torch.float64).softmax(1)
    labels = torch.tensor([0, 0, 0, 1])
    assert torch.equal(reverse(probabilities, labels, 3), direct(probabilities, labels, 3))


def test_a_class_without_images_is_related_as_all_are():
    probabilities = torch.rand(40, 3, dtype=torch.float64).softmax(1)
    found = reverse(probabilities, torch.arange(40) % 2 * 2, 4)
    mean = probabilities.mean(0)
    torch.testing.assert_close(found[1], mean)
    torch.testing.assert_close(found[3], mean)
    torch.testing.assert_close(found.sum(1), torch.ones(4, dtype=torch.float64))


@kinds
@pytest.mark.parametrize("cases", [2, 4])
def test_the_penalty_is_that_of_the_formula(kind: str, cases: int):
    method = CoTuning(strength=0.7)
    setup = setup_of(kind, method, cases=cases)
    method.check(setup)
    batch, network, penalty = batch_of(kind, cases=cases), move(setup.network).eval(), method.penalty(setup)
    with penalty.watching(network):
        loss(network, batch)
    value = penalty(network, batch)
    whole = [deepcopy(setup.source), deepcopy(network)]
    for model in whole:
        setattr(model, setup.head, deepcopy(setup.source_head))
    with torch.no_grad():
        seen = [(whole[0](part["image"]).softmax(1), part["label"]) for part in setup.plain_batches()]
        logits = whole[1](batch["image"])
    relation = direct(torch.cat([p for p, _ in seen]), torch.cat([label for _, label in seen]), 3)
    torch.testing.assert_close(relation_of(setup, setup.source, "direct", 3), relation)
    expected = 0.0
    for logit, label in zip(logits, batch["label"], strict=True):
        expected -= 0.7 / cases * (relation[label] * logit.log_softmax(0)).sum()
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    (slope,) = torch.autograd.grad(value, [penalty.head.bias])
    closed = 0.7 * (logits.softmax(1) - relation[batch["label"]]).mean(0)
    torch.testing.assert_close(slope, closed, rtol=1e-8, atol=1e-12)


def test_the_source_head_learns_and_the_source_stays():
    training = Training("2D classifier", CoTuning(relation="reverse"), dtype=torch.float32)
    before = deepcopy(training.setup.source.state_dict())
    training.run(1)
    assert all(torch.equal(value, before[name]) for name, value in training.setup.source.state_dict().items())
    assert not torch.equal(training.module.penalty.head.weight, training.setup.source_head.weight)


def test_under_autocast_it_is_in_single_precision():
    setup = setup_of("2D classifier", CoTuning(), dtype=torch.float32)
    penalty, batch = CoTuning().penalty(setup), batch_of("2D classifier", dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        with penalty.watching(setup.network):
            loss(setup.network, batch)
        value = penalty(setup.network, batch)
    assert value.dtype == torch.float32
    assert bool(value.isfinite())


@pytest.mark.parametrize("batch", [{"image": torch.zeros(2, 1, 4, 4)}, {"label": torch.zeros(2, 3)}])
def test_cases_must_have_one_class(batch: dict):
    setup = replace(setup_of("2D classifier", CoTuning()), plain_batches=lambda: iter([batch]))
    told = r"^relates classes of source and target, for which each case must have one class\.$"
    with pytest.raises(ValueError, match=told):
        CoTuning().check(setup)


def test_settings_out_of_range():
    assert CoTuning(strength=-1.0, relation="other").problems() == [
        "cotuning.strength is -1.0, must be 0 or more and finite",
        "cotuning.relation is 'other', must be 'direct' or 'reverse'",
    ]
