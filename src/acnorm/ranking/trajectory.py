"""AC-Corr and affine drift along one probe: after some of its steps, and layer by layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from acnorm.core.census import acnorm_layers
from acnorm.data.batches import EpochBatches
from acnorm.data.dataset import CaseDataset
from acnorm.data.patches import PatchDataset
from acnorm.errors import UserError
from acnorm.ranking.probe import BATCH_SIZE, Loss, probe_steps
from acnorm.ranking.probed import NetworkOf, converted

_LENGTH = re.compile(r"(?P<steps>[1-9]\d*)|(?P<epochs>[1-9]\d*)?epochs?")


@dataclass(frozen=True)
class Reading:
    """What each norm layer of a probed network says.

    sums: Σ_ij C_ij, by layer. channels: by layer. drifts: mean |r_t − r_s|, by layer.

    Examples:
        >>> reading = Reading({"bn1": 6.0, "bn2": 4.0}, {"bn1": 8, "bn2": 8}, {"bn1": 0.1, "bn2": 0.3})
        >>> reading.paper, reading.per_channel, reading.drift
        (5.0, 0.625, 0.2)
    """

    sums: Mapping[str, float]
    channels: Mapping[str, int]
    drifts: Mapping[str, float]

    @property
    def paper(self) -> float:
        """AC-Corr as published: the mean over layers of the sums."""
        return sum(self.sums.values()) / len(self.sums)

    @property
    def per_channel(self) -> float:
        """The mean over layers of the sums over their channels."""
        return sum(value / self.channels[name] for name, value in self.sums.items()) / len(self.sums)

    @property
    def drift(self) -> float:
        """Affine drift: the mean over layers."""
        return sum(self.drifts.values()) / len(self.drifts)


def read_layers(module: nn.Module) -> Reading:
    """Return what the layers of a converted network say as it stands.

    Examples:
        >>> import torch
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        >>> model[1].bias.data = torch.tensor([0.0, 1.0])
        >>> read_layers(convert(model)).channels
        {'1': 2}
    """
    sums, channels, drifts = {}, {}, {}
    for name, layer in acnorm_layers(module).items():
        target, source = (ratio.double() for ratio in layer.ratios())
        sums[name] = float(layer.correlation().double().sum())
        channels[name] = layer.weight.numel()
        drifts[name] = float((target - source).abs().mean())
    return Reading(sums, channels, drifts)


def steps_of(length: str, steps_an_epoch: int) -> int:
    """Return the optimiser steps of a length such as "5", "epoch" or "3epochs".

    Raises:
        UserError: another text.

    Examples:
        >>> steps_of("5", 8), steps_of("epoch", 8), steps_of("3epochs", 8)
        (5, 8, 24)
    """
    found = _LENGTH.fullmatch(length)
    if found is None:
        raise UserError(
            f"--ac-corr-steps: {length!r} is no length; give steps from 1, or epoch, or several such as 3epochs."
        )
    return int(found["steps"]) if found["steps"] else int(found["epochs"] or 1) * steps_an_epoch


def trajectory(
    network_of: NetworkOf,
    train: CaseDataset | PatchDataset,
    seeds: Sequence[int],
    lengths: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    loss: Loss | None = None,
) -> dict[str, tuple[Reading, ...]]:
    """Probe a candidate once a seed for as long as the longest length, and read its layers after each.

    Args:
        network_of: as for ``probed``.
        train: training cases.
        seeds: as for ``probed``.
        lengths: as for ``steps_of``.
        batch_size: as for ``probe``.
        loss: as for ``probe``.

    Raises:
        NotDefined: nothing was trained, as for ``probed``.
        UserError: as for ``steps_of``.

    Examples:
        >>> trajectory.__name__
        'trajectory'
    """
    wanted = {length: steps_of(length, len(EpochBatches(len(train), batch_size, seed=0))) for length in lengths}
    found: dict[str, list[Reading]] = {length: [] for length in lengths}
    for seed in seeds:
        network, trained = network_of(seed)
        module = converted(network, trained)
        cases = train.drawn_anew(seed) if isinstance(train, PatchDataset) else train
        steps = max(wanted.values())
        for done in probe_steps(module, network.head, cases, seed=seed, steps=steps, batch_size=batch_size, loss=loss):
            if done in wanted.values():
                reading = read_layers(module)
                for length in (name for name, at in wanted.items() if at == done):
                    found[length].append(reading)
    return {length: tuple(readings) for length, readings in found.items()}


def mean_of(readings: Sequence[Reading]) -> Reading:
    """Return the mean over probe seeds, layer by layer.

    Examples:
        >>> one, other = (Reading({"bn1": value}, {"bn1": 8}, {"bn1": 0.0}) for value in (1.0, 3.0))
        >>> mean_of([one, other]).sums
        {'bn1': 2.0}
    """
    names = list(readings[0].sums)
    return Reading(
        {name: float(np.mean([reading.sums[name] for reading in readings])) for name in names},
        readings[0].channels,
        {name: float(np.mean([reading.drifts[name] for reading in readings])) for name in names},
    )
