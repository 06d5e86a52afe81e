"""Controls of the paper's rule: what each keeps, its gradient, how it is kept in a state, and what is refused."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from acnorm.core.census import acnorm_layers
from acnorm.core.convert import convert
from acnorm.core.correlation import affine_ratio, channel_correlation, recalibrate
from acnorm.core.fold import fold
from acnorm.core.layer import ACNorm
from acnorm.core.partners import choose_partners, from_number, is_known, to_number
from networks import images_for, move, relative_difference, trained

RULES = ("paper", "dense", "own", "others", "permuted", "top-1", "top-4", "top-900")
every = pytest.mark.parametrize("partners", RULES)
WIDE = 230  # above the width from which the paper's rule needs no matrix


def affines(channels: int, seed: int = 3) -> list[Tensor]:
    """γ_t, β_t, γ_s, β_s."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(4, channels, generator=generator, dtype=torch.float64) + 0.5)


def by_hand(ratios: tuple[Tensor, Tensor], partners: str, order: list[int]) -> Tensor:
    """C, entry by entry."""
    target, source = (ratio.tolist() for ratio in ratios)
    size = len(target)
    made = torch.zeros(size, size, dtype=torch.float64)
    for i in range(size):
        row = torch.softmax(-torch.tensor([abs(target[i] - other) for other in source], dtype=torch.float64), 0)
        nearest = sorted(range(size), key=lambda j: abs(target[i] - source[j]))
        for j in range(size):
            near = abs(target[i] - source[j]) <= abs(target[i] - source[i])
            if partners.startswith("top-"):
                made[i, j] += row[j] * (j in nearest[: int(partners[4:])])
            elif partners == "dense" or (partners == "paper" and near):
                made[i, j] += row[j]
            elif i == j:
                made[i, i] += row[i] * (partners != "others")
            elif near and partners in ("others", "permuted"):
                made[i, order[j] if partners == "permuted" else j] += row[j]
    return made


@every
@pytest.mark.parametrize("channels", [1, 2, 9])
def test_each_rule_keeps_what_it_says(partners: str, channels: int):
    values = affines(channels)
    ratios = affine_ratio(*values[:2]), affine_ratio(*values[2:])
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(1))
    mine = channel_correlation(*ratios, partners=partners, order=order)
    torch.testing.assert_close(mine, by_hand(ratios, partners, order.tolist()), rtol=1e-12, atol=0)


@every
@pytest.mark.parametrize("channels", [9, WIDE])
def test_the_affine_and_its_gradient_are_those_of_the_matrix(partners: str, channels: int):
    weight, bias, *source = affines(channels)
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(1))
    ratios = affine_ratio(weight, bias), affine_ratio(*source)
    matrix = channel_correlation(*ratios, partners=partners, order=order)
    weight.requires_grad_()
    merged, _ = recalibrate(weight, bias, *source, partners=partners, order=order)
    assert relative_difference(merged.detach(), (weight + matrix @ weight).detach()) < 1e-12
    asked = torch.linspace(-1, 1, channels, dtype=torch.float64)
    merged.backward(asked)
    assert relative_difference(weight.grad, asked + matrix.T @ asked) < 1e-12


def test_scaling_and_borrowing_are_the_two_parts_of_the_papers():
    values = affines(12)
    ratios = affine_ratio(*values[:2]), affine_ratio(*values[2:])
    parts = [channel_correlation(*ratios, partners=name) for name in ("own", "others")]
    assert torch.equal(parts[0] + parts[1], channel_correlation(*ratios))


def test_permuted_partners_borrow_as_much_from_other_channels():
    values = affines(40)
    ratios = affine_ratio(*values[:2]), affine_ratio(*values[2:])
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    paper, permuted = channel_correlation(*ratios), channel_correlation(*ratios, partners="permuted", order=order)
    torch.testing.assert_close(paper.sum(-1), permuted.sum(-1), rtol=1e-12, atol=0)
    assert not torch.allclose(paper, permuted)


@every
@torch.no_grad()
def test_a_network_converted_by_a_rule_is_rebuilt_from_its_state_and_folds(partners: str):
    network = convert(trained(dtype=torch.float64), partners=partners)
    move(network)
    images = images_for(dtype=torch.float64)
    rebuilt = convert(trained(dtype=torch.float64), state=network.state_dict())
    expected = network.eval()(images)
    assert {layer.partners for layer in acnorm_layers(rebuilt).values()} == {partners}
    assert torch.equal(rebuilt.eval()(images), expected)
    assert relative_difference(fold(rebuilt)(images), expected) < 1e-12


@every
@torch.no_grad()
def test_identity_starts_as_the_plain_network_by_every_rule(partners: str):
    plain, images = trained(dtype=torch.float64).eval(), images_for(dtype=torch.float64)
    converted = convert(deepcopy(plain), partners=partners, init="identity")
    assert relative_difference(converted(images), plain(images)) < 1e-12


def test_drawing_partners_leaves_the_generator_of_all_else_alone():
    network, before = trained(), torch.get_rng_state()
    state = convert(network, partners="permuted").state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    plain, before = trained(), torch.get_rng_state()
    convert(plain, state=state)
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_of_one_width_draw_partners_of_their_own_and_another_seed_draws_others():
    def orders(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        network = nn.Sequential(*(nn.BatchNorm1d(30) for _ in range(2)))
        for layer in network:
            nn.init.normal_(layer.bias)
        return [layer.partner_order.tolist() for layer in acnorm_layers(convert(network, partners="permuted")).values()]

    assert orders(1) == orders(1)
    assert len({tuple(order) for order in orders(1) + orders(2)}) == 4


def test_a_state_keeps_the_rule_only_where_it_is_not_the_papers():
    assert ACNorm(nn.BatchNorm1d(4)).get_extra_state().tolist() == [1.0, 1e-5]
    assert ACNorm(nn.BatchNorm1d(4), partners="top-3").get_extra_state().tolist() == [1.0, 1e-5, 3.0]
    assert "partners='own'" in repr(ACNorm(nn.BatchNorm1d(4), partners="own"))


@every
def test_a_rule_and_its_number_stand_for_each_other(partners: str):
    assert from_number(to_number(partners)) == partners


@pytest.mark.parametrize("number", [-5.0, 0.5, 2.5, float("nan"), float("inf")])
def test_numbers_that_stand_for_no_rule_are_refused(number: float):
    with pytest.raises(ValueError, match="the state names partners by .*, which stands for none"):
        from_number(number)


@pytest.mark.parametrize("partners", ["best", "top-0", "top-", "top-1.5", "", None, 3, ["own"]])
def test_unknown_rules_are_refused(partners: object):
    assert not is_known(partners)
    message = "it must be 'paper', 'dense', 'own', 'others', 'permuted' or 'top-K' with a number K from 1 on"
    with pytest.raises(ValueError, match=message):
        ACNorm(nn.BatchNorm1d(4), partners=partners)


@pytest.mark.parametrize("grad", [True, False])
def test_another_order_is_never_answered_from_memory(grad: bool):
    plain = nn.BatchNorm1d(16, dtype=torch.float64)
    nn.init.normal_(plain.bias)
    layer, other = (
        ACNorm(deepcopy(plain), partners="permuted", generator=torch.Generator().manual_seed(seed)).eval()
        for seed in (0, 1)
    )
    for one in (layer, other):
        one.weight.data += torch.arange(16) / 10
    features = torch.randn(4, 16, dtype=torch.float64)
    with torch.set_grad_enabled(grad):
        assert not torch.equal(layer(features), other(features))
        layer.load_state_dict(other.state_dict())
        assert torch.equal(layer(features), other(features))


def test_permuted_partners_need_an_order():
    with pytest.raises(ValueError, match="permuted partners need the order of the channels"):
        choose_partners(torch.eye(2), torch.eye(2), "permuted")
