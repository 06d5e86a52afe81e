"""Barlow Twins (Zbontar et al., ICML 2021): features of two views agree one by one, and say nothing twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.projection import Projected
from acnorm.pretraining.task import ViewsPretext
from acnorm.tuning.rules import Rules, at_least_one, not_negative, up_to_one


@dataclass(frozen=True)
class BarlowTwins(ViewsPretext):
    """Bring the cross-correlation of the features of two views near the identity.

    Args:
        redundancy: weight of what is off the diagonal (λ in the paper).
        hidden: width of the projector's middle.
        outputs: width of the space in which features are compared.
        least_area: smallest share of an image's area (or volume) that a view shows.

    Examples:
        >>> import torch
        >>> network = BarlowTwins().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> BarlowTwins().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "features of two views agree one by one and are not redundant"
    paper: ClassVar[str] = "Zbontar et al., ICML 2021"

    redundancy: float = 5e-3
    hidden: int = 512
    outputs: int = 512

    def problems(self) -> list[str]:
        """A weight from 0, widths from 1, a share of the area."""
        rules = Rules("barlow_twins", self)
        not_negative(rules, "redundancy")
        at_least_one(rules, "hidden", "outputs")
        up_to_one(rules, "least_area")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a projector."""
        return Projected(blueprint.encoder(), self.hidden, self.outputs)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """The loss of two random views of each image, divided by the number of features."""
        from monai.losses.barlow_twins import BarlowTwinsLoss  # MONAI takes seconds to import

        first, second = (network(self.view(batch["image"])).float() for _ in range(2))
        loss: Tensor = BarlowTwinsLoss(lambd=self.redundancy)(first, second)
        return loss / self.outputs
