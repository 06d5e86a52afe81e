"""One run layer by layer: how its affine moved, and how its channels match those of its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acnorm.core.correlation import affine_ratio, channel_correlation
from acnorm.data.case import Case
from acnorm.errors import UserError
from acnorm.inspecting.folders import InspectedRun, affine_after, affine_before
from acnorm.inspecting.matching import (
    NONE,
    Partners,
    Square,
    align,
    correlations,
    is_silent,
    partners_of,
    partnership,
    percentiles,
)
from acnorm.inspecting.movement import movement
from acnorm.inspecting.networks import activations, patches, prepared, source_network
from acnorm.training.affine_record import Affine, affines_of

ALIGNED = ("best_is_own", "matched_is_own", "own", "matched")


@dataclass(frozen=True)
class Found:
    """A table by layer, one row of partners, and what could not be said.

    Examples:
        >>> Found().table.empty
        True
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    partners: pd.DataFrame = field(default_factory=pd.DataFrame)
    missing: tuple[str, ...] = ()


def movement_of(run: InspectedRun) -> Found:
    """Return how the affine of each layer moved: epoch by epoch where the run recorded it, else from start to end.

    Examples:
        >>> movement_of.__name__
        'movement_of'
    """
    if not affine_after(run):
        return Found(missing=(f"{run.name}: its network has no norm layer with γ and β.",))
    kept = run.trajectory
    if kept is not None:
        return Found(movement(kept.weights, kept.biases, kept.epochs, eps=run.eps))
    told = f"{run.name}: holds no affine.safetensors, so its affine is known at the start and at the end alone."
    try:
        before = _started(run)
    except UserError as error:
        return Found(missing=(f"{run.name}: its affine at the start is not known ({str(error).rstrip('.')}).",))
    after = affine_after(run)
    names = [name for name in after if name in before]
    weights, biases = (
        {name: torch.stack([before[name][part], after[name][part]]) for name in names} for part in (0, 1)
    )
    epoch = int(run.folder.read_json("metrics.json")["best_epoch"]) + 1
    return Found(movement(weights, biases, (0, epoch), eps=run.eps), missing=(told,))


def _started(run: InspectedRun) -> dict[str, Affine]:
    known = affine_before(run)
    if known:
        return known
    module, trained = source_network(run.config, run.shipped, run.source)
    return {name: affine for name, affine in affines_of(module).items() if name in trained}


def alignment_of(run: InspectedRun, cases: Sequence[Case] | None, images: int, permutations: int) -> Found:
    """Return how channels of each layer match those of the source on images, and where AC-Norm's partners stand.

    Args:
        run: with a checkpoint.
        cases: images of its data, none where they cannot be had; None to look at patches of its label maps.
        images: how many patches.
        permutations: for the p value of partners.

    Examples:
        >>> alignment_of.__name__
        'alignment_of'
    """
    try:
        source, trained = source_network(run.config, run.shipped, run.source)
        seen = _images(run, cases, images)
    except UserError as error:
        return Found(
            missing=(f"{run.name}: its channels are not matched with the source's: {str(error).rstrip('.')}.",)
        )
    if not trained:
        return Found(missing=(f"{run.name}: no norm layer of its network came from the checkpoint, to be matched.",))
    answers = [activations(network, trained, seen) for network in (run.network.module, source)]
    rows, ranked = [], []
    for name in (name for name in answers[0] if name in answers[1]):
        tuned, before = answers[0][name], answers[1][name]
        found = correlations(tuned, before)
        place, partner = percentiles(found), _partners(run, source, name)
        ranked.append((place, partner))
        silent = int((is_silent(tuned) | is_silent(before)).sum())
        rows.append({"layer": name, **vars(align(found, silent)), **_partners_row(place, partner)})
    together = partnership(ranked, permutations=permutations)
    return Found(pd.DataFrame(rows), pd.DataFrame([vars(together)]) if together is not None else pd.DataFrame())


def _images(run: InspectedRun, cases: Sequence[Case] | None, count: int) -> Tensor:
    if cases is None:
        return patches(run.config, run.folder, count)
    if not cases:
        raise UserError(f"{run.data} has no images with classes that can be looked at")
    return prepared(cases, run.shipped.preprocessing)


def _partners(run: InspectedRun, source: nn.Module, name: str) -> Partners:
    """Those that AC-Norm picks from the affine by the paper's rule, or would pick in a run that has another or none."""
    after, before = (affine_ratio(*affine[name], eps=run.eps) for affine in (affine_after(run), affines_of(source)))
    matrix: NDArray[np.float64] = channel_correlation(after, before, temperature=run.temperature).double().numpy()
    return partners_of(matrix)


def _partners_row(place: Square, partner: Partners) -> dict[str, float]:
    borrows = np.flatnonzero(partner != NONE)
    mean = float(place[borrows, partner[borrows]].mean()) if len(borrows) and len(place) > 2 else float("nan")
    return {"borrowing": len(borrows), "percentile": mean}
