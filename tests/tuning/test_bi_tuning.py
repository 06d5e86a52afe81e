"""Bi-Tuning against its formula by loops in float64: values, gradients, keys that follow, half precision, refusals."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from acnorm.tuning.bi_tuning import BiTuning, Contrasts
from acnorm.tuning.features import head_inputs, pooled
from acnorm.tuning.method import make_method
from networks import move
from tuning_setups import Training, batch_of, loss, setup_of

kinds = pytest.mark.parametrize("kind", ["2D classifier", "3D classifier"])
METHOD = BiTuning(strength=0.7, temperature=0.5, queue=3, momentum=0.9, size=5)


def value_of(penalty: Contrasts, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    with penalty.watching(network):
        loss(network, batch)
    return penalty(network, batch)


class ByLoops:
    """The method in plain loops, with lists for queues."""

    def __init__(self, penalty: Contrasts, head: str) -> None:
        self.key, self.projection = deepcopy(penalty.key), deepcopy(penalty.projection)
        self.head = head
        self.h: dict[int, list[Tensor]] = {label: [] for label in range(3)}
        self.z: dict[int, list[Tensor]] = {label: [] for label in range(3)}

    def features(self, network: nn.Module, images: Tensor) -> Tensor:
        with head_inputs(network, self.head) as found:
            network(images)
        return pooled(found[0])

    def value(self, network: nn.Module, projection: nn.Linear, batch: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            for mine, now in ((self.key, network), (self.projection, projection)):
                for key, other in zip(mine.parameters(), now.parameters(), strict=True):
                    key.copy_(0.9 * key + 0.1 * other)
                for key, other in zip(mine.buffers(), now.buffers(), strict=True):
                    key.copy_(other)
            keys = self.features(self.key.eval(), batch["image"])
        head, total, entering = network.get_submodule(self.head), torch.zeros(()), []
        for feature, key, label in zip(
            self.features(network, batch["image"]), keys, batch["label"].tolist(), strict=True
        ):
            one = torch.ones(1, dtype=feature.dtype)
            w = normalize(torch.cat([head.weight[label].detach(), head.bias[label].detach()[None]]), dim=0)
            h, z = normalize(torch.cat([feature, one]), dim=0), normalize(projection(feature), dim=0)
            h_key = normalize(torch.cat([key, one]), dim=0)
            z_key = normalize(self.projection(key).detach(), dim=0)
            for own, other in ((w @ h, lambda at, w=w: [w @ k for k in self.h[at]]), (z @ z_key, lambda at, z=z: [z @ k for k in self.z[at]])):  # fmt: skip
                good = [own, *other(label)]
                everyone = torch.stack([*good, *(value for at in range(3) if at != label for value in other(at))])
                log_sum = torch.logsumexp(everyone / 0.5, dim=0)
                total = total - sum(value / 0.5 - log_sum for value in good) / len(good) / len(keys)
            entering.append((label, h_key, z_key))
        for label, h_key, z_key in entering:
            self.h[label] = [*self.h[label], h_key][-3:]
            self.z[label] = [*self.z[label], z_key][-3:]
        return 0.7 * total


@kinds
@pytest.mark.parametrize("cases", [2, 4])
def test_values_and_gradients_are_those_of_the_formula_batch_after_batch(kind: str, cases: int):
    setup = setup_of(kind, METHOD, cases=cases)
    METHOD.check(setup)
    network = move(setup.network).eval()
    penalty = METHOD.penalty(setup)
    assert isinstance(penalty, Contrasts)
    brute = ByLoops(penalty, setup.head)
    for seed in range(5):
        batch = batch_of(kind, seed=seed, cases=cases)
        value, expected = value_of(penalty, network, batch), brute.value(network, penalty.projection, batch)
        assert value.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
        stem = next(network.parameters())
        learning = [penalty.projection.weight, penalty.projection.bias, stem]
        slopes = [torch.autograd.grad(term, learning) for term in (value, expected)]
        for mine, other in zip(*slopes, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-11)
        move(network)
    assert value.item() > 0
    assert any(bool(slope.abs().max() > 0) for slope in slopes[0])


def test_the_head_gets_no_gradient_and_keys_none():
    setup = setup_of("2D classifier", METHOD)
    penalty = METHOD.penalty(setup)
    for seed in range(2):
        value = value_of(penalty, setup.network, batch_of("2D classifier", seed=seed))
    value.backward()
    assert setup.network.linear.weight.grad is None
    assert all(parameter.grad is None for parameter in penalty.key.parameters())
    assert all(parameter.grad is not None for parameter in penalty.learning())


def test_the_copy_follows_by_momentum_stays_in_eval_and_is_saved():
    training = Training("2D classifier", METHOD, dtype=torch.float32)
    penalty, network = training.module.penalty, training.setup.network
    before = deepcopy(penalty.key.state_dict())
    start = {name: value.clone() for name, value in network.named_parameters()}
    training.run(1, steps=1)  # the copy moves before the step does
    assert all(torch.equal(dict(penalty.key.named_parameters())[name], value) for name, value in start.items())
    now = {name: value.clone() for name, value in network.named_parameters()}
    training.run(1, steps=1)
    for name, value in penalty.key.named_parameters():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * now[name])
    training.module.train()
    assert network.training
    assert not any(module.training for module in penalty.key.modules())
    saved = training.module.state_dict()
    assert {"penalty.features.keys", "penalty.projected.counts", "penalty.key.conv1.weight"} <= saved.keys()


def test_the_projection_is_that_of_the_seed_and_learns_at_the_encoders_rate():
    first, again, other = (
        METHOD.penalty(replace(setup_of("2D classifier", METHOD), seed=seed)).projection.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    training = Training("2D classifier", METHOD, learning_rate=0.02)
    last = training.optimizer.param_groups[-1]
    assert [id(p) for p in last["params"]] == [id(p) for p in training.module.penalty.projection.parameters()]
    assert last["lr"] == pytest.approx(0.02)


def test_with_acnorm_the_copy_is_recalibrated_too():
    training = Training("2D classifier", make_method("acnorm+bi-tuning")).run(1)
    assert training.module.penalty.key.state_dict().keys() == training.setup.network.state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype):
    setup = setup_of("2D classifier", METHOD, dtype=torch.float32)
    penalty, network = METHOD.penalty(setup), move(setup.network)
    for seed in range(2):
        batch = batch_of("2D classifier", seed=seed, dtype=torch.float32)
        with torch.autocast("cpu", dtype):
            value = value_of(penalty, network, batch)
    assert value.dtype == torch.float32
    value.backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)


def test_label_maps_and_several_classes_are_refused_with_the_reason():
    told = r"^contrasts the classes of whole images, and label maps have none; it is for classification\.$"
    with pytest.raises(ValueError, match=told):
        METHOD.check(setup_of("3D segmenter", METHOD))
    batch = {"image": torch.zeros(2, 1, 4, 4), "label": torch.zeros(2, 3)}
    setup = replace(setup_of("2D classifier", METHOD), plain_batches=lambda: iter([batch]))
    with pytest.raises(ValueError, match=r"^contrasts classes, for which each case must have one class\.$"):
        METHOD.check(setup)


def test_settings_out_of_range():
    assert BiTuning(strength=-1.0, temperature=0.0, size=0).problems() == [
        "bi_tuning.strength is -1.0, must be 0 or more and finite",
        "bi_tuning.temperature is 0.0, must be above 0 and finite",
        "bi_tuning.size is 0, must be 1 or more",
    ]
