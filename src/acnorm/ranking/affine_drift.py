"""How far the affine moved in the probe: the plain measure that AC-Corr, which grows with it, has to beat."""

from __future__ import annotations

from torch import nn

from acnorm.core.convert import acnorm_layers


def affine_drift(model: nn.Module) -> float:
    """Return the mean over layers of mean |r_t − r_s|, the move of the ratio β / (|γ| + ε) of a channel.

    Args:
        model: a converted network, after its probe.

    Raises:
        ValueError: the model holds no AC-Norm layer.

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
    layers = acnorm_layers(model)
    if not layers:
        raise ValueError("the model holds no AC-Norm layer; convert it before the probe.")
    drifts = []
    for layer in layers.values():
        target, source = (ratio.double() for ratio in layer.ratios())
        drifts.append(float((target - source).abs().mean()))
    return sum(drifts) / len(drifts)
