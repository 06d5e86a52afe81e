"""From an image to the network's input: against Pillow and numpy in float64, and back from JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from acnorm.data.preprocessing import Preprocessing, fit_image, statistics

SIDE, CHANNELS, SEED = st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 999)


def random_image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def plain(size: int, channels: int) -> Preprocessing:
    return Preprocessing(size=size, channels=channels, mean=(0.0,) * channels, deviation=(1.0,) * channels)


def fitted_by_pillow(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Pillow's bilinear resize, which smooths where it shrinks, in the middle of a black square."""
    if len(image) > channels:
        image = image.astype(np.float64).mean(axis=0, keepdims=True).astype(np.float32)
    height, width = (max(1, round(side * size / max(image.shape[1:]))) for side in image.shape[1:])
    top, left = (size - height) // 2, (size - width) // 2
    result = np.zeros((channels, size, size))
    for at, target in enumerate(result):
        source = PIL.Image.fromarray(image[at % len(image)])
        resized = source.resize((width, height), PIL.Image.Resampling.BILINEAR)
        target[top : top + height, left : left + width] = np.asarray(resized)
    return result


@settings(deadline=None)
@given(SIDE, SIDE, SIDE, CHANNELS, CHANNELS, SEED)
def test_fitting_is_pillows_resize_in_a_black_square(height, width, size, source, channels, seed):
    assume(round(width * size / max(height, width)) > 1)  # torch 2.13 mixes up the rows of a result one pixel wide
    image = random_image(source, height, width, seed=seed)
    fitted = plain(size, channels).fit(image)
    assert fitted.dtype == torch.float32
    np.testing.assert_allclose(fitted.numpy(), fitted_by_pillow(image, size, channels), atol=1e-5)


@settings(deadline=None)
@given(SIDE, SIDE, SIDE)
def test_fitting_keeps_intensities_and_turns_with_the_image(height: int, width: int, size: int):
    assume(round(min(height, width) * size / max(height, width)) > 1)
    white = plain(size, 1).fit(np.ones((1, height, width), np.float32))
    assert set(white.flatten().round(decimals=5).tolist()) <= {0.0, 1.0}
    assert white[0].any(dim=0).all() or white[0].any(dim=1).all()  # the longer side is filled
    image = torch.from_numpy(random_image(3, height, width))
    turned = fit_image(image.mT, size, 3)
    straight = fit_image(image, size, 3)
    assert torch.allclose(turned.mT, straight, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1)])
def test_the_thinnest_image_keeps_a_row_of_pixels(shape: tuple[int, int]):
    assert float(plain(8, 1).fit(np.ones((1, *shape), np.float32)).sum()) == pytest.approx(8)


def test_an_image_of_the_right_size_stays():
    image = random_image(3, 16, 16)
    assert np.array_equal(plain(16, 3).fit(image).numpy(), image)


def test_grey_is_repeated_and_colours_are_averaged():
    grey = plain(8, 3).fit(random_image(1, 8, 8))
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[1], grey[2])
    colours = np.stack([np.full((8, 8), value, np.float32) for value in (0.0, 0.3, 0.9)])
    np.testing.assert_allclose(plain(8, 1).fit(colours), 0.4, rtol=1e-6)


def test_mirrored_views_of_an_array_are_taken_as_they_look():
    image = random_image(3, 9, 7)
    mirrored = plain(12, 3).fit(image[:, :, ::-1])
    assert torch.equal(mirrored, plain(12, 3).fit(image[:, :, ::-1].copy()))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-3, 1)), min_size=3, max_size=3),
    SEED,
)
def test_normalising_is_numpys(pairs: list[tuple[float, float]], seed: int):
    mean, deviation = (tuple(values) for values in zip(*pairs, strict=True))
    prepare = Preprocessing(size=6, channels=3, mean=mean, deviation=deviation)
    image = random_image(3, 6, 6, seed=seed)
    expected = (image.astype(np.float64) - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
    np.testing.assert_allclose(prepare(image).numpy(), expected, rtol=1e-5, atol=3e-4)
    assert torch.equal(prepare(image), prepare.normalise(prepare.fit(image)))


@given(st.integers(1, 6), CHANNELS, SEED)
def test_statistics_are_numpys(count: int, channels: int, seed: int):
    images = random_image(count, channels, 5, 5, seed=seed)
    mean, deviation = statistics([torch.from_numpy(image) for image in images])
    np.testing.assert_allclose(mean, images.astype(np.float64).mean(axis=(0, 2, 3)), atol=5.1e-7)
    np.testing.assert_allclose(deviation, images.astype(np.float64).std(axis=(0, 2, 3)), atol=5.1e-7)


def test_normalising_with_the_statistics_gives_mean_0_and_deviation_1():
    images = [torch.from_numpy(random_image(3, 16, 16, seed=seed) * 0.2 + 0.5) for seed in range(4)]
    mean, deviation = statistics(images)
    prepare = Preprocessing(size=16, channels=3, mean=mean, deviation=deviation)
    again = statistics([prepare.normalise(image) for image in images])
    np.testing.assert_allclose(again, ((0,) * 3, (1,) * 3), atol=1e-4)


@settings(deadline=None)
@given(st.floats(0, 1, width=32), st.integers(1, 40), st.sampled_from([0.0, 1e-8, 1e-7, 4e-7, 1e-6]))
def test_a_channel_that_is_the_same_everywhere_is_not_divided_by_nothing(value: float, side: int, spread: float):
    image = torch.full((1, side, side), value)
    image[0, 0, 0] += spread
    mean, deviation = statistics([image, image])
    assert deviation[0] > 0
    prepare = Preprocessing(size=side, channels=1, mean=mean, deviation=deviation)
    assert float(prepare.normalise(image).abs().max()) <= 40


def test_the_constant_channel_alone_gets_1():
    image = torch.stack((torch.full((4, 4), 0.3), torch.tensor([0.0, 1.0]).repeat(4, 2)))
    assert statistics([image]) == ((0.3, 0.5), (1.0, 0.5))


def test_json_brings_it_back():
    prepare = Preprocessing(size=64, channels=3, mean=(0.1, 1 / 3, 0.5), deviation=(0.2, 0.25, 1e-3))
    again = Preprocessing.from_dict(json.loads(json.dumps(prepare.to_dict())))
    assert again == prepare
    assert hash(again) == hash(prepare)


def test_it_cannot_change():
    with pytest.raises(FrozenInstanceError):
        plain(8, 1).size = 16
