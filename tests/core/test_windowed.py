"""The product without the matrix: the same numbers as the dense form, both ways, whatever the ratios."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from acnorm.core import windowed
from acnorm.core.correlation import channel_correlation
from acnorm.core.windowed import add_transposed_product, kept_interval, windowed_product
from networks import relative_difference

NEAR = st.floats(-3, 3, width=32)
FAR = st.floats(-1e5, 1e5, width=32)
TIED = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0])
# far apart, next to a value that a difference of plain prefix sums would lose
MIXED = st.sampled_from([1e5, -1e5, 99999.9, 0.0, 1e-6, -1e-6, 3.0, 300.0])


@st.composite
def ratio_pairs(draw: st.DrawFn) -> list[list[float]]:
    value = draw(st.sampled_from([NEAR, FAR, TIED, MIXED, NEAR | FAR | TIED | MIXED]))
    channels = draw(st.integers(1, 20))
    return [draw(st.lists(value, min_size=channels, max_size=channels)) for _ in range(2)]


@pytest.fixture(params=[windowed.WIDEST, 0.0], ids=["cumulative", "doubled"])
def _sums(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test as the library does, and with the sums that serve ratios of any size."""
    monkeypatch.setattr(windowed, "WIDEST", request.param)


with_both_sums = pytest.mark.usefixtures("_sums")


def both_ways(target: Tensor, source: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Product and v + transposed product: windowed in the dtype of the ratios, dense in float64."""
    generator = torch.Generator().manual_seed(target.numel())
    values, upward = torch.randn(2, 2, target.numel(), generator=generator, dtype=torch.float64).to(target.dtype)
    matrix = channel_correlation(target.double(), source.double())
    product, window = windowed_product(values, target, source)
    added = add_transposed_product(upward, window)
    return [(product, values.double() @ matrix.T), (added, upward.double() + upward.double() @ matrix)]


def rounding(target: Tensor, source: Tensor) -> float:
    """What rounding the largest distance once, in the dtype of the ratios and in the float64 of the dense, allows."""
    return float((target[:, None] - source).abs().max()) * torch.finfo(torch.float64).eps


@with_both_sums
@given(ratios=ratio_pairs())
@example(ratios=[[0.0], [0.0]])
@example(ratios=[[1e5], [-1e5]])
@example(ratios=[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
@example(ratios=[[1e5, 0.0, -1e5], [-1e5, 1e5, 0.0]])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_to_the_dense_form_in_float64(ratios: list[list[float]]):
    target, source = torch.tensor(ratios, dtype=torch.float64)
    for mine, dense in both_ways(target, source):
        torch.testing.assert_close(mine, dense, rtol=0, atol=1e-13 + 4 * rounding(target, source))


@given(ratios=ratio_pairs())
@settings(max_examples=150, deadline=None)
def test_close_to_the_dense_form_in_float32(ratios: list[list[float]]):
    target, source = torch.tensor(ratios, dtype=torch.float32)
    low, high = (edge.double() for edge in kept_interval(target, source))
    exact_low, exact_high = kept_interval(target.double(), source.double())
    assume(all(_same_side(source.double(), *edges) for edges in ((low, exact_low), (high, exact_high))))
    for mine, dense in both_ways(target, source):
        torch.testing.assert_close(mine.double(), dense, rtol=0, atol=4e-6)


def _same_side(source: Tensor, edge: Tensor, exact: Tensor) -> bool:
    """Whether rounding the edge of the window lets no source in or out."""
    return bool((torch.sign(source - edge[:, None]) == torch.sign(source - exact[:, None])).all())


@with_both_sums
@pytest.mark.parametrize("kind", ["near", "moved", "few distinct", "some far"])
@pytest.mark.parametrize("channels", [300, 1500])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 5e-6)])
def test_equal_to_the_dense_form_when_wide(channels: int, kind: str, dtype: torch.dtype, tolerance: float):
    generator = torch.Generator().manual_seed(channels)
    source = torch.randn(channels, generator=generator, dtype=torch.float64)
    target = source + 0.05 * torch.randn(channels, generator=generator, dtype=torch.float64)
    if kind == "near":
        target = source.clone()
    elif kind == "few distinct":
        source, target = (source * 4).round() / 4, (target * 4).round() / 4
    elif kind == "some far":
        source[::7] *= 1e5
        target[::5] *= -1e5
    target, source = target.to(dtype), source.to(dtype)
    for mine, dense in both_ways(target, source):
        assert relative_difference(mine, dense) < tolerance + 4 * rounding(target, source)


def test_layers_side_by_side_are_as_each_alone():
    generator = torch.Generator().manual_seed(0)
    target, source = torch.randn(2, 3, 40, generator=generator, dtype=torch.float64)
    source[1, ::2] *= 1e5  # in one layer the ratios are far apart
    values = torch.randn(3, 2, 40, generator=generator, dtype=torch.float64)
    product, window = windowed_product(values, target, source)
    added = add_transposed_product(values, window)
    for layer in range(3):
        alone, its_window = windowed_product(values[layer], target[layer], source[layer])
        assert relative_difference(product[layer], alone) < 1e-14
        assert relative_difference(added[layer], add_transposed_product(values[layer], its_window)) < 1e-14


@given(ratios=ratio_pairs())
@settings(max_examples=100, deadline=None)
def test_kept_interval_holds_the_own_source_and_is_centred(ratios: list[list[float]]):
    target, source = torch.tensor(ratios, dtype=torch.float32)
    low, high = kept_interval(target, source)
    assert bool(((low <= source) & (source <= high)).all())
    assert bool(((low <= target) & (target <= high)).all())
    middle = (low.double() + high) / 2
    assert bool(((middle - target).abs() <= 1e-7 * (target.abs() + source.abs())).all())


def test_memory_does_not_grow_with_the_square():
    channels = 4096
    target, source = torch.randn(2, channels, generator=torch.Generator().manual_seed(0))
    _, window = windowed_product(torch.ones(2, channels), target, source)
    assert sum(part.numel() for part in window) < 16 * channels
