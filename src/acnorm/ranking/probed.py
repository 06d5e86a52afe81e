"""AC-Corr and affine drift of one candidate: probed once a seed, read off each probed network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from acnorm.core.census import ConversionError, acnorm_layers
from acnorm.core.convert import convert
from acnorm.data.dataset import CaseDataset
from acnorm.data.patches import PatchDataset
from acnorm.errors import UserError
from acnorm.models.sources import Network
from acnorm.ranking.ac_corr import ac_corr, chosen_layers
from acnorm.ranking.affine_drift import affine_drift
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.probe import BATCH_SIZE, Loss, probe

NetworkOf = Callable[[int], tuple[Network, Sequence[str] | None]]

# Below this spread (standard deviation) of a layer's source ratios, its channels can hardly be told apart.
LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Probed:
    """Scores of one candidate, one a probe seed.

    Examples:
        >>> Probed((1.0, 3.0), (0.1, 0.3), (0.0, 0.0)).paper
        (1.0, 3.0)
    """

    paper: tuple[float, ...]
    per_channel: tuple[float, ...]
    drift: tuple[float, ...]


def probed(
    network_of: NetworkOf,
    train: CaseDataset | PatchDataset,
    seeds: range,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    layers: str | None = None,
    batch_size: int = BATCH_SIZE,
    loss: Loss | None = None,
) -> Probed:
    """Probe a candidate once a seed and return what its layers then say.

    Args:
        network_of: gives, for a seed, the network with its weights loaded and the norm layers whose affine was.
        train: training cases.
        seeds: of the head, the order of cases, and of label maps the patches.
        steps: optimiser steps; one where neither is given.
        epochs: whole epochs in the place of steps.
        layers: only layers whose name matches this pattern, as in a shell.
        batch_size: as for ``probe``.
        loss: as for ``probe``.

    Raises:
        NotDefined: nothing was trained: the affine is constant over channels or hardly differs.
        UserError: no layer matches the pattern.

    Examples:
        >>> probed.__name__
        'probed'
    """
    scores, drifts = [], []
    for seed in seeds:
        network, trained = network_of(seed)
        module = converted(network, trained)
        try:
            chosen_layers(module, layers)
        except ValueError as error:
            raise UserError(f"--layers: {error}") from None
        cases = train.drawn_anew(seed) if isinstance(train, PatchDataset) else train
        probe(module, network.head, cases, seed=seed, steps=steps, epochs=epochs, batch_size=batch_size, loss=loss)
        scores.append(ac_corr(module, layers))
        drifts.append(affine_drift(module, layers))
    return Probed(tuple(score.paper for score in scores), tuple(score.per_channel for score in scores), tuple(drifts))


def converted(network: Network, trained: Sequence[str] | None) -> nn.Module:
    """Convert a network, or refuse one in which nothing was trained.

    Args:
        network: with its weights loaded.
        trained: the norm layers whose affine was; those that look so where None.

    Raises:
        NotDefined: the affine is constant over channels or hardly differs.

    Examples:
        >>> converted.__name__
        'converted'
    """
    try:
        module = convert(network.module, trained)
    except ConversionError as error:
        raise NotDefined(str(error)) from None
    ratios = [layer.ratios()[1] for layer in acnorm_layers(module).values()]
    spread = float(np.median([float(ratio.std(correction=0)) for ratio in ratios]))
    if spread < LEAST_SPREAD:
        raise NotDefined(f"its affine ratios hardly differ (median spread {spread:.1e}): it looks untrained")
    return module
