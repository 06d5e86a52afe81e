"""From the intensities of a labelled image or volume to those that a segmentation network takes, at its spacing."""

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

from acnorm.data.volumes import Volume


@dataclass(frozen=True)
class IntensityPreprocessing:
    """Bring the intensities of a case to about mean 0 and deviation 1, channel by channel.

    Args:
        channels: of the images.
        patch: voxels an axis that the network takes at once.
        low, high: to which values are clipped, one a channel; None clips nothing.
        mean, deviation: that are taken off and divided by, one a channel; None takes those of each case.
        spacing: millimetres an axis to which volumes are resampled; None leaves all as they are, 0 an axis.
        flips: whether predictions are averaged over mirror images.

    Examples:
        >>> prepare = IntensityPreprocessing(1, (64, 64), low=(-100.0,), high=(200.0,), mean=(50.0,), deviation=(50.0,))
        >>> prepare(np.array([[[-1000.0, 50.0, 3000.0]]], np.float32)).tolist()
        [[[-3.0, 0.0, 3.0]]]
    """

    channels: int
    patch: tuple[int, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    spacing: tuple[float, ...] | None = None
    flips: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """[channel, *patch], of what the network takes."""
        return self.channels, *self.patch

    def __call__(self, image: Float[NDArray[np.float32], " channel *space"]) -> Float[Tensor, " channel *space"]:
        """Prepare one image."""
        values = image.reshape(len(image), -1)
        if self.low is not None and self.high is not None:
            values = np.clip(values, np.array(self.low)[:, None], np.array(self.high)[:, None])
        mean = values.mean(axis=1) if self.mean is None else np.array(self.mean)
        deviation = values.std(axis=1) if self.deviation is None else np.array(self.deviation)
        prepared = (values - mean[:, None]) / np.where(deviation > 0, deviation, 1.0)[:, None]
        return torch.from_numpy(prepared.reshape(image.shape).astype(np.float32))

    def volume(self, volume: Volume) -> Float[Tensor, " channel *space"]:
        """Prepare an image with its spacing: intensities, then resampled where that is asked for."""
        image = self(volume.values)
        if self.spacing is None or volume.spacing is None:
            return image
        return resample(image, shape_at(image.shape[1:], volume.spacing, self.spacing))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntensityPreprocessing:
        """The inverse of ``to_dict``."""
        parts = ("low", "high", "mean", "deviation", "spacing")
        given = {name: None if values.get(name) is None else tuple(values[name]) for name in parts}
        flips = bool(values.get("flips", False))
        return cls(channels=int(values["channels"]), patch=tuple(values["patch"]), flips=flips, **given)


def resample(
    values: Float[Tensor, " channel *space"], shape: Sequence[int], *, labels: bool = False
) -> Float[Tensor, " channel *space"]:
    """Bring an image, probabilities or (by the nearest) labels to another number of voxels on the same ground.

    Examples:
        >>> resample(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), (1, 2))
        tensor([[[0.5000, 2.5000]]])
    """
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    mode = "nearest-exact" if labels else ("bilinear" if values.ndim == 3 else "trilinear")
    return functional.interpolate(values[None].float(), size=list(shape), mode=mode)[0].to(values.dtype)


def shape_at(shape: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]) -> tuple[int, ...]:
    return tuple(
        max(1, round(count * own / other)) if other else count
        for count, own, other in zip(shape, spacing, wanted, strict=True)
    )
