"""StochNorm (Kou et al., NeurIPS 2020): batch or running statistics, drawn for each channel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from acnorm.tuning.hooks import NORMS, About, Method
from acnorm.tuning.rules import Rules, share
from acnorm.tuning.space import Between, Space

logger = logging.getLogger("acnorm")
_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class StochNormTuning(Method):
    """Normalise each channel with the statistics of its batch or with the running ones, as drawn in every step.

    While training x̂ = s · BN_batch(x) + (1 − s) · BN_running(x), s drawn from {0, 1} for each channel (section 3.2);
    the running branch takes the statistics as they are before this step. Both branches share γ and β. In eval it is
    plain BatchNorm, which is what the finished network holds.

    The layer wraps BatchNorm and calls it once, so that it may be a SyncBatchNorm; each process draws its own
    channels. Draws come from torch's generator, which every epoch of a run seeds. BatchNorm layers with behaviour of
    their own (a fused activation, statistics of the batch always) are left alone.

    Args:
        probability: that a channel takes the statistics of its batch.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        >>> type(StochNormTuning().prepare(network, None)[1]).__name__
        'StochNorm'
    """

    about: ClassVar[About] = About(
        "Kou et al., NeurIPS 2020",
        "1 to 1.1",
        "a supervised source and few labelled images; with self-supervised ones it was published to harm",
    )
    decides: ClassVar[frozenset[str]] = NORMS
    moves_statistics: ClassVar[bool] = True
    space: ClassVar[Space] = {"probability": Between(0.1, 0.9)}

    probability: float = 0.5

    def problems(self) -> list[str]:
        """A probability."""
        rules = Rules("stochnorm", self)
        share(rules, "probability")
        return rules.problems

    def prepare(self, network: nn.Module, trained_norms: Collection[str] | None) -> nn.Module:
        """Wrap the norm layers that came from the checkpoint."""
        layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, _BatchNorm)}
        chosen = {
            name
            for name, layer in layers.items()
            if type(layer) in _KINDS and layer.track_running_stats and (trained_norms is None or name in trained_norms)
        }
        if not chosen:
            raise ValueError(
                f"no BatchNorm layer in {type(network).__name__} to draw statistics in ({len(layers)} there, none of "
                "them plain, with running statistics, and from the checkpoint)."
            )
        logger.info("StochNorm: %s of %s BatchNorm layers", len(chosen), len(layers))
        return _replaced(network, chosen, lambda layer: StochNorm(layer, self.probability))

    def rebuild(self, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """Wrap the layers that the state holds, and load it."""
        layers = [name for name, layer in network.named_modules() if isinstance(layer, _BatchNorm)]
        wrapped = {name for name in layers if f"{name}.norm.running_mean" in state}
        _replaced(network, wrapped, lambda layer: StochNorm(layer, self.probability))
        network.load_state_dict(state)
        return network

    def finish(self, network: nn.Module, example: Tensor) -> nn.Module:  # noqa: ARG002
        """Put the plain layers back."""
        wrapped = {name for name, layer in network.named_modules() if isinstance(layer, StochNorm)}
        return _replaced(network, wrapped, lambda layer: cast(StochNorm, layer).norm)


class StochNorm(nn.Module):
    """Around a BatchNorm: while it trains, channels take the statistics of the batch or the running ones.

    Args:
        norm: any plain BatchNorm or SyncBatchNorm with running statistics.
        probability: that a channel takes the statistics of the batch.

    Examples:
        >>> layer = StochNorm(nn.BatchNorm2d(8))
        >>> layer(torch.randn(4, 8, 5, 5)).shape
        torch.Size([4, 8, 5, 5])
    """

    def __init__(self, norm: nn.Module, probability: float = 0.5) -> None:
        super().__init__()
        self.norm = norm
        self.probability = probability

    def forward(self, input: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """Both branches, mixed by channel."""
        norm = cast(_BatchNorm, self.norm)
        if not norm.training:
            return cast(Tensor, norm(input))
        # copies: the batch's branch updates them before the gradient of this one is taken
        statistics = cast(Tensor, norm.running_mean).clone(), cast(Tensor, norm.running_var).clone()
        running = functional.batch_norm(input, *statistics, norm.weight, norm.bias, False, 0.0, norm.eps)
        drawn = torch.rand(input.shape[1], device=input.device) < self.probability
        return torch.where(drawn.view(1, -1, *(1,) * (input.ndim - 2)), norm(input), running)


def _replaced(network: nn.Module, names: Collection[str], by: Callable[[nn.Module], nn.Module]) -> nn.Module:
    for name in names:
        parent, _, child = name.rpartition(".")
        layer = network.get_submodule(name)
        network.get_submodule(parent)._modules[child] = by(layer).train(layer.training)
    return network
