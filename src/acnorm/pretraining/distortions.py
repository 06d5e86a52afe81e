"""What Models Genesis does to images before they are restored (Zhou et al., MICCAI 2019; Medical Image Analysis 2021).

Images may have any intensities: each is brought to 0..1 by its own extremes, changed, and brought back. Local shuffling
moves pixels within the blocks of a random grid, where the authors draw windows that may overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Images = Float[Tensor, "batch channel *space"]
Image = Float[Tensor, " channel *space"]
_STEPS = 1000  # at which a Bézier curve is evaluated


def nonlinear(images: Images) -> Images:
    """Send intensities through a random monotone Bézier curve, of one image in two upside down.

    The end points are (0, 0) and (1, 1), the two control points are drawn from the unit square (the paper of 2021,
    section 3.1).

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> image = torch.linspace(0, 1, 16).reshape(1, 1, 4, 4)
        >>> out = nonlinear(image).flatten()
        >>> bool((out.diff() >= 0).all() or (out.diff() <= 0).all())
        True
    """
    return _on_unit_scale(images, _through_curve)


def shuffled_locally(images: Images, share: float = 0.5) -> Images:
    """Shuffle the pixels within a share of the blocks of a random grid.

    The sides of blocks are at most a tenth of the image's, at least 2 pixels.

    Examples:
        >>> image = torch.arange(400.0).reshape(1, 1, 20, 20)
        >>> bool(torch.equal(shuffled_locally(image).flatten().sort().values, image.flatten()))
        True
    """
    return torch.stack([_shuffled(image, share) for image in images])


def painted(images: Images, inner: float = 0.2) -> Images:
    """Replace blocks by noise (in-painting, of a share ``inner`` of the images) or all but blocks (out-painting).

    Examples:
        >>> painted(torch.rand(2, 1, 16, 16)).shape
        torch.Size([2, 1, 16, 16])
    """
    return _on_unit_scale(images, lambda image: _inpainted(image) if _chance(inner) else _outpainted(image))


def distorted(
    images: Images,
    *,
    nonlinear_share: float = 0.9,
    shuffled_share: float = 0.5,
    painted_share: float = 0.9,
    inner: float = 0.2,
) -> Images:
    """Change images as Models Genesis, by default with the chances of its authors.

    Args:
        images: the whole.
        nonlinear_share, shuffled_share, painted_share: shares of the images to which each is done.
        inner: share of the painted images that are painted inside.

    Examples:
        >>> distorted(torch.rand(2, 1, 8, 8, 8)).shape
        torch.Size([2, 1, 8, 8, 8])
    """
    changes: tuple[tuple[Callable[[Images], Images], float], ...] = (
        (shuffled_locally, shuffled_share),
        (nonlinear, nonlinear_share),
        (partial(painted, inner=inner), painted_share),
    )
    for change, chance in changes:
        images = torch.stack([change(image[None])[0] if _chance(chance) else image for image in images])
    return images


def _on_unit_scale(images: Images, change: Callable[[Image], Image]) -> Images:
    done = []
    for image in images:
        low, high = image.amin(), image.amax()
        extent = torch.where(high > low, high - low, torch.ones_like(high))
        done.append(change((image - low) / extent) * extent + low)
    return torch.stack(done)


def _through_curve(image: Image) -> Image:
    points = torch.rand(2, 2, device=image.device, dtype=image.dtype).sort(dim=0).values
    along = torch.linspace(0, 1, _STEPS, device=image.device, dtype=image.dtype)[:, None]
    curve = 3 * (1 - along) ** 2 * along * points[0] + 3 * (1 - along) * along**2 * points[1] + along**3
    x, y = curve.unbind(dim=1)
    at = torch.searchsorted(x.contiguous(), image.contiguous()).clamp(1, _STEPS - 1)
    before, after = x[at - 1], x[at]
    part = ((image - before) / (after - before).clamp_min(1e-12)).clamp(0, 1)
    found = y[at - 1] + part * (y[at] - y[at - 1])
    return 1 - found if _chance(0.5) else found


def _shuffled(image: Image, share: float) -> Image:
    sizes = [max(2, side // 10) for side in image.shape[1:]]
    block = [int(torch.randint(2, size + 1, (1,))) for size in sizes]
    start = [int(torch.randint(0, side, (1,))) for side in block]
    whole = [(side - offset) // size for side, offset, size in zip(image.shape[1:], start, block, strict=True)]
    if min(whole) < 1:
        return image
    inside = tuple(slice(o, o + n * b) for o, n, b in zip(start, whole, block, strict=True))
    part = image[(slice(None), *inside)]
    axes = len(block)
    split = part.reshape(len(image), *(size for pair in zip(whole, block, strict=True) for size in pair))
    order = [0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2)]
    blocks = split.permute(order)
    flat = blocks.reshape(len(image), math.prod(whole), math.prod(block))
    draws = torch.rand(flat.shape[1:], device=image.device)
    moved = torch.rand(len(draws), 1, device=image.device) < share
    places = torch.where(moved, draws.argsort(dim=1), torch.arange(flat.shape[2], device=image.device))
    mixed = flat.gather(2, places.expand(len(image), *places.shape)).reshape(blocks.shape)
    back = sorted(range(len(order)), key=order.__getitem__)
    changed = image.clone()
    changed[(slice(None), *inside)] = mixed.permute(back).reshape(part.shape)
    return changed


def _inpainted(image: Image) -> Image:
    """Up to five blocks of a sixth to a third of each side hold noise."""
    changed = image.clone()
    for _ in range(_several()):
        place = _block(image.shape[1:], 1 / 6, 1 / 3)
        changed[place] = torch.rand_like(changed[place])
    return changed


def _outpainted(image: Image) -> Image:
    """All is noise but up to five blocks of three to four sevenths of each side."""
    changed = torch.rand_like(image)
    for _ in range(_several()):
        place = _block(image.shape[1:], 3 / 7, 4 / 7)
        changed[place] = image[place]
    return changed


def _several() -> int:
    """One to five, each further one with a chance of 95 %."""
    return 1 + int((torch.rand(4) < 0.95).cumprod(dim=0).sum())


def _block(shape: torch.Size, least: float, most: float) -> tuple[slice, ...]:
    found = [slice(None)]
    for side in shape:
        size = max(1, int(side * float(torch.empty(1).uniform_(least, most))))
        start = int(torch.randint(0, side - size + 1, (1,)))
        found.append(slice(start, start + size))
    return tuple(found)


def _chance(share: float) -> bool:
    return bool(torch.rand(1) < share)


def restoring_error(restored: Images, images: Images) -> Tensor:
    """Mean squared error, which is what Models Genesis trains.

    Examples:
        >>> restoring_error(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
        tensor(1.)
    """
    return functional.mse_loss(restored, images)
