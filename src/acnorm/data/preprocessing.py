"""From an image or volume as read to the tensor that a classifier takes: size, channels, intensities."""

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

    The aspect is kept: the longer side fits ``size`` and the rest is filled with zeros (before normalising). Volumes
    become cubes; their intensities are first brought from ``low`` to ``high`` to 0..1.

    Args:
        size: of every side of the result, in pixels or voxels.
        channels: 1 or 3; grey images are repeated into 3, colour images averaged into 1.
        mean: a value a channel, in 0..1.
        deviation: a value a channel, in 0..1.
        dimensions: 2 or 3.
        low, high: intensities of volumes that become 0 and 1; those beyond are cut. None where they are in 0..1.
        slices: take volumes as this many slices, evenly spaced along their last axis; ``dimensions`` is then 2.

    Examples:
        >>> prepare = Preprocessing(size=32, channels=3, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))
        >>> prepare(np.zeros((1, 48, 64), np.float32)).shape
        torch.Size([3, 32, 32])
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    dimensions: int = 2
    low: float | None = None
    high: float | None = None
    slices: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """[channel, size, size] or [channel, size, size, size], of what the network takes."""
        return self.channels, *(self.size,) * self.dimensions

    @property
    def axes(self) -> int:
        """Of the images that it takes: 3 of volumes, those taken slice by slice among them."""
        return self.dimensions if self.slices is None else 3

    def __call__(self, image: NDArray[np.float32]) -> Float[Tensor, " channel *space"]:
        """Prepare one image [channel, height, width], or volume [channel, x, y, z]."""
        return self.normalise(self.fit(image))

    def fit(self, image: NDArray[np.float32]) -> Float[Tensor, " channel *space"]:
        """Size and channels only; intensities are in 0..1."""
        if self.low is not None and self.high is not None:
            image = ((image - self.low) / (self.high - self.low)).clip(0, 1).astype(np.float32)
        if self.slices is None:
            return fit_image(torch.from_numpy(np.ascontiguousarray(image)), self.size, self.channels)
        places = np.linspace(0, image.shape[-1] - 1, self.slices).round().astype(int)
        flat = torch.from_numpy(np.ascontiguousarray(image[..., places]))
        return torch.stack([fit_image(part, self.size, self.channels) for part in flat.unbind(-1)], dim=-1)

    def normalise(self, image: Float[Tensor, " channel *space"]) -> Float[Tensor, " channel *space"]:
        """Intensities only."""
        each = (-1, *(1,) * (image.ndim - 1))
        return (image - torch.tensor(self.mean).view(each)) / torch.tensor(self.deviation).view(each)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of ``to_dict``."""
        mean, deviation = tuple(values["mean"]), tuple(values["deviation"])
        of_volumes = {
            name: values[name] for name in ("dimensions", "low", "high", "slices") if values.get(name) is not None
        }
        return cls(size=values["size"], channels=values["channels"], mean=mean, deviation=deviation, **of_volumes)


def fit_image(image: Float[Tensor, " source *space"], size: int, channels: int) -> Float[Tensor, " channel *fitted"]:
    """Resize the longest side to ``size``, fill up to a square or cube with zeros, and change the channels.

    Examples:
        >>> fit_image(torch.ones(3, 10, 20), size=10, channels=1).sum()
        tensor(50.)
    """
    if image.shape[0] != channels:
        image = image.expand(channels, *image.shape[1:]) if image.shape[0] == 1 else image.mean(dim=0, keepdim=True)
    sides = list(image.shape[1:])
    longest = max(sides)
    if longest != size:
        sides = [max(1, round(side * size / longest)) for side in sides]
        if len(sides) == 2:
            image = functional.interpolate(image[None], sides, mode="bilinear", antialias=True)[0]
        else:  # which has no filter against aliasing: the mean over blocks first, where it shrinks
            shrink = max(1, longest // size)
            blocks = functional.avg_pool3d(image[None], shrink, ceil_mode=True, count_include_pad=False)
            image = functional.interpolate(blocks, sides, mode="trilinear")[0]
    before = [(size - side) // 2 for side in sides]
    margins = [(first, size - side - first) for first, side in zip(before, sides, strict=True)]
    return functional.pad(image, [margin for pair in reversed(margins) for margin in pair])


def statistics(images: Sequence[Float[Tensor, " channel *space"]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation a channel over all pixels of ``images``; a constant channel gets 1.

    Examples:
        >>> statistics([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
        ((0.5,), (0.5,))
    """
    pixels = torch.stack([image.flatten(1).double() for image in images])
    mean, deviation = pixels.mean(dim=(0, 2)), pixels.std(dim=(0, 2), correction=0)
    return tuple(round(float(value), 6) for value in mean), tuple(round(float(value), 6) or 1.0 for value in deviation)


def changes_of(shapes: Sequence[tuple[int, ...]], preprocessing: Preprocessing) -> list[str]:
    """Return what is done to images on their way, each in one line.

    Args:
        shapes: of the images as read, [channel, height, width] or [channel, x, y, z].
        preprocessing: that they go through.

    Examples:
        >>> prepare = Preprocessing(size=32, channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3)
        >>> changes_of([(3, 40, 40), (1, 32, 32)], prepare)[0]
        '1 of 2 images are brought to 32 px (longer sides 40 to 40)'
    """
    told, count, size = [], len(shapes), preprocessing.size
    if preprocessing.slices is not None:
        told.append(
            f"each volume is taken as {preprocessing.slices} slices along its last axis; its answer is their mean"
        )
    spaces = [shape[1:3] if preprocessing.slices is not None else shape[1:] for shape in shapes]
    sides = [max(space) for space in spaces if max(space) != size]
    if sides:
        told.append(
            f"{len(sides)} of {count} images are brought to {size} px (longer sides {min(sides)} to {max(sides)})"
        )
    uneven = sum(len(set(space)) > 1 for space in spaces)
    if uneven:
        told.append(f"{uneven} of {count} images are filled up to {'squares' if len(spaces[0]) == 2 else 'cubes'}")
    grey = sum(shape[0] < preprocessing.channels for shape in shapes)
    if grey:
        told.append(f"{grey} of {count} images are grey; they are repeated into {preprocessing.channels} channels")
    coloured = sum(shape[0] > preprocessing.channels for shape in shapes)
    if coloured:
        told.append(f"{coloured} of {count} images are coloured; the mean of their channels is taken")
    return told
