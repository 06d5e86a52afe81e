"""After PCRL (Zhou et al., ICCV 2021): views of one image are alike, and each is restored from its distortion.

The idea of the paper, contrast and restoration in one network, without its two conditions (transformation-conditioned
attention and cross-model mix-up); contrast is that of SimCLR, distortions are those of Models Genesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from acnorm.pretraining.distortions import distorted, restoring_error
from acnorm.pretraining.encoder import Blueprint, DenseEncoder
from acnorm.pretraining.projection import projector
from acnorm.pretraining.simclr import warm
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.views import LEAST_AREA, cropped, mirrored, recoloured
from acnorm.tuning.rules import Rules, at_least_one, not_negative, up_to_one


class PreservingNetwork(nn.Module):
    """A U-Net that restores, and a projector of its deepest features."""

    def __init__(self, encoder: DenseEncoder, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projector(width, hidden, outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images to images restored, and to projections."""
        return self.encoder(images), self.head(self.encoder.features(images))


@dataclass(frozen=True)
class PreservationalContrast(Pretext):
    """NT-Xent between two distorted views, plus the error of both restored.

    The encoder is run twice for the two answers, the price of leaving U-Nets as they are.

    Args:
        temperature: of the similarities, 0.02 or more.
        restoring: weight of the restoration beside the contrast.
        hidden: width of the projector's middle.
        outputs: width of the space in which views are compared.
        least_area: smallest share of an image's area (or volume) that a view shows.

    Examples:
        >>> network = PreservationalContrast().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> PreservationalContrast().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "views of one image are alike, and restored from distortion (after PCRL)"
    paper: ClassVar[str] = "Zhou et al., ICCV 2021"

    temperature: float = 0.5
    restoring: float = 1.0
    hidden: int = 256
    outputs: int = 128
    least_area: float = LEAST_AREA

    def problems(self) -> list[str]:
        """A temperature that the loss can take, a weight from 0, widths from 1, a share of the area."""
        rules = Rules("pcrl", self)
        warm(rules, "temperature")
        not_negative(rules, "restoring")
        at_least_one(rules, "hidden", "outputs")
        up_to_one(rules, "least_area")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """A U-Net on the encoder, with a projector."""
        encoder = blueprint.dense(blueprint.channels)
        with torch.no_grad():
            example = torch.zeros(1, blueprint.channels, *(32,) * blueprint.dimensions)
            width = encoder.eval().features(example).shape[1]
        return PreservingNetwork(encoder.train(), width, self.hidden, self.outputs)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """NT-Xent plus the weighted mean of the two restoring errors."""
        from monai.losses.contrastive import ContrastiveLoss  # MONAI takes seconds to import

        views = [recoloured(mirrored(cropped(batch["image"], self.least_area))) for _ in range(2)]
        answers = [network(distorted(view)) for view in views]
        contrast = ContrastiveLoss(temperature=self.temperature)(*(seen.float() for _, seen in answers))
        errors = [restoring_error(restored, view) for (restored, _), view in zip(answers, views, strict=True)]
        return cast(Tensor, contrast + self.restoring * torch.stack(errors).mean())

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, a distorted view of each, and that view restored."""
        broken = distorted(recoloured(mirrored(cropped(images, self.least_area))))
        return {"images": images, "a distorted view": broken, "restored": network(broken)[0]}
