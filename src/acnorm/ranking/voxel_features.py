"""Features of voxels of label maps at chosen stages of a segmentation network, in eval mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acnorm.data.patches import PatchDataset
from acnorm.errors import UserError
from acnorm.models.sources import Network
from acnorm.ranking.features import content_key, kept_in
from acnorm.ranking.voxels import Patch, VoxelSample, patch_of

USUAL_WIDTH = 32  # channels that the stage has at least, where none is chosen
BATCH = {2: 16, 3: 4}  # patches at once, by their axes


def voxel_features(
    network: Network,
    train: PatchDataset,
    sample: VoxelSample,
    stages: Sequence[int],
    *,
    cache: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[NDArray[np.float32], bool]:
    """Return for each voxel the cells of the stages' maps that hold it [voxel, channel], and whether from the cache.

    Args:
        network: with its weights loaded; it is left as it was.
        train: the cases.
        sample: their voxels.
        stages: numbers from 1, the finest; several are put side by side.
        cache: folder of features by their content; nothing is kept where not given.
        settings: plain values of all that decides how ``train`` brings images to the network, for the cache.

    Raises:
        UserError: the cache cannot be written.

    Examples:
        >>> from acnorm.data.case import Case
        >>> from acnorm.data.patches import Labelled
        >>> from acnorm.models.sources import build_unet
        >>> from acnorm.ranking.voxels import draw_voxels
        >>> case = Labelled(torch.rand(3, 20, 20), torch.zeros(20, 20, dtype=torch.uint8))
        >>> train = PatchDataset([Case("a", Path("a.png"), 0)], lambda _: case, patch=(16, 16))
        >>> network = build_unet("cifar/resnet20", classes=2, channels=3)
        >>> voxel_features(network, train, draw_voxels(train, 2, each=7), (1, 2))[0].shape
        (7, 48)
    """
    make = partial(_passed, network.module, train, sample, stages)
    if cache is None:
        return make(), False
    drawn = [[patch.case, *patch.start, *patch.voxels.ravel().tolist()] for patch in sample.patches]
    what = {**(settings or {}), "patch": train.patch, "stages": list(stages), "voxels": drawn}
    return kept_in(cache, content_key(network, train.cases, what), len(sample.labels), make)


def stage_maps(module: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the feature maps of a segmentation network's encoder, the finest first.

    Args:
        module: of ``build_unet``.
        images: [batch, channel, *space].

    Examples:
        >>> from acnorm.models.sources import build_unet
        >>> module = build_unet("cifar/resnet20", classes=2, channels=3).module
        >>> [tuple(found.shape[1:]) for found in stage_maps(module, torch.zeros(1, 3, 16, 16))]
        [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    """
    network = cast(Any, module)
    if hasattr(network, "features"):
        return list(network.features(images))
    # Networks of smp give the images first, and some an empty map after them.
    return [found for found in network.encoder(images)[1:] if found.shape[1]]


def chosen_stages(widths: Sequence[int], asked: Sequence[int] | None, name: str) -> tuple[int, ...]:
    """Return the stages that are asked for, or else the finest but the first with 32 channels or more.

    The finest sees a few pixels about each voxel; the coarsest no longer tells small structures apart.

    Args:
        widths: channels of each stage.
        asked: numbers from 1.
        name: of the network.

    Raises:
        UserError: a stage that is not there.

    Examples:
        >>> chosen_stages([16, 24, 40, 112], None, "monai/efficientnet-b0"), chosen_stages([16, 32, 64], [3], "mine")
        ((3,), (3,))
    """
    if asked is None:
        fitting = [at for at, width in enumerate(widths, start=1) if at > 1 and width >= USUAL_WIDTH]
        return (fitting[0] if fitting else len(widths),)
    for stage in asked:
        if not 1 <= stage <= len(widths):
            raise UserError(
                f"--stage {stage}: {name} has {len(widths)} (channels {', '.join(map(str, widths))}); "
                f"give 1 to {len(widths)}."
            )
    return tuple(asked)


@torch.no_grad()
def _passed(module: nn.Module, train: PatchDataset, sample: VoxelSample, stages: Sequence[int]) -> NDArray[np.float32]:
    modes = {layer: layer.training for layer in module.modules()}
    device, parts = next(module.parameters()).device, []
    module.eval()
    try:
        for start in range(0, len(sample.patches), BATCH[len(train.patch)]):
            patches = sample.patches[start : start + BATCH[len(train.patch)]]
            images = [patch_of(train.labelled(patch.case).image, patch.start, train.patch) for patch in patches]
            maps = stage_maps(module, torch.stack(images).to(device))
            chosen = [maps[stage - 1].float().cpu().numpy() for stage in stages]
            for at, patch in enumerate(patches):
                cells = [_cells(found[at], patch, train.patch) for found in chosen]
                parts.append(np.concatenate(cells, axis=1))
    finally:
        for layer, training in modes.items():
            layer.training = training
    return np.concatenate(parts)


def _cells(found: NDArray[np.float32], patch: Patch, sides: tuple[int, ...]) -> NDArray[np.float32]:
    """The cells of one map [channel, *space] that hold the patch's voxels [voxel, channel]."""
    middles = patch.voxels[:, : len(sides)] - np.array(patch.start)[: len(sides)] + 0.5
    places = (middles * np.array(found.shape[1:]) / np.array(sides)).astype(np.intp)
    return found[(slice(None), *places.T)].T
