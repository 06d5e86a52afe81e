"""What Models Genesis does to images is what the papers say, in 2D and 3D."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acnorm.pretraining import distortions
from acnorm.pretraining.distortions import distorted, nonlinear, painted, restoring_error, shuffled_locally

SHAPES = [(2, 1, 40, 30), (2, 3, 32, 32), (2, 1, 20, 24, 30)]
SEEDS = st.integers(0, 10_000)


def images(shape: tuple[int, ...]) -> Tensor:
    return 5 * torch.randn(shape, generator=torch.Generator().manual_seed(0)) - 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", [nonlinear, shuffled_locally, painted, distorted])
def test_shapes_stay_inputs_are_not_changed_and_the_seed_decides(change, shape: tuple[int, ...]):
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        found.append(change(images(shape)))
    assert torch.equal(*found)
    assert found[0].shape == shape
    assert found[0].isfinite().all()
    before = images(shape)
    change(before)
    assert torch.equal(before, images(shape))


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_a_curve_keeps_or_turns_the_order_of_intensities_and_their_extremes(seed: int):
    torch.manual_seed(seed)
    image = images((1, 1, 16, 16))
    out = nonlinear(image)
    order = image.flatten().argsort()
    steps = out.flatten()[order].diff()
    assert (steps >= -1e-4).all() or (steps <= 1e-4).all()
    assert float(out.min()) == pytest.approx(float(image.min()), abs=1e-3)
    assert float(out.max()) == pytest.approx(float(image.max()), abs=1e-3)


def test_the_curve_is_the_bezier_curve_of_its_points(monkeypatch: pytest.MonkeyPatch):
    points = torch.tensor([[0.2, 0.6], [0.5, 0.9]], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: points.clone() if shape == (2, 2) else torch.ones(*shape))
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    x, y = (3 * (1 - t) ** 2 * t * points[0, at] + 3 * (1 - t) * t**2 * points[1, at] + t**3 for at in (0, 1))
    assert torch.allclose(nonlinear(x.reshape(1, 1, 1, 7)).flatten(), y, atol=1e-5)


def test_half_of_the_curves_turn_intensities_upside_down():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 16).reshape(1, 1, 4, 4).expand(400, 1, 4, 4)
    down = nonlinear(ramp).flatten(1).diff(dim=1).sum(dim=1) < 0
    assert 160 <= int(down.sum()) <= 240


@pytest.mark.parametrize("shape", SHAPES)
def test_shuffling_moves_values_by_less_than_a_block(shape: tuple[int, ...]):
    torch.manual_seed(0)
    sides = shape[2:]
    axes = torch.stack(torch.meshgrid(*(torch.arange(side) for side in sides), indexing="ij")).float()
    out = shuffled_locally(axes[None], share=1.0)[0]
    assert not torch.equal(out, axes)
    for at, side in enumerate(sides):
        assert float((out[at] - axes[at]).abs().max()) < max(2, side // 10)
    flat = [sum(value * 1000**at for at, value in enumerate(place)).flatten().sort().values for place in (out, axes)]
    assert torch.equal(*flat)


def test_all_channels_of_a_pixel_move_together():
    torch.manual_seed(0)
    one = torch.arange(400.0).reshape(1, 1, 20, 20)
    out = shuffled_locally(torch.cat([one, one + 1000], dim=1), share=1.0)
    assert torch.equal(out[:, 1], out[:, 0] + 1000)


def test_no_share_and_images_too_small_for_a_block_stay():
    image = images((2, 1, 20, 20))
    assert torch.equal(shuffled_locally(image, share=0.0), image)
    tiny = images((1, 1, 1, 1))
    assert torch.equal(shuffled_locally(tiny), tiny)


@pytest.mark.parametrize("shape", SHAPES)
def test_painting_inside_keeps_most_and_outside_keeps_blocks(shape: tuple[int, ...]):
    torch.manual_seed(0)
    image = images(shape)
    inside = (painted(image, inner=1.0) - image).abs() < 1e-4
    assert (inside.float().flatten(1).mean(dim=1) > 0.4).all()
    outside = (painted(image, inner=0.0) - image).abs() < 1e-4
    least = (3 / 7 * 0.9) ** (len(shape) - 2)
    kept = outside.float().flatten(1).mean(dim=1)
    assert ((kept > least * 0.8) & (kept < 0.98)).all()


def test_what_is_painted_lies_within_the_intensities_of_its_image():
    torch.manual_seed(0)
    image = images((4, 1, 16, 16))
    out = painted(image, inner=0.0)
    assert (out.amin(dim=(1, 2, 3)) >= image.amin(dim=(1, 2, 3)) - 1e-4).all()
    assert (out.amax(dim=(1, 2, 3)) <= image.amax(dim=(1, 2, 3)) + 1e-4).all()


def test_an_image_of_one_intensity_is_no_trouble():
    torch.manual_seed(0)
    assert distorted(torch.full((3, 1, 16, 16), 2.0)).isfinite().all()


def test_the_chances_are_those_of_the_authors(monkeypatch: pytest.MonkeyPatch):
    asked: list[float] = []
    monkeypatch.setattr(distortions, "_chance", lambda share: bool(asked.append(share)))
    distorted(torch.zeros(1, 1, 8, 8))
    assert asked == [0.5, 0.9, 0.9]


def test_the_error_is_the_mean_square():
    first, second = images((2, 1, 4, 4)).double(), images((2, 1, 4, 4)).double() + 0.5
    assert float(restoring_error(first, second)) == pytest.approx(0.25)
