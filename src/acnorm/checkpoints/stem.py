"""Fit the convolutions of a checkpoint to other numbers of input channels, or from 2D to 3D."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def adapt_stem(weight: Float[Tensor, "out source *kernel"], channels: int) -> Float[Tensor, "out target *kernel"]:
    """Return the weight for ``channels`` input channels, so that grey images keep the size of their response.

    The kernels are averaged over the source channels and shared out equally: a grey image repeated into
    every channel gives what it gave before, whatever the two numbers of channels.

    Args:
        weight: weight of the first convolution in the checkpoint.
        channels: input channels of the network.

    Examples:
        >>> rgb = torch.randn(8, 3, 5, 5)
        >>> grey = adapt_stem(rgb, 1)  # the sum over the colours
        >>> bool(torch.allclose(grey, rgb.sum(dim=1, keepdim=True), atol=1e-6))
        True
    """
    source = weight.shape[1]
    shared = weight.mean(dim=1, keepdim=True) * (source / channels)
    return torch.repeat_interleave(shared, channels, dim=1)


def inflate(weight: Float[Tensor, "out in height width"], depth: int) -> Float[Tensor, "out in height width depth"]:
    """Return a 3D kernel that does to a volume of equal slices what the 2D one does to a slice.

    The kernel is repeated along the third axis and divided by its length (Carreira and Zisserman, CVPR 2017).

    Args:
        weight: weight of a 2D convolution in the checkpoint.
        depth: length of the third axis, across the slices.

    Examples:
        >>> flat = torch.randn(8, 3, 5, 5)
        >>> bool(torch.allclose(inflate(flat, 3).sum(dim=-1), flat, atol=1e-6))
        True
    """
    return torch.repeat_interleave(weight[..., None] / depth, depth, dim=-1)
