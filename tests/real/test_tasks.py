"""Every named task on the real data for it: read, prepared, one training batch through the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acnorm.data.tasks import TASKS
from acnorm.training.kind import kind_of
from acnorm.training.norm_statistics import training_batches
from acnorm.training.settings import config_from_settings

pytestmark = pytest.mark.real

SETS = {
    "dr-grading": ("dr_grading/idrid", "cifar/resnet20", {"image_size": 64}),
    "vessel-segmentation": ("vessels/DRIVE", "cifar/resnet20", {}),
    "nodule-classification": ("nodules/luna16_patches_50.npz", "cifar/resnet20", {}),
    "nodule-segmentation": ("nodules/lidc", "monai/resnet10", {}),
    "liver-tumor-segmentation": ("liver", "monai/resnet10", {}),
    "cardiac-segmentation": ("cardiac", "monai/resnet10", {}),
}


def test_every_named_task_has_real_data():
    assert set(SETS) == set(TASKS) - {"classification", "segmentation"}


@pytest.mark.parametrize("name", SETS)
def test_a_batch_of_each_task_has_a_finite_loss(name: str, real_data: Path):
    data, model, changes = SETS[name]
    settings = {"data": str(real_data / data), "model": model, "out": "run", "task": name, "batch_size": 4}
    config = config_from_settings(settings | changes)
    kind = kind_of(config)
    prepared = kind.prepare(config, None)
    network = kind.network(config, prepared).module
    batch = next(training_batches(prepared.train, config.batch_size, seed=0))
    loss = kind.objective(config, prepared).loss(network, batch)
    assert torch.isfinite(loss)
    assert prepared.collection.task == TASKS[name].kind
