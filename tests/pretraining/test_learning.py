"""Pretext tasks are learnt: on phantoms that were not trained on, the loss falls, and rotation is told above chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from acnorm.data.formats import read_cases
from acnorm.data.images import read_image
from acnorm.data.phantoms import fundus_phantoms
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.data.volumes import read_labelled
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.moco import MoCo
from acnorm.pretraining.pretext import PRETEXTS, make_pretext
from acnorm.pretraining.rotation import turned
from tiny_runs import NETWORK

Batch = dict[str, Tensor]
AT_FIRST = {"moco": math.log(1 + MoCo().keys)}  # chance: the queue holds noise at first, which is told too easily
# The loss after training as a share of that before. Sixty phantoms, which look alike, teach SimCLR little in sixty steps.
SHARE = {"simclr": 0.98}
# Views of twelve phantom volumes teach these nothing that holds for other volumes: they are shown in 2D alone.
NEED_MORE_IMAGES = {"simclr", "barlow-twins"}


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Eyes, whose disc lies on the right."""
    file = fundus_phantoms(tmp_path_factory.mktemp("flat") / "eyes.npz", domain="source", cases=120, size=16, seed=0)
    return _batch([(read_image(case), case.label) for case in read_cases(file).cases])


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    return livers(tmp_path_factory.mktemp("deep") / "liver", cases=24)


def livers(folder: Path, cases: int) -> Batch:
    """Livers in cubes, large ones and small ones."""
    segmentation_phantoms(folder, task="liver", domain="source", cases=cases, size=48, seed=0)
    read = [read_labelled(case, 3) for case in read_cases(folder).cases]
    sizes = [int((case.mask > 0).sum()) for case in read]
    batch = _batch([(case.image.values, int(size > np.median(sizes))) for case, size in zip(read, sizes, strict=True)])
    return {**batch, "image": avg_pool3d(batch["image"], (2, 2, 1))}


def _batch(cases: list[tuple[np.ndarray, int]]) -> Batch:
    images = torch.stack([torch.from_numpy(np.asarray(image, np.float32)) for image, _ in cases])
    dims = tuple(range(1, images.ndim))
    images = (images - images.mean(dim=dims, keepdim=True)) / images.std(dim=dims, keepdim=True)
    return {"image": images, "label": torch.tensor([label for _, label in cases])}


def by_adamw(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.001)


def by_sgd(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.03, momentum=0.9)


def held_out_losses(
    method: str,
    blueprint: Blueprint,
    data: Batch,
    *,
    steps: int,
    optimizer_of: Callable[[list[nn.Parameter]], torch.optim.Optimizer] = by_adamw,
) -> tuple[float, float, object]:
    """The loss on the second half of the cases before and after training on the first."""
    torch.manual_seed(0)
    pretext = make_pretext(method)
    network = pretext.build(blueprint)
    half = len(data["label"]) // 2
    train, rest = ({name: value[part] for name, value in data.items()} for part in (slice(half), slice(half, None)))

    def loss() -> float:
        network.train()  # statistics of the batch, before and after
        torch.manual_seed(1)
        with torch.no_grad():
            return float(np.mean([float(pretext.loss(network, rest)) for _ in range(3)]))

    before = loss()
    torch.manual_seed(2)
    optimizer = optimizer_of([value for value in network.parameters() if value.requires_grad])
    for step in range(steps):
        optimizer.zero_grad()
        pretext.loss(network, train).backward()
        optimizer.step()
        pretext.after_step(network, step / steps)
    return before, loss(), network


def test_quick_in_2d(flat: Batch):
    before, after, network = held_out_losses("rotation", Blueprint(NETWORK, 3, 2), flat, steps=100, optimizer_of=by_sgd)
    assert after < before
    rest = flat["image"][len(flat["label"]) // 2 :]
    turns = torch.arange(len(rest)) % 4
    with torch.no_grad():
        right = (network(turned(rest, turns)).argmax(dim=1) == turns).float().mean()
    assert right > 0.4  # chance is 0.25, and phantoms upside down look alike


def test_quick_in_3d(deep: Batch):
    before, after, _ = held_out_losses("genesis", Blueprint("monai/resnet10", 1, 3), deep, steps=6)
    assert after < 0.7 * before


@pytest.mark.slow
@pytest.mark.parametrize("method", PRETEXTS)
def test_every_task_in_2d(flat: Batch, method: str):
    before, after, _ = held_out_losses(method, Blueprint("cifar/resnet20", 3, 2, classes=5), flat, steps=60)
    assert after < SHARE.get(method, 0.95) * max(before, AT_FIRST.get(method, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("method", [method for method in PRETEXTS if method not in NEED_MORE_IMAGES | {"supervised"}])
def test_every_task_in_3d(deep: Batch, method: str):
    before, after, _ = held_out_losses(method, Blueprint("monai/resnet10", 1, 3), deep, steps=30)
    assert after < 0.95 * max(before, AT_FIRST.get(method, 0.0))


@pytest.mark.slow
def test_classes_in_3d(tmp_path: Path):
    """Sizes of twelve livers are learnt by heart on some processors: it takes twice as many to tell those of others."""
    deep = livers(tmp_path / "liver", cases=48)
    before, after, _ = held_out_losses("supervised", Blueprint("monai/resnet10", 1, 3), deep, steps=30)
    assert after < min(0.95 * before, math.log(2))  # chance
