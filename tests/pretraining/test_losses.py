"""The losses against closed forms and brute force in float64."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.errors import UserError
from acnorm.pretraining import barlow_twins, byol, moco, simclr
from acnorm.pretraining.averaging import follow, follower_of
from acnorm.pretraining.barlow_twins import BarlowTwins
from acnorm.pretraining.byol import BYOL, distance
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.moco import MoCo, info_nce
from acnorm.pretraining.pcrl import PreservationalContrast
from acnorm.pretraining.rotation import TURNS, Rotation, turned
from acnorm.pretraining.simclr import SimCLR
from acnorm.pretraining.supervised import Supervised

FLAT = Blueprint("cifar/resnet20", channels=1, dimensions=2, classes=3)


def images(cases: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(cases, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


class Fixed(nn.Module):
    """Gives the vectors that it holds in turn, whatever the images."""

    def __init__(self, *answers: Tensor) -> None:
        super().__init__()
        self.answers = list(answers)

    def forward(self, _: Tensor) -> Tensor:
        return self.answers.pop(0)


def vectors(seed: int, cases: int = 5, width: int = 3) -> Tensor:
    return torch.randn(cases, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_nt_xent_is_equation_1_of_simclr():
    first, second = vectors(0), vectors(1)
    unit = [vector / vector.norm() for vector in torch.cat([first, second])]
    total, temperature, count = 0.0, 0.3, len(first)
    for i in range(2 * count):
        own = (i + count) % (2 * count)
        alike = [math.exp(float(unit[i] @ unit[k]) / temperature) for k in range(2 * count)]
        total -= math.log(alike[own] / sum(value for k, value in enumerate(alike) if k != i))
    found = SimCLR(temperature=temperature).loss(Fixed(first, second), {"image": images(5)})
    assert float(found) == pytest.approx(total / (2 * count), rel=1e-5)


def test_info_nce_is_equation_1_of_moco():
    queries, keys, queue = (functional.normalize(vectors(seed), dim=1) for seed in (0, 1, 2))
    total = 0.0
    for query, key in zip(queries, keys, strict=True):
        own = math.exp(float(query @ key) / 0.2)
        total -= math.log(own / (own + sum(math.exp(float(query @ other) / 0.2) for other in queue)))
    assert float(info_nce(queries, keys, queue, 0.2)) == pytest.approx(total / len(queries), rel=1e-9)


def test_the_distance_of_byol_is_that_of_unit_vectors():
    first, second = vectors(0), vectors(1)
    unit = [functional.normalize(vector, dim=1) for vector in (first, second)]
    assert float(distance(first, second)) == pytest.approx(
        float((unit[0] - unit[1]).square().sum(dim=1).mean()), rel=1e-5
    )


def test_barlow_twins_is_the_paper_s_sum_over_the_number_of_features():
    first, second = vectors(0, 8), vectors(1, 8)
    zero, one = ((part - part.mean(0)) / part.std(0) for part in (first, second))
    correlation = zero.T @ one / 8
    total = sum(
        (1 - float(correlation[i, i])) ** 2 if i == j else 5e-3 * float(correlation[i, j]) ** 2
        for i in range(3)
        for j in range(3)
    )
    found = BarlowTwins(outputs=3).loss(Fixed(first, second), {"image": images(8)})
    assert float(found) == pytest.approx(total / 3, rel=1e-4)


@pytest.mark.parametrize("module", [simclr, barlow_twins, byol, moco])
def test_two_views_of_each_image_are_compared(module, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(module, "random_view", lambda given: seen.append(given) or given)
    pretext = {simclr: SimCLR, barlow_twins: BarlowTwins, byol: BYOL, moco: MoCo}[module]()
    pretext.loss(pretext.build(FLAT), {"image": images()})
    assert len(seen) == 2
    assert all(torch.equal(view, images()) for view in seen)


def test_byol_sends_no_gradient_to_its_target_and_follows_along_a_cosine():
    torch.manual_seed(0)
    pretext = BYOL(momentum=0.9)
    network = pretext.build(FLAT)
    pretext.loss(network, {"image": images()}).backward()
    assert all(value.grad is None for value in network.target.parameters())
    for progress, momentum in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0)):
        before = network.target.encoder.body.conv1.weight.clone()
        network.encoder.body.conv1.weight.data += 1
        wanted = momentum * before + (1 - momentum) * network.encoder.body.conv1.weight
        pretext.after_step(network, progress)
        assert torch.allclose(network.target.encoder.body.conv1.weight, wanted, atol=1e-6)


def test_the_queue_of_moco_takes_in_the_newest_keys_and_keeps_its_length():
    torch.manual_seed(0)
    pretext = MoCo(keys=10)
    network = pretext.build(FLAT).train()
    before = network.queue.clone()
    pretext.loss(network, {"image": images()}).backward()
    assert network.queue.shape == before.shape
    assert torch.equal(network.queue[:6], before[4:])
    assert torch.allclose(network.queue.norm(dim=1), torch.ones(10), atol=1e-5)
    assert not network.queue.requires_grad
    network.eval()
    kept = network.queue.clone()
    pretext.loss(network, {"image": images()})
    assert torch.equal(network.queue, kept)
    assert "queue" in network.state_dict()


def test_moco_keys_follow_by_its_momentum():
    torch.manual_seed(0)
    pretext = MoCo(momentum=0.75)
    network = pretext.build(FLAT)
    before = network.keys.head[0].weight.clone()
    network.head[0].weight.data += 1
    pretext.after_step(network, 0.5)
    assert torch.allclose(network.keys.head[0].weight, before + 0.25, atol=1e-6)


def test_a_follower_is_a_copy_that_follows():
    network = nn.Linear(3, 2)
    follower = follower_of(network)
    assert torch.equal(follower.weight, network.weight)
    network.weight.data += 1
    follow(follower, network, 1.0)
    assert torch.allclose(follower.weight + 1, network.weight)
    follow(follower, network, 0.0)
    assert torch.equal(follower.weight, network.weight)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_turns_are_all_different_and_come_back(dimensions: int):
    image = torch.arange(3.0**dimensions).reshape(1, 1, *(3,) * dimensions)
    turns = range(len(TURNS[dimensions]))
    seen = [turned(image, torch.tensor([turn])) for turn in turns]
    assert torch.equal(seen[0], image)
    assert len({tuple(one.flatten().tolist()) for one in seen}) == len(seen) == {2: 4, 3: 10}[dimensions]
    for turn in turns:
        back = image
        for _ in range(4):
            back = turned(back, torch.tensor([turn]))
        assert torch.equal(back, image)


def test_rotation_is_the_cross_entropy_of_the_turns():
    torch.manual_seed(0)
    network = Rotation().build(FLAT)
    network.head.weight.data.zero_()
    network.head.bias.data = torch.tensor([2.0, 0.0, 0.0, 0.0])
    torch.manual_seed(5)
    loss = float(Rotation().loss(network, {"image": images(64)}).detach())
    torch.manual_seed(5)
    turns = torch.randint(4, (64,))
    wanted = math.log(math.exp(2) + 3) - 2 * float((turns == 0).double().mean())
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_rotation_needs_squares():
    with pytest.raises(UserError, match=r"--method rotation: needs square images or cubes, these are 32 × 24; give"):
        Rotation().loss(nn.Identity(), {"image": torch.zeros(1, 1, 32, 24)})


def test_supervised_takes_one_label_several_or_a_map(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    network = Supervised().build(FLAT).eval()
    monkeypatch.setattr("acnorm.pretraining.supervised.cropped", lambda given: given)
    with torch.no_grad():
        logits = network(images())
        one = {"image": images(), "label": torch.tensor([0, 1, 2, 0])}
        assert torch.allclose(Supervised().loss(network, one), functional.cross_entropy(logits, one["label"]))
        several = {"image": images(), "label": torch.eye(4, 3)}
        wanted = functional.binary_cross_entropy_with_logits(logits, several["label"])
        assert torch.allclose(Supervised().loss(network, several), wanted)
        maps = Supervised().build(Blueprint("cifar/resnet20", 1, 2, classes=2, task="segmentation"))
        loss = Supervised().loss(maps, {"image": images(), "mask": torch.ones(4, 32, 32, dtype=torch.long)})
    assert loss.isfinite()


def test_a_supervised_checkpoint_keeps_its_head():
    network = Supervised().build(FLAT)
    assert network.encoder.weights()["linear.weight"].shape == (3, 64)
    assert torch.equal(network.encoder.weights()["linear.bias"], network.encoder.head.bias)


def test_pcrl_is_contrast_plus_restoration(monkeypatch: pytest.MonkeyPatch):
    for name in ("cropped", "mirrored", "recoloured", "distorted"):
        monkeypatch.setattr(f"acnorm.pretraining.pcrl.{name}", lambda given: given)
    restored, first, second = torch.zeros(5, 1, 32, 32), vectors(0), vectors(1)

    class Both(nn.Module):
        answers: ClassVar = [(restored, first), (restored, second)]

        def forward(self, _: Tensor) -> tuple[Tensor, Tensor]:
            return self.answers.pop(0)

    contrast = SimCLR().loss(Fixed(first, second), {"image": images(5)})
    found = PreservationalContrast(restoring=0.5).loss(Both(), {"image": images(5)})
    assert float(found) == pytest.approx(float(contrast) + 0.5 * float(images(5).square().mean()), rel=1e-5)
