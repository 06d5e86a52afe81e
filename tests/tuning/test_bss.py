"""BSS against the spectrum of FFᵀ in float64, its gradient where public code has none, half precision, batch of two."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from acnorm.tuning.bss import BSS, Shrinkage, smallest_squares
from acnorm.tuning.features import head_inputs, pooled
from acnorm.tuning.hooks import Setup
from tuning_setups import MAKERS, batch_of, loss, setup_of

kinds = pytest.mark.parametrize("kind", MAKERS)


@given(batch=st.integers(2, 9), channels=st.integers(2, 9), k=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_value_and_gradient_are_those_of_the_eigenvalues_of_the_gram_matrix(
    batch: int, channels: int, k: int, seed: int
):
    features = torch.randn(batch, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    features.requires_grad_(True)
    count = min(k, min(batch, channels) - 1)
    gram = features @ features.T if batch <= channels else features.T @ features
    expected = torch.linalg.eigvalsh(gram)[:count].sum()
    value = smallest_squares(features, k)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    slopes = [torch.autograd.grad(term, features)[0] for term in (value, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-8)
    # the gradient of a squared singular value: 2 σ u vᵀ
    left, values, right = torch.linalg.svd(features.detach(), full_matrices=False)
    chosen = range(len(values) - count, len(values))
    closed = sum(2 * values[at] * torch.outer(left[:, at], right[at]) for at in chosen)
    torch.testing.assert_close(slopes[0], closed, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("features", [torch.zeros(4, 3), torch.eye(4), torch.ones(4, 5)])
def test_the_gradient_is_finite_where_singular_values_are_equal_or_0(features: torch.Tensor):
    features = features.clone().requires_grad_(True)
    smallest_squares(features, 2).backward()
    assert bool(features.grad.isfinite().all())


@kinds
@pytest.mark.parametrize("cases", [2, 4])
def test_the_penalty_is_that_of_the_heads_input_pooled_over_space(kind: str, cases: int):
    method = BSS(eta=0.3, k=1)
    setup = setup_of(kind, method, cases=cases)
    network, batch, penalty = setup.network.eval(), batch_of(kind, cases=cases), method.penalty(setup)
    method.check(setup)
    with penalty.watching(network):
        loss(network, batch)
    value = penalty(network, batch)
    with head_inputs(network, setup.head) as found:
        network(batch["image"])
    expected = 0.3 * torch.linalg.svdvals(pooled(found[0]))[-1] ** 2
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    value.backward()
    reached = {
        n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None and bool((p.grad != 0).any())
    }
    assert reached
    assert all(p.grad is None for n, p in network.named_parameters() if n.startswith(f"{setup.head}."))


def test_one_case_has_no_penalty_and_the_largest_is_never_shrunk():
    assert smallest_squares(torch.ones(1, 5), 1).item() == 0.0
    assert smallest_squares(torch.diag(torch.tensor([3.0, 2.0])), 9).item() == 4.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_the_spectrum_is_that_of_single_precision(dtype: torch.dtype):
    network = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
    penalty, images = Shrinkage("1", 1.0, 1), torch.randn(5, 6)
    with torch.autocast("cpu", dtype):
        features = network[0](images)
        with penalty.watching(network):
            network(images)
        value = penalty(network, {})
    assert features.dtype == dtype
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(torch.linalg.svdvals(features.float())[-1].item() ** 2, rel=1e-5)
    value.backward()
    assert bool(network[0].weight.grad.isfinite().all())


def test_settings_and_batches_that_will_not_do_are_refused():
    assert BSS(eta=-1.0, k=0).problems() == [
        "bss.eta is -1.0, must be 0 or more and finite",
        "bss.k is 0, must be 1 or more",
    ]
    told = "bss.k is 2, must be below --batch-size 2: more would shrink all features."
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        BSS(k=2).check(Setup(nn.Linear(1, 1), "", batch_size=2))
