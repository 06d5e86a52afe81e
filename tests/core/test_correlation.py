"""The pure functions: the paper's formulas, their range, their precision and their shapes."""

from __future__ import annotations

import subprocess
import sys

import beartype
import jaxtyping
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from acnorm.core import correlation, merge, windowed
from acnorm.core.correlation import affine_ratio, channel_correlation, recalibrate
from networks import paper_correlation, relative_difference

RATIO = st.floats(-1e5, 1e5, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e5])


def random_affines(channels: int, seed: int, dtype: torch.dtype = torch.float64, moved: float = 0.1) -> list[Tensor]:
    """γ_t, β_t, γ_s, β_s of a layer that has been fine-tuned a little."""
    generator = torch.Generator().manual_seed(seed)
    weight = 1 + 0.3 * torch.randn(channels, generator=generator, dtype=torch.float64)
    bias = 0.4 * torch.randn(channels, generator=generator, dtype=torch.float64)
    steps = moved * torch.randn(2, channels, generator=generator, dtype=torch.float64)
    return [value.to(dtype) for value in (weight + steps[0], bias + steps[1], weight, bias)]


def test_ratio_is_bias_over_absolute_weight():
    ratio = affine_ratio(torch.tensor([2.0, -4.0, 0.0]), torch.tensor([1.0, 1.0, 3.0]), eps=1e-3)
    assert ratio.tolist() == pytest.approx([1 / 2.001, 1 / 4.001, 3000.0])


def test_ratio_default_eps_is_that_of_the_paper():
    assert float(affine_ratio(torch.zeros(1), torch.ones(1))) == pytest.approx(1e5)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
@pytest.mark.parametrize("channels", [1, 2, 17, 300])
def test_correlation_is_the_papers_softmax_and_threshold(channels: int, temperature: float):
    affines = random_affines(channels, seed=channels)
    ratios = affine_ratio(*affines[:2]), affine_ratio(*affines[2:])
    mine = channel_correlation(*ratios, temperature=temperature)
    assert relative_difference(mine, paper_correlation(*affines, temperature)) < 1e-13


def test_correlation_keeps_ties_and_never_renormalises():
    # the second source is as far from the first target as its own; the third is nearer, the fourth farther
    row = channel_correlation(torch.zeros(4), torch.tensor([1.0, -1.0, 0.5, 2.0]))[0]
    expected = torch.softmax(-torch.tensor([1.0, 1.0, 0.5, 2.0]), 0) * torch.tensor([1, 1, 1, 0])
    torch.testing.assert_close(row, expected)
    assert float(row.sum()) < 0.95


@given(target=st.lists(RATIO, min_size=1, max_size=12), data=st.data(), temperature=st.sampled_from([0.01, 1.0, 50.0]))
@settings(max_examples=150, deadline=None)
def test_rows_sum_to_at_most_one_and_keep_what_is_no_farther_than_the_own(
    target: list[float], data: st.DataObject, temperature: float
):
    source = data.draw(st.lists(RATIO, min_size=len(target), max_size=len(target)))
    ratios = torch.tensor([target, source], dtype=torch.float64)
    matrix = channel_correlation(*ratios, temperature=temperature)
    assert bool(matrix.isfinite().all())
    assert float(matrix.min()) >= 0
    assert float(matrix.sum(1).max()) <= 1 + 1e-12
    own = matrix.diagonal()[:, None]
    assert bool(((matrix >= own) | (matrix == 0)).all())
    distance = (ratios[0][:, None] - ratios[1]).abs()
    clearly_farther = distance > distance.diagonal()[:, None] * (1 + 1e-12) + 1e-9
    assert bool((matrix[clearly_farther] == 0).all())


@given(ratio=st.lists(RATIO, min_size=1, max_size=12))
@example(ratio=[1e5, -1e5])
@settings(max_examples=50, deadline=None)
def test_the_own_channel_is_kept(ratio: list[float]):
    ratios = torch.tensor(ratio)
    matrix = channel_correlation(ratios, ratios)
    assert bool((matrix.diagonal() > 0).all())


def test_the_own_channel_is_kept_when_its_probability_underflows():
    # P_00 = exp(-1e4) is zero in any dtype, so P_ij >= P_ii on probabilities would keep whatever else is zero
    matrix = channel_correlation(torch.tensor([0.0, 0.0]), torch.tensor([1e4, 0.0]))
    assert matrix[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 3, 64, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_for_weights_from_0_to_10000(
    channels: int, dense: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 10**6 if dense else 0)
    generator = torch.Generator().manual_seed(channels)
    exponent = torch.rand(2, channels, generator=generator, dtype=dtype) * 12 - 8
    weights = 10**exponent * (torch.randint(0, 3, (2, channels), generator=generator) - 1)  # a third are zero
    weights[:, -1] = 1e4
    biases = torch.randn(2, channels, generator=generator, dtype=dtype) * 10
    parameters = weights[0].clone().requires_grad_(), biases[0].clone().requires_grad_()
    merged = recalibrate(*parameters, weights[1], biases[1])
    (merged[0].sum() + merged[1].sum()).backward()
    for value in (*merged, parameters[0].grad, parameters[1].grad):
        assert value is not None
        assert bool(value.isfinite().all())
    assert float(merged[0].detach().abs().max()) <= 2 * 1e4 * (1 + 1e-5)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_recalibrate_is_the_papers_formula_with_constant_correlation(
    seed: int, dense: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 10**6 if dense else 0)
    weight, bias, *source = random_affines(40, seed)
    weight.requires_grad_()
    bias.requires_grad_()
    matrix = paper_correlation(weight, bias, *source, 0.5)
    up = torch.randn(2, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = weight + matrix @ weight, bias + matrix @ bias
    merged = recalibrate(weight, bias, *source, temperature=0.5)
    for mine, theirs in zip(merged, expected, strict=True):
        assert relative_difference(mine.detach(), theirs.detach()) < 1e-13
    mine = torch.autograd.grad(merged, (weight, bias), tuple(up))
    for gradient, upward in zip(mine, up, strict=True):
        assert relative_difference(gradient, upward + matrix.T @ upward) < 1e-13


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_parameters_are_computed_in_float32(
    dtype: torch.dtype, dense: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 10**6 if dense else 0)
    affines = random_affines(64, seed=3, dtype=dtype)
    merged = recalibrate(*affines)
    reference = recalibrate(*(value.double() for value in affines))
    for mine, expected in zip(merged, reference, strict=True):
        assert mine.dtype == torch.float32
        assert relative_difference(mine, expected) < 1e-6
    assert affine_ratio(*affines[:2]).dtype == torch.float32


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_does_not_lower_the_precision(dtype: torch.dtype, dense: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 10**6 if dense else 0)
    weight, bias, *source = random_affines(64, seed=4, dtype=torch.float32)
    weight.requires_grad_()
    expected = recalibrate(weight, bias, *source)
    with torch.autocast("cpu", dtype=dtype):
        merged = recalibrate(weight, bias, *source)
        gradient = torch.autograd.grad(merged[0].sum(), weight)[0]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(merged, expected, strict=True))
    assert torch.equal(gradient, torch.autograd.grad(expected[0].sum(), weight)[0])


def test_sources_of_another_dtype_are_taken():
    weight, bias, *source = random_affines(8, seed=5)
    merged = recalibrate(weight.float(), bias.float(), *source)
    assert merged[0].dtype == torch.float32


def test_permuting_the_channels_permutes_the_result():
    affines = random_affines(50, seed=6)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    for before, after in zip(recalibrate(*affines), recalibrate(*(value[order] for value in affines)), strict=True):
        assert relative_difference(after, before[order]) < 1e-14


CHECKED = {
    function.__name__: jaxtyping.jaxtyped(typechecker=beartype.beartype)(function)
    for function in (affine_ratio, channel_correlation, recalibrate, correlation.merged_apart, merge.merge)
} | {
    function.__name__: jaxtyping.jaxtyped(typechecker=beartype.beartype)(function)
    for function in (windowed.kept_interval, windowed.windowed_product, windowed.add_transposed_product)
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_shapes_are_those_of_the_annotations(dtype: torch.dtype):
    affines = random_affines(7, seed=7, dtype=dtype)
    ratios = CHECKED["affine_ratio"](*affines[:2]), CHECKED["affine_ratio"](*affines[2:])
    CHECKED["channel_correlation"](*ratios)
    CHECKED["kept_interval"](*ratios)
    CHECKED["recalibrate"](*affines)
    values = torch.stack(affines).to(ratios[0].dtype)
    product, window = CHECKED["windowed_product"](values, *ratios)
    assert product.shape == CHECKED["add_transposed_product"](values, window).shape == (4, 7)
    layers = torch.stack((torch.stack(affines[:2]), torch.stack(affines[2:])))
    constant = CHECKED["merged_apart"](layers, layers)
    CHECKED["merge"](*affines[:2], *(part[0] for part in constant))


def test_wrong_shapes_are_caught_by_the_annotations():
    with pytest.raises(jaxtyping.TypeCheckError):
        CHECKED["affine_ratio"](torch.ones(3), torch.ones(4))
    with pytest.raises(jaxtyping.TypeCheckError):
        CHECKED["recalibrate"](torch.ones(3), torch.ones(3), torch.ones(4), torch.ones(4))


def test_core_needs_torch_and_jaxtyping_only():
    code = (
        "import sys, torch, jaxtyping; before = set(sys.modules)\n"
        "from acnorm.core import convert, correlation, fold, layer, summary, windowed\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # torch may load parts of itself late; nothing else may come
    assert set(done.stdout.split()) <= {"acnorm", "torch"}
