"""A stem for another number of channels answers grey images as before, in one, two and three dimensions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from acnorm.checkpoints.stem import STEM_RULES, adapt_stem, inflate

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
CHANNELS = st.integers(1, 5)


def stem(source: int, dimensions: int = 2, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, source, *(3,) * dimensions, generator=generator, dtype=torch.float64).to(dtype)


@settings(deadline=None)
@given(CHANNELS, CHANNELS, st.sampled_from([1, 2, 3]), st.integers(0, 99))
def test_a_grey_image_gives_what_it_gave(source: int, target: int, dimensions: int, seed: int):
    weight, grey = stem(source, dimensions, seed=seed), stem(1, dimensions, seed=seed + 1)[:1]
    before, after = (
        CONVOLUTIONS[dimensions](grey.repeat(1, channels, *(1,) * dimensions), kernels)
        for channels, kernels in ((source, weight), (target, adapt_stem(weight, target)))
    )
    assert torch.allclose(before, after, atol=1e-12)


@given(CHANNELS, CHANNELS)
def test_all_channels_share_equally(source: int, target: int):
    adapted = adapt_stem(stem(source), target)
    assert adapted.shape == (4, target, 3, 3)
    assert torch.equal(adapted, adapted[:, :1].repeat(1, target, 1, 1))


@given(CHANNELS, CHANNELS, CHANNELS)
def test_a_detour_makes_no_difference(source: int, between: int, target: int):
    weight = stem(source)
    assert torch.allclose(adapt_stem(adapt_stem(weight, between), target), adapt_stem(weight, target), atol=1e-12)


def test_colours_to_grey_is_the_sum_and_grey_to_colours_a_third():
    weight = stem(3)
    assert torch.allclose(adapt_stem(weight, 1)[:, 0], weight.sum(dim=1))
    assert torch.allclose(adapt_stem(weight[:, :1], 3), (weight[:, :1] / 3).repeat(1, 3, 1, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_stays_and_the_input_is_not_changed(dtype: torch.dtype):
    weight = stem(3, dtype=dtype)
    assert adapt_stem(weight, 1).dtype == dtype
    assert torch.equal(weight, stem(3, dtype=dtype))


@settings(deadline=None)
@given(CHANNELS, st.integers(1, 5), st.integers(0, 99))
def test_equal_slices_give_what_one_gave(channels: int, depth: int, seed: int):
    weight, image = stem(channels, seed=seed), stem(channels, seed=seed + 1)[:1]
    volume = image[..., None].expand(*image.shape, depth + 2)
    before = functional.conv2d(image, weight)[..., None]
    after = functional.conv3d(volume, inflate(weight, depth))
    assert torch.allclose(after, before.expand_as(after), atol=1e-12)


def test_further_rules_for_channels():
    weight = stem(3)
    assert torch.equal(adapt_stem(weight, 2, "mean"), weight.mean(dim=1, keepdim=True).repeat(1, 2, 1, 1))
    assert torch.allclose(adapt_stem(weight, 5, "repeat"), weight[:, [0, 1, 2, 0, 1]] * 3 / 5)
    assert torch.equal(adapt_stem(weight, 2, "first"), weight[:, :2])
    assert torch.equal(adapt_stem(weight, 5, "first")[:, :3], weight)
    assert not adapt_stem(weight, 5, "first")[:, 3:].any()


@pytest.mark.parametrize("rule", STEM_RULES)
def test_as_many_channels_as_before_stay_or_share(rule: str):
    grey = stem(1)
    assert torch.allclose(adapt_stem(grey, 1, rule), grey)


@given(st.integers(1, 5))
def test_a_kernel_in_the_centre_sees_its_slice_alone(depth: int):
    weight = stem(2)
    kernel = inflate(weight, depth, "centre")
    assert torch.equal(kernel[..., depth // 2], weight)
    assert torch.equal(kernel.sum(dim=-1), weight)
