"""DELTA (Li et al., ICLR 2019): feature maps stay near those of the source, channel by channel as they matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import count, islice
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from acnorm.tuning.features import outputs_of
from acnorm.tuning.hooks import WEIGHTS, About, Batch, Method, Penalty, Setup, inside
from acnorm.tuning.rules import Rules, at_least_one, not_negative, positive
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class DELTA(Method):
    """Keep the feature maps of each stage near those of the source, the more so the more a channel matters.

    The loss gains α Σ_stages Σ_c W_c ‖FM_c − FM⁰_c‖² · C / (2 · positions), the mean over the batch (equations 4 to
    6), and the head has a weight decay of β in the place of ``weight_decay``; no other decays. FM are the outputs of
    the encoder's stages, of label maps too, and FM⁰ those of the frozen source in eval.

    W, the attention, is the softmax over channels of the z-score of how much the loss rises when a channel is set to 0,
    divided by ``temperature``. It is measured once, when training starts, on a few batches, with a head that has been
    trained on the frozen source for ``head_steps`` steps. The authors run the network once for each channel; we take
    the first-order rise −Σ a · ∂loss/∂a of all channels from one backward pass a batch. Further differences: their
    penalty is the sum over the batch and so grows with its size; they take the last convolution of each stage, before
    its norm layer; where all channels matter alike, whose z-score is 0/0, W is even.

    Args:
        alpha: strength.
        beta: weight decay of the head.
        temperature: of the attention.
        batches: on which the attention is measured.
        head_steps: of training the head before.

    Examples:
        >>> DELTA().problems()
        []
    """

    about: ClassVar[About] = About(
        "Li et al., ICLR 2019 (arXiv 1901.09229)",
        "1.1 to 1.3",
        "a source whose features suit the target; few labelled images",
    )
    decides: ClassVar[frozenset[str]] = WEIGHTS
    needs_weights: ClassVar[bool] = True
    needs_source: ClassVar[bool] = True
    space: ClassVar[Space] = {"alpha": Between(1e-4, 1, log=True), "beta": Between(1e-5, 0.1, log=True)}

    alpha: float = 0.01
    beta: float = 0.01
    temperature: float = 5.0
    batches: int = 4
    head_steps: int = 100

    def problems(self) -> list[str]:
        """Strengths from 0, a temperature above 0, at least one batch and step."""
        rules = Rules("delta", self)
        not_negative(rules, "alpha", "beta")
        positive(rules, "temperature")
        at_least_one(rules, "batches", "head_steps")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """Stages must give feature maps."""
        image = next(setup.batches(0))["image"][:1]
        source = deepcopy(cast(nn.Module, setup.source)).eval()
        with torch.no_grad(), outputs_of(source, setup.taps) as found:
            source(image)
        flat = [name for name in setup.taps if name not in found or found[name].ndim != image.ndim]
        if flat:
            raise ValueError(f"{flat[0]}, a stage of its encoder, gives no feature map of {image.ndim - 2} dimensions.")

    def decays(self, setup: Setup) -> dict[str, float]:
        """Of the head alone."""
        return {name: self.beta if inside(name, (setup.head,)) else 0.0 for name in setup.parameters}

    def penalty(self, setup: Setup) -> Penalty:
        """The distance of feature maps."""
        return FeatureDistance(setup, self)


class FeatureDistance(Penalty):
    """The distance of feature maps from those of the source, weighted by attention.

    Args:
        setup: of the run.
        method: its settings.

    Examples:
        >>> FeatureDistance.__name__
        'FeatureDistance'
    """

    def __init__(self, setup: Setup, method: DELTA) -> None:
        super().__init__()
        # in a tuple, so that the source is no part of this module and stays out of what is trained and saved
        self._source = (cast(nn.Module, setup.source),)
        self._setup, self._method = setup, method
        self._attention: dict[str, Tensor] | None = None
        self._maps: dict[str, Tensor] = {}

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Keep the feature maps."""
        with outputs_of(network, self._setup.taps) as found:
            yield
        self._maps = found

    def forward(self, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Of the feature maps that were kept."""
        images, maps = batch["image"], self._maps
        self._maps = {}
        source = self._source[0].to(device=images.device, dtype=next(network.parameters()).dtype)
        if self._attention is None:  # here, where the device is known; a resumed run finds the same
            self._attention = attention(self._setup, source, self._method)
        with torch.no_grad(), outputs_of(source, self._setup.taps) as wanted:
            source(images)
        weights = self._attention
        terms = [weighted_distance(maps[name], wanted[name], weights[name]) for name in self._setup.taps]
        return self._method.alpha * torch.stack(terms).sum()


def weighted_distance(
    maps: Float[Tensor, "batch channel *space"],
    source: Float[Tensor, "batch channel *space"],
    weights: Float[Tensor, " channel"],
) -> Float[Tensor, ""]:
    """Return Σ_c W_c ‖FM_c − FM⁰_c‖² · C / (2 · positions), the mean over the batch, in single precision at least.

    Examples:
        >>> weighted_distance(torch.ones(3, 2, 4, 4), torch.zeros(3, 2, 4, 4), torch.tensor([0.5, 0.5]))
        tensor(1.)
    """
    dtype = torch.promote_types(maps.dtype, torch.float32)
    squares = (maps.to(dtype) - source.to(dtype)).square().flatten(2).mean(dim=2)
    return (squares * weights.to(dtype)).sum(dim=1).mean() * len(weights) / 2


def attention(setup: Setup, source: nn.Module, method: DELTA) -> dict[str, Float[Tensor, " channel"]]:
    """Return the attention of each stage: how much its channels matter to the source, once its head is trained.

    Args:
        setup: of the run.
        source: the source network, on its device; is not changed.
        method: the settings.

    Examples:
        >>> attention.__name__
        'attention'
    """
    device = next(source.parameters()).device
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, torch.autocast(device.type, enabled=False):
        network = _with_trained_head(setup, source, method.head_steps)
        rises = _rises(setup, network.eval(), method.batches)
    return {name: (z_score(rise) / method.temperature).softmax(dim=0) for name, rise in rises.items()}


def z_score(values: Float[Tensor, " channel"]) -> Float[Tensor, " channel"]:
    """Return values less their mean over their deviation; 0 where they do not differ.

    Examples:
        >>> z_score(torch.tensor([1.0, 3.0])), z_score(torch.ones(2))
        (tensor([-0.7071,  0.7071]), tensor([0., 0.]))
    """
    apart = values - values.mean()
    deviation = apart.norm() / max(len(values) - 1, 1) ** 0.5
    return torch.where(
        deviation > 0, apart / deviation.clamp(min=torch.finfo(values.dtype).tiny), torch.zeros_like(apart)
    )


def _with_trained_head(setup: Setup, source: nn.Module, steps: int) -> nn.Module:
    network = deepcopy(source).eval().requires_grad_(False)
    network.to(torch.promote_types(next(network.parameters()).dtype, torch.float32))
    head = network.get_submodule(setup.head).train().requires_grad_(True)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    for batch in islice(_endless(setup, network), steps):
        optimizer.zero_grad()
        setup.loss(network, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network


def _rises(setup: Setup, network: nn.Module, batches: int) -> dict[str, Tensor]:
    """By how much the loss rises, to first order, when a channel's feature map is set to 0."""
    network.requires_grad_(True)
    sums: dict[str, Tensor] = {}
    for batch in islice(_endless(setup, network), batches):
        with outputs_of(network, setup.taps) as maps:
            loss = setup.loss(network, batch)
        slopes = torch.autograd.grad(loss, [maps[name] for name in setup.taps])
        for name, slope in zip(setup.taps, slopes, strict=True):
            rise = -(maps[name].detach() * slope).transpose(0, 1).flatten(1).sum(dim=1)
            sums[name] = sums.get(name, 0) + rise.to(torch.promote_types(rise.dtype, torch.float32))
    return sums


def _endless(setup: Setup, network: nn.Module) -> Iterator[Batch]:
    parameter = next(network.parameters())
    for epoch in count():
        for batch in setup.batches(epoch):
            moved = {name: value.to(parameter.device) for name, value in batch.items()}
            yield moved | {"image": moved["image"].to(parameter.dtype)}
