"""The part of a pretext network that is kept: an encoder under the names of its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from acnorm.models.sources import Network, build_network, build_unet
from acnorm.models.unet import UNet


@dataclass(frozen=True)
class Blueprint:
    """What a pretext task needs to know to build its network.

    Args:
        model: name of the network, as for ``build_network``.
        channels: of the images.
        dimensions: 2 or 3.
        classes: of the labels.
        task: "classification", "multilabel" or "segmentation", as the data are.
        load: brings weights into a network that was just built; nothing where not given.

    Examples:
        >>> blueprint = Blueprint("cifar/resnet20", channels=1, dimensions=2, classes=3)
        >>> blueprint.encoder().width
        64
    """

    model: str
    channels: int
    dimensions: int
    classes: int = 2
    task: str = "classification"
    load: Callable[[Network], object] | None = None

    def encoder(self) -> Encoder:
        """The classification network without its head."""
        return Encoder(self._begun(self._network(2)))

    def dense(self, outputs: int) -> DenseEncoder:
        """The network as a U-Net with so many outputs a pixel or voxel."""
        built = build_unet(self.model, classes=outputs, channels=self.channels, dimensions=self.dimensions)
        return DenseEncoder(self._begun(built))

    def classifier(self) -> Network:
        """The classification network with a head for the labels."""
        return self._begun(self._network(self.classes))

    def _network(self, classes: int) -> Network:
        return build_network(self.model, classes=classes, channels=self.channels, dimensions=self.dimensions)

    def _begun(self, built: Network) -> Network:
        if self.load is not None:
            self.load(built)
        return built


class Encoder(nn.Module):
    """A classification network without its head: images to one vector each.

    Examples:
        >>> import torch
        >>> encoder = Blueprint("cifar/resnet20", channels=1, dimensions=2).encoder()
        >>> encoder(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 64])
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        head = cast(nn.Linear, network.module.get_submodule(network.head))
        self.width = head.in_features
        self.body = network.module
        self.body.set_submodule(network.head, nn.Identity())

    def forward(self, images: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch feature"]:
        """The features before the head."""
        features: Tensor = self.body(images)
        return features

    def features(self, images: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch feature"]:
        """The same, by the name that all encoders have."""
        return cast(Tensor, self(images))

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint of the model holds, without its head."""
        return dict(self.body.state_dict())


class DenseEncoder(nn.Module):
    """A U-Net: images to as many values for every pixel or voxel as it was built for.

    Examples:
        >>> import torch
        >>> encoder = Blueprint("cifar/resnet20", channels=1, dimensions=2).dense(3)
        >>> encoder(torch.zeros(2, 1, 32, 32)).shape, encoder.features(torch.zeros(2, 1, 32, 32)).shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 64]))
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.body = network.module
        self.head = network.head

    def forward(self, images: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch value *space"]:
        """What the decoder gives."""
        values: Tensor = self.body(images)
        return values

    def features(self, images: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch feature"]:
        """The mean over space of the deepest stage."""
        deepest: Tensor = cast(Any, self.body).features(images)[-1]
        return deepest.flatten(2).mean(dim=2)

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint of the model holds: of our U-Nets the encoder, of others all but the last layer."""
        state = self.body.state_dict()
        if isinstance(self.body, UNet):
            start = "encoder."
            return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
        return {name: value for name, value in state.items() if not name.startswith(f"{self.head}.")}
