"""What AC-Norm is doing in a converted network, in figures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from acnorm.core.census import acnorm_layers
from acnorm.core.layer import ACNorm


@dataclass(frozen=True)
class LayerSummary:
    """One AC-Norm layer.

    gain: Σ|γ'| / Σ|γ| with γ' the weight that the forward uses; 1 means nothing is added.
    sparsity: share of zero entries in C, between 0 (dense) and 1 − 1/channels (own channel only).
    drift: mean |r_t − r_s|, how far the affine ratios moved from the source.
    """

    name: str
    channels: int
    gain: float
    sparsity: float
    drift: float


@dataclass(frozen=True)
class Summary:
    """Parameters of a network and its AC-Norm layers; ``str`` gives a table."""

    trainable: int
    total: int
    layers: tuple[LayerSummary, ...]

    def __str__(self) -> str:
        """Return a table, one layer a row."""
        width = max([len(layer.name) for layer in self.layers] + [5])
        lines = [f"{self.trainable:,} trainable of {self.total:,} parameters, {len(self.layers)} AC-Norm layers"]
        if self.layers:
            lines.append(f"{'layer':<{width}} channels   gain  sparsity   drift")
        for layer in self.layers:
            lines.append(
                f"{layer.name:<{width}} {layer.channels:8d} {layer.gain:6.3f} {layer.sparsity:9.3f} {layer.drift:7.4f}"
            )
        return "\n".join(lines)


@torch.no_grad()
def summary(model: nn.Module) -> Summary:
    """Count the parameters of a network and describe each of its AC-Norm layers.

    Args:
        model: any network; without AC-Norm layers only parameters are counted.

    Examples:
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
        >>> model[1].bias.data = torch.arange(8.0)
        >>> print(summary(convert(model)))
        232 trainable of 232 parameters, 1 AC-Norm layers
        layer channels   gain  sparsity   drift
        1            8  1.524     0.875  0.0000
    """
    parameters = list(model.parameters())
    return Summary(
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        total=sum(parameter.numel() for parameter in parameters),
        layers=tuple(_describe(name, layer) for name, layer in acnorm_layers(model).items()),
    )


def _describe(name: str, layer: ACNorm) -> LayerSummary:
    weight, _ = layer.merged_affine()
    own = float(layer.weight.abs().sum())
    target, source = layer.ratios()
    return LayerSummary(
        name=name,
        channels=int(layer.weight.numel()),
        gain=float(weight.abs().sum()) / own if own else float("nan"),
        sparsity=float((layer.correlation() == 0).float().mean()),
        drift=float((target - source).abs().mean()),
    )
