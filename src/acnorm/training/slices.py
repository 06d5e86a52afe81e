"""Volumes answered slice by slice."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def mean_over_slices(
    network: nn.Module, images: Float[Tensor, "case slice channel height width"], *, several: bool
) -> Float[Tensor, "case class"]:
    """Return logits whose probabilities are the mean of those of the slices.

    Args:
        network: 2D, gives logits [batch, class].
        images: all slices of each case.
        several: whether a case may show several classes, each with a probability of its own (sigmoid, not softmax).

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> images = torch.rand(2, 5, 1, 2, 2)
        >>> found = mean_over_slices(network, images, several=False).softmax(dim=1)
        >>> by_slice = network(images.flatten(0, 1)).softmax(dim=1)
        >>> bool(torch.allclose(found, by_slice.view(2, 5, 3).mean(dim=1), atol=1e-6))
        True
    """
    logits = network(images.flatten(0, 1)).unflatten(0, images.shape[:2])
    if several:
        found: Tensor = functional.logsigmoid(logits).logsumexp(dim=1) - functional.logsigmoid(-logits).logsumexp(dim=1)
        return found
    mean: Tensor = logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(images.shape[1])
    return mean
