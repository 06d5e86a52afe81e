"""The probe: a short fine-tune under one fixed protocol, the same for every candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.data.batches import EpochBatches
from acnorm.data.dataset import CaseDataset, Key
from acnorm.data.patches import PatchDataset
from acnorm.errors import RunError

Batch = Mapping[str, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]

LEARNING_RATE = 0.01
HEAD_RATE = 10.0
BATCH_SIZE = 64


def probe(network: nn.Module, head: str, train: CaseDataset | PatchDataset, *, seed: int, **settings: Any) -> None:
    """Train a network in place for one optimiser step, for some, or for whole epochs.

    Args:
        network: converted, with a new head.
        head: name of the head.
        train: training cases.
        seed: of the order.
        settings: the others of ``probe_steps``.

    Raises:
        RunError: the loss is not finite.

    Examples:
        >>> probe.__name__
        'probe'
    """
    for _ in probe_steps(network, head, train, seed=seed, **settings):
        pass


def probe_steps(
    network: nn.Module,
    head: str,
    train: CaseDataset | PatchDataset,
    *,
    seed: int,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = BATCH_SIZE,
    loss: Loss | None = None,
) -> Iterator[int]:
    """Train a network in place, and give the number of steps done after each.

    The protocol is fixed, because scores of different protocols cannot be compared: plain SGD without momentum or
    decay, learning rate 0.01 and 0.1 for the head, batches of 64 in an order drawn from the seed, images without
    augmentation, cross-entropy (binary where a case may show several classes), normalisation in train mode. On the
    device of the network's parameters. Label maps have batches of their own size and the loss of segmentation.

    Args:
        network: converted, with a new head.
        head: name of the head.
        train: training cases.
        seed: of the order.
        steps: optimiser steps, over as many epochs as they take; one where neither is given.
        epochs: whole epochs in the place of steps.
        batch_size: cases, or patches, a step.
        loss: of a network and a batch; ``class_loss`` where not given.

    Raises:
        RunError: the loss is not finite.

    Examples:
        >>> probe_steps.__name__
        'probe_steps'
    """
    fast = [parameter for name, parameter in network.named_parameters() if name.startswith(f"{head}.")]
    chosen = {id(parameter) for parameter in fast}
    slow = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    groups: list[dict[str, Any]] = [{"params": slow}, {"params": fast, "lr": LEARNING_RATE * HEAD_RATE}]
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE)
    device = next(network.parameters()).device
    batches = EpochBatches(len(train), batch_size, seed=seed)
    network.train()
    wanted = islice(_all_epochs(batches, epochs), None if epochs else steps or 1)
    for done, keys in enumerate(wanted, 1):
        _step(network, optimizer, [train[key] for key in keys], device, loss or class_loss)
        yield done


def _all_epochs(batches: EpochBatches, epochs: int | None) -> Iterator[list[Key]]:
    for epoch in count() if epochs is None else range(epochs):
        batches.set_epoch(epoch)
        yield from batches


def class_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Return the cross-entropy of images with classes, binary where each may show several.

    Examples:
        >>> round(float(class_loss(nn.Identity(), {"image": torch.zeros(1, 2), "label": torch.tensor([1])})), 3)
        0.693
    """
    logits, labels = network(batch["image"]), batch["label"]
    several = labels.shape == logits.shape
    return (functional.binary_cross_entropy_with_logits if several else functional.cross_entropy)(logits, labels)


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    items: list[dict[str, Tensor]],
    device: torch.device,
    loss_of: Loss,
) -> None:
    loss = loss_of(network, {name: torch.stack([item[name] for item in items]).to(device) for name in items[0]})
    if not torch.isfinite(loss):
        raise RunError("the probe's loss is not finite; look at the images with acnorm check.")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
