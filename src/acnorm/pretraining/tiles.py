"""Images cut into the tiles of a grid, for tasks that ask where a tile belongs."""

from __future__ import annotations

import math
from functools import cache
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from acnorm.errors import UserError

Images = Float[Tensor, "batch channel *space"]
Tiles = Float[Tensor, "batch tile channel *cell"]


def cut(images: Images, parts: int, *, method: str, gap: int = 0) -> Tiles:
    """Cut images into a grid of ``parts`` tiles an axis, the last axis running fastest; what is over is left out.

    Args:
        images: the whole.
        parts: tiles an axis.
        method: the pretext task that asks, for the message.
        gap: pixels or voxels by which a tile is smaller than its cell; where in its cell it lies is drawn for each tile
            and image, so that edges that run on do not tell the answer.

    Raises:
        UserError: the images are too small.

    Examples:
        >>> cut(torch.arange(16.0).reshape(1, 1, 4, 4), 2, method="jigsaw")[0, 1, 0].tolist()
        [[2.0, 3.0], [6.0, 7.0]]
    """
    cells = [side // parts for side in images.shape[2:]]
    sizes = [cell - gap for cell in cells]
    if min(sizes) < 2:
        sides = " × ".join(map(str, images.shape[2:]))
        or_less = f" or a smaller {method}.gap" if gap and min(cells) >= 2 else ""
        raise UserError(
            f"--method {method}: cannot cut images of {sides} into {parts} tiles a side; give larger ones{or_less}."
        )
    found = []
    for place in product(range(parts), repeat=len(cells)):
        shifts = torch.randint(gap + 1, (len(images), len(cells)))
        starts = [at * cell for at, cell in zip(place, cells, strict=True)]
        tile = [
            image[(slice(None), *(slice(s + j, s + j + size) for s, j, size in zip(starts, shift, sizes, strict=True)))]
            for image, shift in zip(images, shifts.tolist(), strict=True)
        ]
        found.append(torch.stack(tile))
    return torch.stack(found, dim=1)


def gap_of(images: Images, parts: int, share: float) -> int:
    """Return the pixels by which tiles are smaller than their cells, a share of the shortest side of a cell.

    Examples:
        >>> gap_of(torch.zeros(1, 1, 30, 40), 3, 0.25)
        2
    """
    return int(share * min(side // parts for side in images.shape[2:]))


def joined(tiles: Tiles, parts: int) -> Images:
    """Put tiles of a grid of ``parts`` an axis together again.

    Examples:
        >>> images = torch.rand(2, 3, 6, 4)
        >>> torch.equal(joined(cut(images, 2, method="jigsaw"), 2), images)
        True
    """
    axes = tiles.ndim - 3
    spread = tiles.unflatten(1, (parts,) * axes)  # type: ignore[no-untyped-call]
    order = [0, axes + 1]
    for axis in range(axes):
        order += [1 + axis, axes + 2 + axis]
    sides = [parts * side for side in tiles.shape[3:]]
    whole: Tensor = spread.permute(order).reshape(len(tiles), tiles.shape[2], *sides)
    return whole


def permutations(tiles: int, count: int, seed: int = 0, *, method: str) -> Int[Tensor, "count tile"]:
    """Return orders of tiles that differ in as many places as can be, the first the natural one.

    Greedily: each next one is that of a thousand drawn whose least Hamming distance to those taken is largest (Noroozi
    and Favaro, ECCV 2016, algorithm 1, which looks at all of them).

    Args:
        tiles: in an image.
        count: orders.
        seed: of those drawn.
        method: the pretext task that asks, for the message.

    Raises:
        UserError: there are not so many.

    Examples:
        >>> permutations(4, 3, method="jigsaw")[0].tolist()
        [0, 1, 2, 3]
    """
    if count > math.factorial(tiles):
        raise UserError(
            f"{method}.orders is {count}, must be {math.factorial(tiles)} or less: {tiles} tiles have no more orders."
        )
    return torch.from_numpy(_permutations(tiles, count, seed).copy())


@cache
def _permutations(tiles: int, count: int, seed: int) -> NDArray[np.int64]:
    draw = np.random.default_rng(seed)
    taken = [np.arange(tiles)]
    while len(taken) < count:
        drawn = np.stack([draw.permutation(tiles) for _ in range(1000)])
        least = np.min([(drawn != other).sum(axis=1) for other in taken], axis=0)
        taken.append(drawn[least.argmax()])
    return np.stack(taken)


def reordered(tiles: Tiles, orders: Int[Tensor, "batch tile"]) -> Tiles:
    """Put the tiles of each image in its order: place i shows tile ``orders[i]``.

    Examples:
        >>> tiles = torch.arange(3.0).reshape(1, 3, 1, 1)
        >>> reordered(tiles, torch.tensor([[2, 0, 1]])).flatten().tolist()
        [2.0, 0.0, 1.0]
    """
    return torch.stack([image[order] for image, order in zip(tiles, orders, strict=True)])
