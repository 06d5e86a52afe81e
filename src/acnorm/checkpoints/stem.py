"""Fit the first convolution of a checkpoint to another number of input channels."""

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
