"""Views change what they say and nothing else, in 2D and 3D, and repeat with the seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acnorm.pretraining import views
from acnorm.pretraining.views import blurred, cropped, mirrored, random_view, recoloured, with_noise

SHAPES = [(4, 1, 16, 16), (3, 3, 12, 20), (2, 1, 8, 10, 12), (2, 2, 8, 8, 8)]
CHANGES = [random_view, cropped, mirrored, recoloured, blurred, with_noise]


def images(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", CHANGES)
def test_shapes_stay_inputs_are_not_changed_and_the_seed_decides(change, shape: tuple[int, ...]):
    given_images = images(shape)
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(change(given_images))
    assert found[0].shape == shape
    assert torch.equal(*found)
    assert torch.equal(given_images, images(shape))
    assert not torch.equal(random_view(given_images), random_view(given_images))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_has_a_view_of_its_own(shape: tuple[int, ...]):
    same = images(shape)[:1].expand(8, *shape[1:]).clone()
    torch.manual_seed(0)
    views = random_view(same)
    assert all(not torch.equal(views[0], other) for other in views[1:])


@pytest.mark.parametrize("shape", SHAPES)
def test_mirroring_moves_values_on_each_axis_half_of_the_time(shape: tuple[int, ...]):
    torch.manual_seed(0)
    image = images(shape)[:1]
    many = mirrored(image.expand(400, *shape[1:]))
    axes = list(range(1, len(shape) - 1))
    kinds = {
        tuple(at for at, on in zip(axes, bits, strict=True) if on)
        for bits in torch.cartesian_prod(*[torch.arange(2)] * len(axes)).tolist()
    }
    counts = {kind: sum(torch.equal(image[0].flip(kind), one) for one in many) for kind in kinds}
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 0.5 * 400 / len(kinds)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_a_crop_shows_a_part_of_the_ramp(seed: int):
    torch.manual_seed(seed)
    ramp = torch.linspace(0, 1, 64)[None, None, :, None].expand(1, 1, 64, 64)
    seen = cropped(ramp, least=0.25)[0, 0, :, 0]
    assert (seen.diff() >= -1e-6).all()
    extent = float(seen[-1] - seen[0])
    assert 0.45 <= extent <= 1.001  # a quarter of the area is half of the side


def test_a_blur_of_no_image_and_of_all():
    sharp = images((4, 1, 32, 32))
    assert torch.equal(blurred(sharp, share=0.0), sharp)
    soft = blurred(sharp, share=1.0)
    assert (soft.std(dim=(1, 2, 3)) < sharp.std(dim=(1, 2, 3))).all()
    flat = torch.full((2, 1, 9, 9, 9), 3.0)
    assert torch.allclose(blurred(flat, share=1.0), flat, atol=1e-5)


def test_grey_images_keep_their_order_of_intensities():
    grey = images((4, 1, 8, 8))
    lit = recoloured(grey)
    order = grey.flatten(1).argsort(dim=1)
    assert (lit.flatten(1).gather(1, order).diff(dim=1) >= 0).all()


def test_some_colour_images_turn_grey():
    torch.manual_seed(0)
    found = recoloured(images((200, 3, 4, 4)))
    grey = (found.std(dim=1) < 1e-6).flatten(1).all(dim=1)
    assert 20 <= int(grey.sum()) <= 60


def test_a_view_shows_as_much_as_asked_for(monkeypatch: pytest.MonkeyPatch):
    asked: list[float] = []
    monkeypatch.setattr(views, "cropped", lambda given, least: asked.append(least) or given)
    random_view(images((2, 1, 8, 8)), 0.6)
    random_view(images((2, 1, 8, 8)))
    assert asked == [0.6, 0.3]
