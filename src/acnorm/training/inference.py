"""A segmentation network on whole images and volumes, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import cast

import torch
from jaxtyping import Float
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from acnorm.data.intensities import IntensityPreprocessing, resample

OVERLAP = 0.5  # of neighbouring windows, as nnU-Net's
QUICK_OVERLAP = 0.25  # while training, where epochs are compared: half the work
WINDOWS = 4  # in one batch


@torch.no_grad()
def segment(
    network: nn.Module,
    image: Float[Tensor, " channel *space"],
    patch: tuple[int, ...],
    *,
    overlap: float = OVERLAP,
    flips: bool = False,
) -> Float[Tensor, " class *space"]:
    """Return the class probabilities of every voxel.

    Windows of the size of the training patches overlap by half and are blended with Gaussian weights. With a patch of
    two axes a volume is segmented slice by slice across its last axis. The network is used as it is: put it in eval.

    Args:
        network: gives logits [batch, class, *patch] for [batch, channel, *patch].
        image: prepared as in training; smaller than a patch it is filled up by repeating its edge.
        patch: voxels an axis, two or three.
        overlap: share of a window that it has in common with the next one.
        flips: average the probabilities over all mirror images (4 times the work in 2D, 8 times in 3D).

    Examples:
        >>> network = nn.Conv2d(1, 2, 1)
        >>> segment(network, torch.rand(1, 40, 30), (16, 16)).shape
        torch.Size([2, 40, 30])
        >>> segment(network, torch.rand(1, 40, 30, 5), (16, 16)).shape
        torch.Size([2, 40, 30, 5])
    """
    sliced = image.ndim - 1 > len(patch)
    batch = (image.movedim(-1, 0) if sliced else image[None]).to(next(network.parameters()).device)
    axes = range(2, 2 + len(patch))
    mirrors = [flip for count in range(len(patch) + 1) for flip in combinations(axes, count)] if flips else [()]
    mean = torch.stack([_windows(network, batch.flip(mirror), patch, overlap).flip(mirror) for mirror in mirrors]).mean(
        0
    )
    return mean.movedim(0, -1) if sliced else mean[0]


def segment_case(
    network: nn.Module,
    image: Float[Tensor, " channel *prepared"],
    shape: Sequence[int],
    preprocessing: IntensityPreprocessing,
    *,
    overlap: float = OVERLAP,
) -> Float[Tensor, " class *space"]:
    """Return the class probabilities of every voxel of a case on its own grid, from its prepared image.

    Args:
        network: as for ``segment``.
        image: as ``preprocessing`` gives it, perhaps resampled.
        shape: voxels an axis of the case itself.
        preprocessing: of the network.
        overlap: as for ``segment``.

    Examples:
        >>> prepare = IntensityPreprocessing(1, (16, 16))
        >>> segment_case(nn.Conv2d(1, 2, 1), torch.rand(1, 20, 20), (40, 40), prepare).shape
        torch.Size([2, 40, 40])
    """
    found = segment(network, image, preprocessing.patch, overlap=overlap, flips=preprocessing.flips)
    return resample(found, shape)


def _windows(network: nn.Module, batch: Tensor, patch: tuple[int, ...], overlap: float) -> Tensor:
    logits = sliding_window_inference(
        batch, patch, WINDOWS, network, overlap=overlap, mode="gaussian", padding_mode="replicate"
    )
    return cast(Tensor, logits).float().softmax(dim=1)
