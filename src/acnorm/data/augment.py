"""Random changes of training images and volumes, drawn from a generator that is given."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Augmentation = Callable[[Float[Tensor, " channel *space"], np.random.Generator], Tensor]


def flips(image: Float[Tensor, " channel *space"], draw: np.random.Generator) -> Tensor:
    """Mirror each axis with probability a half.

    Examples:
        >>> flips(torch.zeros(3, 8, 8), np.random.default_rng(0)).shape
        torch.Size([3, 8, 8])
    """
    mirrored = draw.random(image.ndim - 1) < 0.5
    return image.flip([image.ndim - 1 - at for at, on in enumerate(mirrored) if on])


def anatomical(image: Float[Tensor, " channel *space"], draw: np.random.Generator) -> Tensor:
    """Turn by up to 15°, scale by 0.9 to 1.1, shift by up to 5 % of the side, brighten by up to 10 %; left stays left.

    Volumes are turned in the plane of their first two axes. One grid sample for the three geometric changes: MONAI's
    ``RandAffine`` does the same at a hundred times the time a small image needs to be read.

    Examples:
        >>> image = torch.rand(3, 8, 8)
        >>> again = [anatomical(image, np.random.default_rng(7)) for _ in range(2)]
        >>> bool(torch.equal(*again))
        True
    """
    axes = image.ndim - 1
    angle = math.radians(draw.uniform(-15, 15))
    scale = draw.uniform(0.9, 1.1)
    matrix = torch.zeros(axes, axes + 1, dtype=image.dtype)
    matrix[:, axes] = torch.from_numpy(draw.uniform(-0.1, 0.1, size=axes))  # the side is 2 in grid units
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix[:, :axes] = torch.eye(axes)
    matrix[axes - 2 :, axes - 2 : axes] = turn  # a grid counts its axes from the last
    matrix[:, :axes] *= scale
    grid = functional.affine_grid(matrix[None], [1, *image.shape], align_corners=False)
    moved = functional.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
    return moved * draw.uniform(0.9, 1.1)


def standard(image: Float[Tensor, " channel *space"], draw: np.random.Generator) -> Tensor:
    """``flips``, then ``anatomical``.

    Examples:
        >>> standard(torch.rand(1, 8, 8, 8), np.random.default_rng(7)).shape
        torch.Size([1, 8, 8, 8])
    """
    return anatomical(flips(image, draw), draw)


def nothing(image: Float[Tensor, " channel *space"], draw: np.random.Generator) -> Tensor:  # noqa: ARG001
    """Leave the image as it is.

    Examples:
        >>> nothing(torch.ones(1, 1, 1), np.random.default_rng(0))
        tensor([[[1.]]])
    """
    return image


AUGMENTATIONS: dict[str, Augmentation] = {
    "standard": standard,
    "anatomical": anatomical,
    "flips": flips,
    "none": nothing,
}
