"""Random changes of training images, drawn from a generator that is given."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Augmentation = Callable[[Float[Tensor, "channel height width"], np.random.Generator], Tensor]


def flips(image: Float[Tensor, "channel height width"], draw: np.random.Generator) -> Tensor:
    """Mirror left-right and top-bottom, each with probability a half.

    Examples:
        >>> flips(torch.zeros(3, 8, 8), np.random.default_rng(0)).shape
        torch.Size([3, 8, 8])
    """
    horizontal, vertical = draw.random(2) < 0.5
    return image.flip([axis for axis, on in ((1, vertical), (2, horizontal)) if on])


def standard(image: Float[Tensor, "channel height width"], draw: np.random.Generator) -> Tensor:
    """Mirror, rotate by up to 15°, scale by 0.9 to 1.1, shift by up to 5 % of the side, brighten by up to 10 %.

    One grid sample for the three geometric changes: MONAI's ``RandAffine`` does the same at a hundred times the
    time a small image needs to be read.

    Examples:
        >>> image = torch.rand(3, 8, 8)
        >>> again = [standard(image, np.random.default_rng(7)) for _ in range(2)]
        >>> bool(torch.equal(*again))
        True
    """
    image = flips(image, draw)
    angle = math.radians(draw.uniform(-15, 15))
    scale = draw.uniform(0.9, 1.1)
    shift = draw.uniform(-0.1, 0.1, size=2)  # the side is 2 in grid units
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    matrix = torch.tensor([[[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]], dtype=image.dtype)
    grid = functional.affine_grid(matrix, [1, *image.shape], align_corners=False)
    moved = functional.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
    return moved * draw.uniform(0.9, 1.1)


def nothing(image: Float[Tensor, "channel height width"], draw: np.random.Generator) -> Tensor:  # noqa: ARG001
    """Leave the image as it is.

    Examples:
        >>> nothing(torch.ones(1, 1, 1), np.random.default_rng(0))
        tensor([[[1.]]])
    """
    return image


AUGMENTATIONS: dict[str, Augmentation] = {"standard": standard, "flips": flips, "none": nothing}
