"""LwF against its formula in float64: the distillation, its gradient, what learns and what stays."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from acnorm.tuning.lwf import LwF, source_logits
from networks import move
from tuning_setups import Training, batch_of, loss, setup_of

kinds = pytest.mark.parametrize("kind", ["2D classifier", "3D classifier"])


@kinds
@pytest.mark.parametrize("cases", [2, 4])
def test_value_and_gradient_are_those_of_the_formula(kind: str, cases: int):
    method = LwF(strength=0.7, temperature=3.0)
    setup = setup_of(kind, method, cases=cases)
    penalty, batch = method.penalty(setup), batch_of(kind, cases=cases)
    network = move(setup.network).eval()
    with penalty.watching(network):
        loss(network, batch)
    value = penalty(network, batch)
    logits = {}
    for name, model in (("now", network), ("source", setup.source)):
        whole = deepcopy(model)
        setattr(whole, setup.head, deepcopy(setup.source_head))
        logits[name] = whole(batch["image"]).detach()
    p, q = ((logits[name] / 3).softmax(1) for name in ("now", "source"))
    expected = 0.7 * (q * (q.log() - p.log())).sum() / cases
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    (slope,) = torch.autograd.grad(value, [penalty.head.bias])
    torch.testing.assert_close(slope, 0.7 / 3 * (p - q).mean(0), rtol=1e-8, atol=1e-12)


def test_at_the_start_the_answers_are_kept_and_the_source_never_changes():
    setup = setup_of("2D classifier", LwF())
    before = deepcopy(setup.source.state_dict())
    penalty, batch = LwF().penalty(setup), batch_of("2D classifier")
    with penalty.watching(setup.network.eval()):
        loss(setup.network, batch)
    assert penalty(setup.network, batch).item() == pytest.approx(0.0, abs=1e-12)
    training = Training("2D classifier", LwF()).run(1)
    assert all(torch.equal(value, before[name]) for name, value in training.setup.source.state_dict().items())
    assert not torch.equal(training.module.penalty.head.weight, training.setup.source_head.weight)


def test_the_source_head_learns_at_the_encoders_rate_and_is_saved():
    training = Training("2D classifier", LwF(), learning_rate=0.02)
    last = training.optimizer.param_groups[-1]
    assert [id(p) for p in last["params"]] == [id(p) for p in training.module.penalty.head.parameters()]
    assert last["lr"] == pytest.approx(0.02)
    assert set(training.module.penalty.state_dict()) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype):
    setup = setup_of("2D classifier", LwF(), dtype=torch.float32)
    penalty, batch, network = LwF().penalty(setup), batch_of("2D classifier", dtype=torch.float32), move(setup.network)
    with torch.autocast("cpu", dtype):
        with penalty.watching(network):
            loss(network, batch)
        value = penalty(network, batch)
    assert value.dtype == torch.float32
    value.backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
    assert source_logits(setup.source, setup, batch["image"]).dtype == torch.float32


def test_settings_out_of_range():
    assert LwF(strength=-1.0, temperature=0.0).problems() == [
        "lwf.strength is -1.0, must be 0 or more and finite",
        "lwf.temperature is 0.0, must be above 0 and finite",
    ]
