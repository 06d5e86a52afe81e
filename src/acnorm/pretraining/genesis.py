"""Models Genesis (Zhou et al., MICCAI 2019; Medical Image Analysis 2021): restore images that were distorted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acnorm.pretraining.distortions import distorted, restoring_error
from acnorm.pretraining.encoder import Blueprint, DenseEncoder
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.views import mirrored
from acnorm.tuning.rules import Rules, between


class RestoringNetwork(nn.Module):
    """A U-Net with as many outputs as the images have channels."""

    def __init__(self, encoder: DenseEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Images to images."""
        restored: Tensor = self.encoder(images)
        return restored


@dataclass(frozen=True)
class ModelsGenesis(Pretext):
    """Restore images after a non-linear change of intensity, local shuffling, in- and out-painting.

    The error is taken on normalised intensities, without the authors' sigmoid, since the encoder is fine-tuned on such.

    Args:
        nonlinear: share of the images whose intensities are changed.
        shuffling: share of those that are shuffled locally.
        painting: share of those that are painted.
        inner: share of the painted images that are painted inside (the others outside).

    Examples:
        >>> import torch
        >>> network = ModelsGenesis().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> ModelsGenesis().loss(network, {"image": torch.rand(2, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "restore distorted images (Models Genesis)"
    paper: ClassVar[str] = "Zhou et al., MICCAI 2019; Medical Image Analysis 2021"

    nonlinear: float = 0.9
    shuffling: float = 0.5
    painting: float = 0.9
    inner: float = 0.2

    def problems(self) -> list[str]:
        """Shares from 0 to 1."""
        rules = Rules("genesis", self)
        between(rules, "nonlinear", "shuffling", "painting", "inner")
        return rules.problems

    def distorted(self, images: Tensor) -> Tensor:
        """The images, each changed at random."""
        return distorted(
            images,
            nonlinear_share=self.nonlinear,
            shuffled_share=self.shuffling,
            painted_share=self.painting,
            inner=self.inner,
        )

    def build(self, blueprint: Blueprint) -> nn.Module:
        """A U-Net on the encoder."""
        return RestoringNetwork(blueprint.dense(blueprint.channels))

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error of the restored images."""
        images = mirrored(batch["image"])
        return restoring_error(network(self.distorted(images)), images)

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, distorted, and restored."""
        broken = self.distorted(images)
        return {"images": images, "distorted": broken, "restored": network(broken)}
