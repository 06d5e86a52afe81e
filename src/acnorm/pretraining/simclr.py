"""SimCLR (Chen et al., ICML 2020): two views of an image are alike, those of other images in the batch are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.projection import Projected
from acnorm.pretraining.task import ViewsPretext
from acnorm.tuning.rules import Rules, at_least_one, up_to_one

COLDEST = 0.02  # the least temperature for which MONAI's loss, which takes exp(1 / temperature), stays finite


def warm(rules: Rules, name: str) -> None:
    """Require a temperature that NT-Xent can take.

    Examples:
        >>> warm.__name__
        'warm'
    """
    rules.check(name, f"{COLDEST} or more and finite", COLDEST <= rules.number(name) < math.inf)


@dataclass(frozen=True)
class SimCLR(ViewsPretext):
    """NT-Xent between two views (equation 1 of the paper).

    Args:
        temperature: of the similarities, 0.02 or more.
        hidden: width of the projector's middle.
        outputs: width of the space in which views are compared.
        least_area: smallest share of an image's area (or volume) that a view shows.

    On several devices each compares within its own part of the batch.

    Examples:
        >>> import torch
        >>> network = SimCLR().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> SimCLR().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "views of one image are alike, of others not (within the batch)"
    paper: ClassVar[str] = "Chen et al., ICML 2020"

    temperature: float = 0.5
    hidden: int = 256
    outputs: int = 128

    def problems(self) -> list[str]:
        """A temperature that the loss can take, widths from 1, a share of the area."""
        rules = Rules("simclr", self)
        warm(rules, "temperature")
        at_least_one(rules, "hidden", "outputs")
        up_to_one(rules, "least_area")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a projector."""
        return Projected(blueprint.encoder(), self.hidden, self.outputs)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """NT-Xent of two random views of each image."""
        from monai.losses.contrastive import ContrastiveLoss  # MONAI takes seconds to import

        first, second = (network(self.view(batch["image"])).float() for _ in range(2))
        loss: Tensor = ContrastiveLoss(temperature=self.temperature)(first, second)
        return loss
