"""How far the affine moved in the probe: the plain measure that AC-Corr, which grows with it, has to beat."""

from __future__ import annotations

from torch import nn

from acnorm.ranking.ac_corr import chosen_layers


def affine_drift(model: nn.Module, layers: str | None = None) -> float:
    """Return the mean over layers of mean |r_t − r_s|, the move of the ratio β / (|γ| + ε) of a channel.

    Args:
        model: a converted network, after its probe.
        layers: only those whose name matches this pattern, as in a shell; all where not given.

    Raises:
        ValueError: the model holds no AC-Norm layer, or none that matches.

    Examples:
        >>> import torch
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        >>> model[1].bias.data = torch.tensor([0.0, 1.0])
        >>> model = convert(model)
        >>> model[1].norm.bias.data += 0.5
        >>> round(affine_drift(model), 3)
        0.5
    """
    drifts = []
    for layer in chosen_layers(model, layers).values():
        target, source = (ratio.double() for ratio in layer.ratios())
        drifts.append(float((target - source).abs().mean()))
    return sum(drifts) / len(drifts)
