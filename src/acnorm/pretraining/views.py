"""Random views of images and volumes, whole batches at once, for tasks that compare views of one image."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Images = Float[Tensor, "batch channel *space"]
LEAST_AREA = 0.3  # of a crop; SimCLR's 0.08 leaves lesions of medical images out of most views


def random_view(images: Images, least: float = LEAST_AREA) -> Images:
    """Return one random view of each image: cropped, mirrored, lit, coloured, blurred, with noise.

    Crops keep ``least`` to all of the area (or volume) and are brought back to full size. Intensities are taken to be
    normalised (mean 0, deviation 1), so that changes are in deviations.

    Args:
        images: normalised.
        least: smallest share of the area that a crop keeps.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> random_view(torch.rand(4, 3, 32, 32)).shape
        torch.Size([4, 3, 32, 32])
    """
    return with_noise(blurred(recoloured(mirrored(cropped(images, least)))))


def cropped(images: Images, least: float = LEAST_AREA) -> Images:
    """Take a random part of each image, of ``least`` to all of its area, and bring it to full size.

    Examples:
        >>> images = torch.rand(2, 1, 8, 8)
        >>> torch.allclose(cropped(images, least=1.0), images, atol=1e-6)
        True
    """
    batch, axes, device = len(images), images.ndim - 2, images.device
    side = torch.empty(batch, 1, device=device).uniform_(least, 1.0).pow(1 / axes)
    shift = torch.empty(batch, axes, device=device).uniform_(-1.0, 1.0) * (1 - side)
    matrix = torch.cat([torch.diag_embed(side.expand(batch, axes)), shift[..., None]], dim=2)
    grid = functional.affine_grid(matrix.to(images.dtype), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def mirrored(images: Images) -> Images:
    """Mirror each axis of each image with probability a half.

    Examples:
        >>> images = torch.rand(3, 1, 4, 4)
        >>> bool((mirrored(images).sum(dim=(1, 2, 3)) - images.sum(dim=(1, 2, 3))).abs().max() < 1e-5)
        True
    """
    for axis in range(2, images.ndim):
        images = torch.where(_some(images, 0.5), images.flip(axis), images)
    return images


def recoloured(images: Images, strength: float = 0.4) -> Images:
    """Change contrast, brightness and, of colour images, the balance of channels; a fifth of colour images turn grey.

    Examples:
        >>> recoloured(torch.zeros(2, 1, 4, 4)).std(dim=(1, 2, 3)).tolist()
        [0.0, 0.0]
    """
    batch, channels = images.shape[:2]
    rest = (1,) * (images.ndim - 2)
    middle = images.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
    contrast, brightness = (_between(images, (batch, 1, *rest), strength) for _ in range(2))
    changed = middle + (images - middle) * (1 + contrast) + brightness
    if channels == 1:
        return changed
    balanced = changed * (1 + _between(images, (batch, channels, *rest), strength / 2))
    grey = balanced.mean(dim=1, keepdim=True).expand_as(balanced)
    return torch.where(_some(images, 0.2), grey, balanced)


def blurred(images: Images, share: float = 0.5) -> Images:
    """Blur a share of the images by a Gaussian of 0.1 to 2 % of the longest side, at least of half a pixel.

    Examples:
        >>> blurred(torch.ones(2, 1, 8, 8)).allclose(torch.ones(2, 1, 8, 8))
        True
    """
    longest = max(images.shape[2:])
    sigma = max(0.5, longest * float(torch.empty(1).uniform_(0.001, 0.02)))
    reach = max(1, min(math.ceil(2 * sigma), min(images.shape[2:]) - 1))
    steps = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    soft = images
    for axis in range(2, images.ndim):
        soft = _along(soft, kernel, axis)
    return torch.where(_some(images, share), soft, images)


def with_noise(images: Images, largest: float = 0.1) -> Images:
    """Add Gaussian noise of up to ``largest`` deviations.

    Examples:
        >>> bool((with_noise(torch.zeros(2, 1, 8, 8)).std(dim=(1, 2, 3)) < 0.2).all())
        True
    """
    sigma = torch.empty(len(images), *(1,) * (images.ndim - 1), device=images.device).uniform_(0, largest)
    return images + torch.randn_like(images) * sigma


def _along(images: Images, kernel: Float[Tensor, " tap"], axis: int) -> Images:
    """Convolve along one axis, its edges repeated."""
    moved = images.movedim(axis, -1)
    flat = moved.reshape(-1, 1, moved.shape[-1])
    reach = len(kernel) // 2
    smooth = functional.conv1d(functional.pad(flat, (reach, reach), mode="replicate"), kernel[None, None])
    return smooth.reshape(moved.shape).movedim(-1, axis)


def _some(images: Images, share: float) -> Tensor:
    """Which images something is done to, so shaped that it can be chosen between images."""
    return torch.rand(len(images), *(1,) * (images.ndim - 1), device=images.device) < share


def _between(images: Images, shape: tuple[int, ...], strength: float) -> Tensor:
    return torch.empty(shape, device=images.device, dtype=images.dtype).uniform_(-strength, strength)
