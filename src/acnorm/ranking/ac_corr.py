"""AC-Corr (Zhang et al., arXiv 2307.15282): how strongly a probed network's channels match its source's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from acnorm.core.census import acnorm_layers
from acnorm.core.layer import ACNorm


@dataclass(frozen=True)
class ACCorr:
    """The score in two forms.

    paper: mean over layers of Σ_ij C_ij, as published; grows with the number of channels.
    per_channel: mean over layers of Σ_ij C_ij / channels, between 0 and 1.
    """

    paper: float
    per_channel: float


def ac_corr(model: nn.Module, layers: str | None = None) -> ACCorr:
    """Return AC-Corr of a converted network as it stands, after its probe.

    The score has no scale of its own: it grows with the probe's learning rate and steps, and a source whose
    affine is the same for all channels gets the maximum. Compare only scores of one probe protocol.

    Args:
        model: a converted network.
        layers: only those whose name matches this pattern, as in a shell ("layer4*"); all where not given.

    Raises:
        ValueError: the model holds no AC-Norm layer, or none that matches.

    Examples:
        >>> import torch
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        >>> model[1].bias.data = torch.tensor([0.0, 1.0])
        >>> score = ac_corr(convert(model))  # C is 0.7311 on the diagonal
        >>> round(score.paper, 3), round(score.per_channel, 3)
        (1.462, 0.731)
    """
    chosen = chosen_layers(model, layers)
    sums = [float(layer.correlation().double().sum()) for layer in chosen.values()]
    shares = [total / layer.weight.numel() for total, layer in zip(sums, chosen.values(), strict=True)]
    return ACCorr(paper=sum(sums) / len(sums), per_channel=sum(shares) / len(shares))


def chosen_layers(model: nn.Module, pattern: str | None = None) -> Mapping[str, ACNorm]:
    """Return the AC-Norm layers of a converted network whose name matches a pattern.

    Raises:
        ValueError: there are none.

    Examples:
        >>> import torch
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        >>> model[1].bias.data = torch.tensor([0.0, 1.0])
        >>> list(chosen_layers(convert(model), "[0-5]"))
        ['1']
    """
    layers = acnorm_layers(model)
    if not layers:
        raise ValueError("the model holds no AC-Norm layer; convert it before the probe.")
    chosen = {name: layer for name, layer in layers.items() if pattern is None or fnmatchcase(name, pattern)}
    if not chosen:
        raise ValueError(f"no AC-Norm layer matches {pattern!r}; there are {', '.join(layers)}.")
    return chosen
