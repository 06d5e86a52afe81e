"""From an image as read to the tensor that the network takes: size, channels, intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Preprocessing:
    """Bring an image in 0..1 to ``channels`` × ``size`` × ``size`` with mean 0 and deviation 1 a channel.

    The aspect is kept: the longer side fits ``size`` and the rest is filled with zeros (before normalising).

    Args:
        size: height and width of the result in pixels.
        channels: 1 or 3; grey images are repeated into 3, colour images averaged into 1.
        mean: a value a channel, in 0..1.
        deviation: a value a channel, in 0..1.

    Examples:
        >>> prepare = Preprocessing(size=32, channels=3, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))
        >>> prepare(np.zeros((1, 48, 64), np.float32)).shape
        torch.Size([3, 32, 32])
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """[channel, size, size], of what the network takes."""
        return self.channels, self.size, self.size

    def __call__(self, image: NDArray[np.float32]) -> Float[Tensor, "channel size size"]:
        """Prepare one image [channel, height, width]."""
        return self.normalise(self.fit(image))

    def fit(self, image: NDArray[np.float32]) -> Float[Tensor, "channel size size"]:
        """Size and channels only; intensities stay in 0..1."""
        return fit_image(torch.from_numpy(np.ascontiguousarray(image)), self.size, self.channels)

    def normalise(self, image: Float[Tensor, "channel size size"]) -> Float[Tensor, "channel size size"]:
        """Intensities only."""
        return (image - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.deviation)[:, None, None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of ``to_dict``."""
        mean, deviation = tuple(values["mean"]), tuple(values["deviation"])
        return cls(size=values["size"], channels=values["channels"], mean=mean, deviation=deviation)


def fit_image(
    image: Float[Tensor, "source height width"], size: int, channels: int
) -> Float[Tensor, "channel size size"]:
    """Resize the longer side to ``size``, fill up to a square with zeros, and change the channels.

    Examples:
        >>> fit_image(torch.ones(3, 10, 20), size=10, channels=1).sum()
        tensor(50.)
    """
    if image.shape[0] != channels:
        image = image.expand(channels, -1, -1) if image.shape[0] == 1 else image.mean(dim=0, keepdim=True)
    height, width = image.shape[1:]
    longer = max(height, width)
    if longer != size:
        height, width = max(1, round(height * size / longer)), max(1, round(width * size / longer))
        image = functional.interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]
    top, left = (size - height) // 2, (size - width) // 2
    return functional.pad(image, (left, size - width - left, top, size - height - top))


def statistics(images: Sequence[Float[Tensor, "channel size size"]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation a channel over all pixels of ``images``; a constant channel gets 1.

    Examples:
        >>> statistics([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
        ((0.5,), (0.5,))
    """
    pixels = torch.stack([image.flatten(1).double() for image in images])
    mean, deviation = pixels.mean(dim=(0, 2)), pixels.std(dim=(0, 2), correction=0)
    return tuple(round(float(value), 6) for value in mean), tuple(round(float(value), 6) or 1.0 for value in deviation)
