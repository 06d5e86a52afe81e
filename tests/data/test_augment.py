"""Random changes: what may happen to an image, how often, and from what it is drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from acnorm.data.augment import AUGMENTATIONS, Augmentation, flips, standard

DRAWS = 300
every = pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(size: int = 9, channels: int = 3) -> Tensor:
    return torch.rand(channels, size, size, generator=torch.Generator().manual_seed(0))


def centres(size: int) -> Tensor:
    """The middles of the pixels where the side of the image is 2 long and 0 is its centre."""
    return (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1


def where_pixels_come_from(seed: int, size: int = 16) -> tuple[Tensor, float]:
    """The affine map from a pixel of the result to its place in the image, fitted to the centre, and the gain."""
    y, x = torch.meshgrid(centres(size), centres(size), indexing="ij")
    gain, *moved = standard(torch.stack((torch.ones_like(x), x, y)), draw(seed))
    assert torch.allclose(gain, gain[0, 0].expand(size, size))  # no dark corners: the border goes on
    central = (x.abs() < 0.5) & (y.abs() < 0.5)
    places = torch.stack([channel[central] / gain[0, 0] for channel in moved])
    at = torch.stack((x[central], y[central], torch.ones_like(x[central])))
    matrix = torch.linalg.lstsq(at.T, places.T).solution.T
    assert torch.allclose(matrix @ at, places, atol=1e-9)
    return matrix, float(gain[0, 0])


@pytest.fixture(scope="module")
def changes() -> dict[str, np.ndarray]:
    """What `standard` did with each of many generators, taken apart."""
    rows = []
    for seed in range(DRAWS):
        matrix, gain = where_pixels_come_from(seed)
        mirrored = torch.sign(matrix.diagonal())  # 15° do not change the sign of the cosine
        turn = (mirrored[:, None] * matrix)[:, :2]
        assert torch.allclose(turn, torch.stack((turn[0, 0], -turn[1, 0], turn[1, 0], turn[0, 0])).reshape(2, 2))
        angle, scale = torch.rad2deg(torch.atan2(turn[1, 0], turn[0, 0])), torch.hypot(turn[0, 0], turn[1, 0])
        rows.append([float(value) for value in (angle, scale, *matrix[:, 2] / 2, gain, *mirrored)])
    names = ("angle", "scale", "right", "down", "gain", "mirror_x", "mirror_y")
    return dict(zip(names, np.array(rows).T, strict=True))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("angle", -15, 15), ("scale", 0.9, 1.1), ("right", -0.05, 0.05), ("down", -0.05, 0.05), ("gain", 0.9, 1.1)],
)
def test_each_change_fills_its_range_and_stays_inside(changes: dict[str, np.ndarray], name: str, low: float, high):
    values, margin = changes[name], 0.03 * (high - low)
    assert low - 1e-6 <= values.min() < low + margin
    assert high - margin < values.max() <= high + 1e-6
    assert abs(values.mean() - (low + high) / 2) < 3 * margin


def test_changes_are_drawn_apart(changes: dict[str, np.ndarray]):
    between = np.corrcoef(np.stack(list(changes.values())))
    assert np.abs(between - np.eye(len(between))).max() < 0.2


def test_all_four_mirrorings_come_equally_often():
    image = picture()
    mirrored = {(): image, (1,): image.flip(1), (2,): image.flip(2), (1, 2): image.flip(1, 2)}
    random = draw()
    seen = Counter(
        axes for _ in range(400) for axes, other in mirrored.items() if torch.equal(flips(image, random), other)
    )
    assert set(seen) == set(mirrored)
    assert min(seen.values()) > 70


def test_none_leaves_the_image():
    image = picture()
    assert torch.equal(AUGMENTATIONS["none"](image, draw()), image)


@every
def test_only_the_generator_decides(augment: Augmentation):
    torch.manual_seed(1)
    np.random.seed(1)
    first = [augment(picture(), draw(seed)) for seed in range(5)]
    torch.manual_seed(2)
    np.random.seed(2)
    again = [augment(picture(), draw(seed)) for seed in range(5)]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@every
def test_channels_change_together_and_the_input_not_at_all(augment: Augmentation):
    image = picture()
    for seed in range(5):
        alone = torch.cat([augment(image[at : at + 1], draw(seed)) for at in range(3)])
        assert torch.allclose(augment(image, draw(seed)), alone, atol=1e-6)
    assert torch.equal(image, picture())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_stay(augment: Augmentation, dtype: torch.dtype):
    result = augment(picture(7, 1).to(dtype), draw())
    assert (result.shape, result.dtype) == ((1, 7, 7), dtype)
