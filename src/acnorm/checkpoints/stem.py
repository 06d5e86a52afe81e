"""Fit the convolutions of a checkpoint to other numbers of input channels, or from 2D to 3D."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

StemRule = Literal["sum", "mean", "repeat", "first"]
DepthRule = Literal["spread", "centre"]
STEM_RULES: tuple[StemRule, ...] = ("sum", "mean", "repeat", "first")
DEPTH_RULES: tuple[DepthRule, ...] = ("spread", "centre")


def adapt_stem(
    weight: Float[Tensor, "out source *kernel"], channels: int, rule: StemRule = "sum"
) -> Float[Tensor, "out target *kernel"]:
    """Return the weight of a first convolution for another number of input channels.

    Args:
        weight: weight of the first convolution in the checkpoint.
        channels: input channels of the network.
        rule: "sum": the kernels' sum over the source channels, shared out equally, so that a grey image repeated into
            every channel gives what it gave before, whatever the two numbers of channels. "mean": every channel takes
            the mean kernel, so responses grow with the number of channels. "repeat": channel i takes kernel
            i modulo the source channels, scaled so that grey images keep about the size of their response (as timm).
            "first": the first channels keep their kernels, and further ones begin at zero, so that the network begins
            as if they were not there.

    Examples:
        >>> rgb = torch.randn(8, 3, 5, 5)
        >>> grey = adapt_stem(rgb, 1)  # the sum over the colours
        >>> bool(torch.allclose(grey, rgb.sum(dim=1, keepdim=True), atol=1e-6))
        True
        >>> adapt_stem(rgb, 5, "first")[:, 3:].abs().max()
        tensor(0.)
    """
    source = weight.shape[1]
    if rule == "repeat":
        return weight[:, torch.arange(channels) % source] * (source / channels)
    if rule == "first":
        further = weight.new_zeros(weight.shape[0], max(0, channels - source), *weight.shape[2:])
        return torch.cat([weight[:, :channels], further], dim=1)
    shared = weight.mean(dim=1, keepdim=True) * (source / channels if rule == "sum" else 1.0)
    return torch.repeat_interleave(shared, channels, dim=1)


def inflate(
    weight: Float[Tensor, "out in height width"], depth: int, rule: DepthRule = "spread"
) -> Float[Tensor, "out in height width depth"]:
    """Return a 3D kernel that does to a volume of equal slices what the 2D one does to a slice.

    Args:
        weight: weight of a 2D convolution in the checkpoint.
        depth: length of the third axis, across the slices.
        rule: "spread": the kernel is repeated along the third axis and divided by its length (Carreira and Zisserman,
            CVPR 2017). "centre": it stands in the middle slice, and zeros around it, so that the network begins slice
            by slice.

    Examples:
        >>> flat = torch.randn(8, 3, 5, 5)
        >>> bool(torch.allclose(inflate(flat, 3).sum(dim=-1), flat, atol=1e-6))
        True
    """
    if rule == "centre":
        kernel = weight.new_zeros(*weight.shape, depth)
        kernel[..., depth // 2] = weight
        return kernel
    return torch.repeat_interleave(weight[..., None] / depth, depth, dim=-1)
