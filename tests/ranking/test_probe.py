"""The probe is plain SGD by hand, on the batches it says, and the same for every candidate."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.core.convert import convert
from acnorm.data.dataset import Key
from acnorm.errors import RunError
from acnorm.ranking.probe import probe
from networks import ToyNet, relative_difference, trained


class Images:
    """Random images and labels in float64 that remember who asked for them."""

    def __init__(self, cases: int) -> None:
        generator = torch.Generator().manual_seed(cases)
        self.images = torch.randn(cases, 1, 6, 6, generator=generator, dtype=torch.float64)
        self.labels = torch.arange(cases) % 3
        self.asked: list[Key] = []

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        self.asked.append(key)
        return {"image": self.images[key[1]], "label": self.labels[key[1]]}


def network() -> nn.Module:
    return convert(trained(dtype=torch.float64))


def step_by_hand(model: nn.Module, images: Tensor, labels: Tensor, head: str = "head") -> None:
    """p − 0.01 ∂L/∂p, and 0.1 for the head, with L the mean of −log softmax of the right class."""
    model.train()
    scores = model(images)
    right = scores.gather(1, labels[:, None])[:, 0]
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad((scores.logsumexp(dim=1) - right).mean(), list(parameters.values()))
    with torch.no_grad():
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            parameter -= (0.1 if name.split(".")[0] == head else 0.01) * gradient


def difference(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(relative_difference(one, other) for one, other in pairs)


def sizes(data: Images, **settings) -> list[int]:
    """How many images each step sees."""
    model, seen = network(), []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    probe(model, "head", data, seed=0, **settings)
    assert len(data.asked) == sum(seen)
    return seen


@pytest.mark.parametrize("epochs", [None, 1])
def test_one_step_by_hand(epochs: int | None):
    data, probed, reference = Images(20), network(), network()
    probe(probed, "head", data, seed=0, epochs=epochs)
    step_by_hand(reference, data.images, data.labels)
    assert difference(probed, reference) < 1e-10
    assert difference(probed, network()) > 1e-4


def test_epochs_by_hand_on_the_cases_asked_for():
    data, probed, reference = Images(70), network(), network()
    probe(probed, "head", data, seed=3, epochs=2)
    asked = [index for _, index in data.asked]
    for start, end in ((0, 64), (64, 70), (70, 134), (134, 140)):
        step_by_hand(reference, data.images[asked[start:end]], data.labels[asked[start:end]])
    assert difference(probed, reference) < 1e-10


def test_steps_are_the_first_of_the_epochs():
    data, probed, reference = Images(70), network(), network()
    probe(probed, "head", data, seed=3, steps=3)
    asked = data.asked
    assert [epoch for epoch, _ in asked] == [0] * 70 + [1] * 64
    for rows in (asked[:64], asked[64:70], asked[70:]):
        indices = [index for _, index in rows]
        step_by_hand(reference, data.images[indices], data.labels[indices])
    assert difference(probed, reference) < 1e-10


def test_a_head_is_known_by_its_whole_name():
    class TwoHeads(ToyNet):
        def __init__(self) -> None:
            super().__init__()
            self.header = nn.Linear(16, 16)

        def forward(self, images: Tensor) -> Tensor:
            features = functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images))))))
            return self.head(self.header(features.mean((2, 3))))

    torch.manual_seed(0)
    data, probed = Images(20), TwoHeads().double()
    del probed.bn3
    reference = deepcopy(probed)
    probe(probed, "head", data, seed=0)
    step_by_hand(reference, data.images, data.labels)
    assert difference(probed, reference) < 1e-10


@pytest.mark.parametrize(
    ("cases", "settings", "steps"),
    [
        (20, {}, [20]),
        (64, {}, [64]),
        (200, {}, [64]),
        (65, {}, [65]),
        (130, {"epochs": 1}, [64, 64, 2]),
        (129, {"epochs": 2}, [64, 65, 64, 65]),
        (130, {"steps": 2}, [64, 64]),
        (130, {"steps": 5}, [64, 64, 2, 64, 64]),
    ],
)
def test_batches_of_64_one_step_or_whole_epochs(cases: int, settings: dict[str, int], steps: list[int]):
    assert sizes(Images(cases), **settings) == steps


def test_every_epoch_asks_for_every_case_once_in_another_order():
    data = Images(100)
    probe(network(), "head", data, seed=0, epochs=2)
    first, second = ([index for epoch, index in data.asked if epoch == at] for at in (0, 1))
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


def test_the_seed_alone_decides():
    ends = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        np.random.seed(noise)
        ends.append(network())
        probe(ends[-1], "head", Images(100), seed=seed)
    assert difference(ends[0], ends[1]) == 0
    assert difference(ends[0], ends[2]) > 1e-6


def test_normalisation_is_in_train_mode():
    probed = network().eval()
    before = probed.bn1.running_mean.clone()
    probe(probed, "head", Images(20), seed=0)
    assert probed.training
    assert not torch.equal(probed.bn1.running_mean, before)


def test_gradients_from_before_do_not_count():
    data, probed, reference = Images(20), network(), network()
    for parameter in probed.parameters():
        parameter.grad = torch.ones_like(parameter)
    for model in (probed, reference):
        probe(model, "head", data, seed=0)
    assert difference(probed, reference) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_probe_before_the_step(value: float):
    data, probed = Images(20), network()
    data.images[3] = value
    before = [parameter.detach().clone() for parameter in probed.parameters()]
    with pytest.raises(RunError, match=r"^the probe's loss is not finite; look at the images with acnorm check\.$"):
        probe(probed, "head", data, seed=0)
    assert all(torch.equal(one, other) for one, other in zip(before, probed.parameters(), strict=True))
