"""The statistics of BatchNorm layers when batches are small: how many values they average, frozen or taken anew.

A layer that learnt with the statistics of its batches answers with running ones. Where batches are small the two
differ, and a network that trains well answers badly (pytorch#4741, nnU-Net#2444).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acnorm.data.batches import EpochBatches
from acnorm.training.objective import Batch

FEW_VALUES = 32  # a mean over as many is off by a sixth of a deviation
GAP_BATCHES = 8


def freeze_statistics(network: nn.Module, head: str) -> None:
    """Put the BatchNorm layers outside the head into eval: they use the statistics of the checkpoint and keep them.

    Examples:
        >>> network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
        >>> freeze_statistics(network, "1")
        >>> [layer.training for layer in network]
        [False, True]
    """
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm) and not f"{name}.".startswith(f"{head}."):
            layer.eval()


@torch.no_grad()
def reestimate_statistics(network: nn.Module, batches: Iterator[Batch]) -> None:
    """Replace the running statistics by the mean over ``batches``; all else is as in eval.

    Examples:
        >>> network = nn.Sequential(nn.BatchNorm1d(1))
        >>> reestimate_statistics(network, iter([{"image": torch.tensor([[1.0], [3.0]])}]))
        >>> network[0].running_mean
        tensor([2.])
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
    with _batch_statistics(network):
        for batch in batches:
            network(batch["image"])
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


@torch.no_grad()
def statistics_gap(
    network: nn.Module, batches: Iterator[Batch], loss: Callable[[nn.Module, Batch], Tensor]
) -> dict[str, Any]:
    """Return the mean loss over the same batches with the statistics of each batch and with the running ones.

    Args:
        network: is not changed.
        batches: of training cases.
        loss: of one batch.

    Examples:
        >>> network = nn.Sequential(nn.BatchNorm1d(1)).eval()
        >>> batch = {"image": torch.tensor([[1.0], [3.0]])}
        >>> gap = statistics_gap(network, iter([batch]), lambda network, batch: network(batch["image"]).mean())
        >>> round(gap["loss_batch"], 3), round(gap["loss_running"], 3)
        (0.0, 2.0)
    """
    network = deepcopy(network).eval()
    running, own = [], []
    for batch in islice(batches, GAP_BATCHES):
        running.append(float(loss(network, batch)))
        with _batch_statistics(network):
            own.append(float(loss(deepcopy(network), batch)))
    mean = [sum(losses) / len(losses) for losses in (own, running)]
    return {"loss_batch": mean[0], "loss_running": mean[1], "batches": len(own)}


@torch.no_grad()
def fewest_values(network: nn.Module, images: Tensor) -> tuple[str, int] | None:
    """Return the norm layer that averages over the fewest values a channel for one image, and how many; None of none.

    Args:
        network: is not changed.
        images: a batch of the input's shape.

    Examples:
        >>> network = nn.Sequential(nn.BatchNorm2d(1), nn.MaxPool2d(4), nn.BatchNorm2d(1))
        >>> fewest_values(network, torch.rand(2, 1, 8, 8))
        ('2', 4)
    """
    counts: dict[str, int] = {}
    network = deepcopy(network).eval()
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm):
            layer.register_forward_pre_hook(
                lambda _, given, name=name: counts.setdefault(name, given[0][0, 0].numel()) and None
            )
    network(images)
    return min(counts.items(), key=lambda item: item[1]) if counts else None


def too_few_values(network: nn.Module, images: Tensor, batch_size: int) -> str | None:
    """Return a warning with its remedies where a norm layer averages over too few values a step; else None.

    Examples:
        >>> network = nn.Sequential(nn.MaxPool2d(4), nn.BatchNorm2d(1))
        >>> too_few_values(network, torch.rand(2, 1, 8, 8), 16)
        >>> print(too_few_values(network, torch.rand(2, 1, 8, 8), 2))
        BatchNorm layer 1 averages over 8 values a step (2 images of 4), too few for steady statistics: raise --batch-size or the size of images or patches, or give --norm-statistics frozen or reestimated
    """  # noqa: E501
    fewest = fewest_values(network, images)
    if fewest is None or fewest[1] * batch_size >= FEW_VALUES:
        return None
    name, values = fewest
    return (
        f"BatchNorm layer {name} averages over {values * batch_size} values a step ({batch_size} images of {values}), "
        "too few for steady statistics: raise --batch-size or the size of images or patches, or give "
        "--norm-statistics frozen or reestimated"
    )


def training_batches(dataset: Any, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
    """Batches of training cases as an epoch sees them.

    Examples:
        >>> batches = training_batches([{"image": torch.ones(1)}] * 2, 2, 0)
        >>> training_batches.__name__
        'training_batches'
    """
    batches = EpochBatches(len(dataset), batch_size, seed=seed)
    batches.set_epoch(epoch)
    for keys in batches:
        yield torch.utils.data.default_collate([dataset[key] for key in keys])


@contextmanager
def _batch_statistics(network: nn.Module) -> Iterator[None]:
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    before = [layer.training for layer in layers]
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer, training in zip(layers, before, strict=True):
            layer.train(training)
