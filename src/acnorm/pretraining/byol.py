"""BYOL (Grill et al., NeurIPS 2020): tell from one view what a slow copy of the network makes of another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from acnorm.pretraining.averaging import follow, follower_of
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.projection import Projected, projector
from acnorm.pretraining.task import ViewsPretext
from acnorm.tuning.rules import Rules, at_least_one, between, up_to_one


class BYOLNetwork(nn.Module):
    """An online network with a predictor, and the target that follows it."""

    def __init__(self, online: Projected, outputs: int, hidden: int) -> None:
        super().__init__()
        self.encoder = online.encoder
        self.head = nn.ModuleDict({"projector": online.head, "predictor": projector(outputs, hidden, outputs)})
        self.target = follower_of(online)

    def forward(self, images: Tensor) -> Tensor:
        """Images to predictions of the target's projections."""
        predictions: Tensor = self.head["predictor"](self.head["projector"](self.encoder(images)))
        return predictions


def distance(predictions: Float[Tensor, "batch value"], targets: Float[Tensor, "batch value"]) -> Float[Tensor, ""]:
    """Return the mean of 2 − 2 cos (equation 2 of the paper), in float32.

    Examples:
        >>> distance(torch.eye(2), 3 * torch.eye(2)), distance(torch.eye(2), -torch.eye(2))
        (tensor(0.), tensor(4.))
    """
    return (2 - 2 * functional.cosine_similarity(predictions.float(), targets.float(), dim=1)).mean()


@dataclass(frozen=True)
class BYOL(ViewsPretext):
    """Predict the target's projection of one view from the other, both ways.

    Args:
        momentum: of the target at the start; grows to 1 along a cosine.
        hidden: width of the middle of projector and predictor.
        outputs: width of the space in which views are compared.
        least_area: smallest share of an image's area (or volume) that a view shows.

    Examples:
        >>> network = BYOL().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> BYOL().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "tell from one view what a slow copy makes of another; no negatives"
    paper: ClassVar[str] = "Grill et al., NeurIPS 2020"

    momentum: float = 0.99
    hidden: int = 512
    outputs: int = 128

    def problems(self) -> list[str]:
        """A momentum from 0 to 1, widths from 1, a share of the area."""
        rules = Rules("byol", self)
        between(rules, "momentum")
        at_least_one(rules, "hidden", "outputs")
        up_to_one(rules, "least_area")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """Online network, predictor and target."""
        return BYOLNetwork(Projected(blueprint.encoder(), self.hidden, self.outputs), self.outputs, self.hidden)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """The distance of predictions and targets, both ways."""
        first, second = self.view(batch["image"]), self.view(batch["image"])
        with torch.no_grad():
            target: nn.Module = network.target  # type: ignore[assignment]
            targets = target(first), target(second)
        return distance(network(first), targets[1]) + distance(network(second), targets[0])

    def after_step(self, network: nn.Module, progress: float) -> None:
        """The target follows the online network."""
        assert isinstance(network, BYOLNetwork)
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * progress) + 1) / 2
        follow(network.target.encoder, network.encoder, momentum)  # type: ignore[arg-type]
        follow(network.target.head, network.head["projector"], momentum)  # type: ignore[arg-type]
