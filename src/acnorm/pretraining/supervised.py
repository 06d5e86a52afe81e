"""Supervised pretraining: the labels of the source, as a checkpoint of a public data set has seen them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from acnorm.models.sources import Network
from acnorm.pretraining.encoder import Blueprint, DenseEncoder, Encoder
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.views import LEAST_AREA, cropped
from acnorm.tuning.rules import Rules, up_to_one


class Labelled(Encoder):
    """A classification network with the head for its labels, which belongs to the checkpoint.

    Examples:
        >>> network = Labelled(Blueprint("cifar/resnet20", channels=1, dimensions=2, classes=3).classifier())
        >>> network.weights()["linear.weight"].shape
        torch.Size([3, 64])
    """

    def __init__(self, network: Network) -> None:
        head = network.module.get_submodule(network.head)
        super().__init__(network)
        self.head = head
        self.place = network.head

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint of the model holds, with its head."""
        head = {f"{self.place}.{name}": value for name, value in self.head.state_dict().items()}
        return {**super().weights(), **head}


class SupervisedNetwork(nn.Module):
    """Logits from an encoder that brings its own head."""

    def __init__(self, encoder: Labelled | DenseEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images, or of every pixel or voxel."""
        answer: Tensor = self.encoder(images)
        if isinstance(self.encoder, Labelled):
            answer = self.encoder.head(answer)
        return answer


@dataclass(frozen=True)
class Supervised(Pretext):
    """Cross-entropy with the labels (binary where an image may show several; with Dice on label maps).

    Args:
        least_area: smallest share of an image's area that its random crop keeps; 1 for whole images.

    Examples:
        >>> import torch
        >>> network = Supervised().build(Blueprint("cifar/resnet20", channels=1, dimensions=2, classes=3))
        >>> batch = {"image": torch.rand(4, 1, 32, 32), "label": torch.tensor([0, 1, 2, 0])}
        >>> Supervised().loss(network, batch).shape
        torch.Size([])
    """

    about: ClassVar[str] = "the labels of the source"
    paper: ClassVar[str] = "Yosinski et al., NeurIPS 2014"
    labelled: ClassVar[bool] = True

    least_area: float = LEAST_AREA

    def problems(self) -> list[str]:
        """A share of the area."""
        rules = Rules("supervised", self)
        up_to_one(rules, "least_area")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The classification network, or a U-Net of as many outputs as there are labels."""
        if blueprint.task == "segmentation":
            return SupervisedNetwork(blueprint.dense(blueprint.classes))
        return SupervisedNetwork(Labelled(blueprint.classifier()))

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """The loss of the labels; images are cropped at random (not mirrored: left and right may be a label)."""
        if "mask" in batch:
            from monai.losses.dice import DiceCELoss  # MONAI takes seconds to import

            dice = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
            overlap: Tensor = dice(network(batch["image"]), batch["mask"][:, None])
            return overlap
        logits: Tensor = network(cropped(batch["image"], self.least_area))
        if batch["label"].shape == logits.shape:
            return functional.binary_cross_entropy_with_logits(logits, batch["label"])
        return functional.cross_entropy(logits, batch["label"])

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """The images, and as the network sees them."""
        return {"images": images, "as the network sees them": cropped(images, self.least_area)}
