"""Auto-RGN: each layer learns as fast as its gradient is large beside its weights (Lee et al., ICLR 2023)."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import torch
from torch import nn

from acnorm.tuning.hooks import RATES, About, Method, Setup
from acnorm.tuning.rules import Rules, at_least_one

LEAST = 1e-6  # of a layer without gradient, so that its rate can rise again


@dataclass(frozen=True)
class AutoRGN(Method):
    """Set the rate of each layer of the encoder, epoch by epoch, by its relative gradient norm.

    RGN is the mean over batches of ‖gradient‖ / ‖weights‖ of a layer, measured before each epoch on a copy of the
    network; a layer's rate is ``learning_rate`` · RGN / the largest RGN (section 5). The authors' code takes each
    tensor by itself and leaves norm layers out; a bias whose norm is about 0 would then set the scale for all. Here a
    layer is one module with its weight and bias, norm layers too. The head, which is new and would do the same, keeps
    its rate.

    Args:
        batches: how many are measured.

    Examples:
        >>> network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        >>> setup = Setup(
        ...     network,
        ...     "1",
        ...     loss=lambda network, batch: network(batch["image"]).sum(),
        ...     batches=lambda epoch: iter([{"image": torch.ones(1, 1)}]),
        ... )
        >>> AutoRGN().epoch_rates(setup, 0)
        {'0.weight': 1.0}
    """

    about: ClassVar[About] = About(
        "Lee et al., ICLR 2023 (arXiv 2210.11466), section 5",
        "1, and five batches more an epoch",
        "in the place of a choice by hand which layers to tune",
    )
    decides: ClassVar[frozenset[str]] = RATES
    one_process: ClassVar[bool] = True
    own_rates: ClassVar[bool] = True

    batches: int = 5

    def problems(self) -> list[str]:
        """At least one batch."""
        rules = Rules("auto_rgn", self)
        at_least_one(rules, "batches")
        return rules.problems

    def epoch_rates(self, setup: Setup, epoch: int) -> dict[str, float]:
        """By layer; the largest of those that are not frozen 1."""
        norms = relative_gradient_norms(setup, epoch, self.batches)
        largest = max((norm for layer, norm in norms.items() if _learns(setup, layer)), default=0.0)
        of_layer = {
            layer: min(max(norm / largest, LEAST), 1.0) if largest > 0 else 1.0 for layer, norm in norms.items()
        }
        return {name: of_layer[name.rpartition(".")[0]] for name in setup.encoder}


def _learns(setup: Setup, layer: str) -> bool:
    owned = setup.network.get_submodule(layer).parameters(recurse=False)
    return any(parameter.requires_grad for parameter in owned)


def relative_gradient_norms(setup: Setup, epoch: int, batches: int) -> dict[str, float]:
    """Return the mean of ‖gradient‖ / ‖weights‖ over batches, layer by layer outside the head.

    Args:
        setup: of the run; its network is not changed.
        epoch: whose batches are taken.
        batches: how many.

    Examples:
        >>> relative_gradient_norms(Setup(nn.Linear(1, 1), ""), 0, 1)
        {'': 0.0}
    """
    network = deepcopy(setup.network).requires_grad_(True)
    device = next(network.parameters()).device
    layers: dict[str, list[nn.Parameter]] = {}
    for name in setup.encoder:
        layers.setdefault(name.rpartition(".")[0], []).append(network.get_parameter(name))
    sums, count = dict.fromkeys(layers, 0.0), 0
    with torch.random.fork_rng(devices=[]):
        for batch in islice(setup.batches(epoch), batches):
            network.zero_grad()
            setup.loss(network, {name: value.to(device) for name, value in batch.items()}).backward()  # type: ignore[no-untyped-call]
            count += 1
            for name, weights in layers.items():
                gradients = [weight.grad for weight in weights if weight.grad is not None]
                sums[name] += _norm(gradients) / max(_norm(weights), torch.finfo(torch.float32).tiny)
    return {name: total / max(count, 1) for name, total in sums.items()}


def _norm(values: list[torch.Tensor] | list[nn.Parameter]) -> float:
    return math.sqrt(sum(float(value.detach().double().square().sum()) for value in values))
