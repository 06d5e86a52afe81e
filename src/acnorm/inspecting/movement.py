"""How far the affine of each layer is from where it started, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from acnorm.core.correlation import EPS, affine_ratio

QUANTITIES = ("ratio", "ratio_median", "weight", "bias")


def movement(
    weights: Mapping[str, Float[Tensor, "row channel"]],
    biases: Mapping[str, Float[Tensor, "row channel"]],
    epochs: tuple[int, ...],
    *,
    eps: float = EPS,
) -> pd.DataFrame:
    """Return how far each layer is from the first row: a row for each layer and epoch.

    Args:
        weights: γ of each layer.
        biases: β of each layer.
        epochs: what the rows are called.
        eps: of the affine ratio.

    Returns:
        layer, channels, epoch, and over the channels: ``ratio`` and ``ratio_median``, the mean and median of |r − r₀|;
        ``weight`` and ``bias``, the means of |γ − γ₀| and |β − β₀|. A channel with γ near 0 has a huge ratio and can
        carry the mean alone, hence the median.

    Examples:
        >>> import torch
        >>> weights, biases = {"bn1": torch.ones(2, 2)}, {"bn1": torch.tensor([[0.0, 0.0], [0.0, 1.0]])}
        >>> movement(weights, biases, (0, 1), eps=0.0)["ratio"].tolist()
        [0.0, 0.5]
    """
    return pd.DataFrame(
        [row for name in weights for row in _rows(name, weights[name].double(), biases[name].double(), epochs, eps)],
        columns=["layer", "channels", "epoch", *QUANTITIES],
    )


def _rows(
    name: str, weight: Tensor, bias: Tensor, epochs: tuple[int, ...], eps: float
) -> Iterator[tuple[str | int | float, ...]]:
    ratio = affine_ratio(weight.flatten(), bias.flatten(), eps=eps).view_as(weight)
    moved = [(value - value[0]).abs() for value in (ratio, weight, bias)]
    columns = (moved[0].mean(1), moved[0].quantile(0.5, dim=1), moved[1].mean(1), moved[2].mean(1))
    for epoch, *values in zip(epochs, *(column.tolist() for column in columns), strict=True):
        yield (name, weight.shape[1], epoch, *values)
