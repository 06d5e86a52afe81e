"""AC-Corr (Zhang et al., arXiv 2307.15282): how strongly a probed network's channels match its source's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from acnorm.core.convert import acnorm_layers


@dataclass(frozen=True)
class ACCorr:
    """The score in two forms.

    paper: mean over layers of Σ_ij C_ij, as published; grows with the number of channels.
    per_channel: mean over layers of Σ_ij C_ij / channels, between 0 and 1.
    """

    paper: float
    per_channel: float


def ac_corr(model: nn.Module) -> ACCorr:
    """Return AC-Corr of a converted network as it stands, after its probe.

    The score has no scale of its own: it grows with the probe's learning rate and steps, and a source whose
    affine is the same for all channels gets the maximum. Compare only scores of one probe protocol.

    Args:
        model: a converted network.

    Raises:
        ValueError: the model holds no AC-Norm layer.

    Examples:
        >>> import torch
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        >>> model[1].bias.data = torch.tensor([0.0, 1.0])
        >>> score = ac_corr(convert(model))  # C is 0.7311 on the diagonal
        >>> round(score.paper, 3), round(score.per_channel, 3)
        (1.462, 0.731)
    """
    layers = acnorm_layers(model)
    if not layers:
        raise ValueError("the model holds no AC-Norm layer; convert it before the probe.")
    sums = [float(layer.correlation().double().sum()) for layer in layers.values()]
    shares = [total / layer.weight.numel() for total, layer in zip(sums, layers.values(), strict=True)]
    return ACCorr(paper=sum(sums) / len(sums), per_channel=sum(shares) / len(shares))
