"""Which norm layers are converted, which are left alone and why, and how names choose them."""

from __future__ import annotations

import logging

import pytest
from torch import nn

from acnorm.core.census import Census, ConversionError, acnorm_layers, census
from acnorm.core.convert import convert, revert
from networks import trained


class Odd(nn.Module):
    """Every kind of norm layer that is left alone, and one that is converted."""

    def __init__(self) -> None:
        super().__init__()
        self.good = nn.BatchNorm1d(4)
        self.fresh = nn.BatchNorm1d(4)
        self.bare = nn.BatchNorm1d(4, affine=False)
        self.zero = nn.BatchNorm1d(4)
        self.lazy = nn.LazyBatchNorm1d()
        self.tied = nn.utils.parametrizations.weight_norm(nn.BatchNorm1d(4), dim=None)
        self.group = nn.GroupNorm(2, 4)
        self.instance = nn.InstanceNorm1d(4, affine=True)
        self.layer = nn.LayerNorm(4)
        nn.init.zeros_(self.zero.weight)
        nn.init.normal_(self.good.bias)


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(ConversionError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_every_kind_of_layer_gets_its_reason(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="acnorm")
    model = convert(Odd())
    constant = "its affine is constant over channels: not trained"
    unasked = "only batch norms are converted unless norms says otherwise"
    assert {layer.name: layer.reason for layer in census(model).layers} == {
        "good": None,
        "fresh": constant,
        "bare": "it has no learnable weight and bias",
        "zero": constant,
        "lazy": "it is lazy and has not seen an input yet",
        "tied": "its affine is parametrized",
        "group": unasked,
        "instance": unasked,
        "layer": "only batch, instance and group norms can be converted",
    }
    assert list(acnorm_layers(model)) == ["good"]
    assert str(census(model)).startswith(
        "converted 1 of 9 norm layers (1 BatchNorm1d); left alone: 2 BatchNorm1d (its affine is constant over channels"
    )
    assert caplog.messages == [f"AC-Norm: {census(model)}"]


def test_census_before_is_census_after():
    model = trained("toy")
    before = census(model, exclude="bn2")
    assert before == census(convert(model, exclude="bn2"))
    assert [layer.name for layer in before.converted] == ["bn1", "bn3"]
    assert [(layer.name, layer.type, layer.reason) for layer in before.left_alone] == [
        ("bn2", "BatchNorm2d", "excluded by name")
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["bn1", "bn2", "bn3"]),
        ({"include": "bn1"}, ["bn1"]),
        ({"include": ("bn1", "*3")}, ["bn1", "bn3"]),
        ({"exclude": "bn[12]"}, ["bn3"]),
        ({"include": "bn?", "exclude": ["bn2"]}, ["bn1", "bn3"]),
        ({"trained": {"bn2"}}, ["bn2"]),
        ({"trained": ["bn2", "bn3"], "exclude": "bn3"}, ["bn2"]),
    ],
)
def test_layers_are_chosen_by_name(options: dict[str, object], names: list[str]):
    assert list(acnorm_layers(convert(trained(), **options))) == names


def test_one_channel_is_converted_only_when_named_as_trained():
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))

    assert "constant over channels" in refusal(convert, model())
    assert list(acnorm_layers(convert(model(), trained=["1"]))) == ["1"]


@pytest.mark.parametrize(
    ("options", "pattern"),
    [({"include": "layer*"}, "layer*"), ({"exclude": ["bn1", "bn9"]}, "bn9"), ({"trained": ["bn1", "bn*"]}, "bn*")],
)
def test_a_name_that_matches_nothing_is_refused(options: dict[str, object], pattern: str):
    message = f"'{pattern}' matches no norm layer; there are: bn1, bn2, bn3."
    assert refusal(convert, trained(), **options) == message
    assert refusal(census, trained(), **options) == message


def test_a_long_list_of_names_is_cut():
    message = refusal(convert, trained("cifar-resnet20"), include="nothing")
    names = "bn1, layer1.0.bn1, layer1.0.bn2, layer1.1.bn1, layer1.1.bn2"
    assert message == f"'nothing' matches no norm layer; there are: {names} and 14 more."
    assert refusal(convert, nn.Linear(2, 2), include="x") == "'x' matches no norm layer; there is none."


def test_census_knows_parts_and_wholes_that_were_converted_otherwise():
    model = nn.ModuleDict({"encoder": trained(), "head": nn.BatchNorm1d(4)})
    convert(model["encoder"], exclude="bn2")
    assert str(census(model)) == (
        "converted 2 of 4 norm layers (1 BatchNorm2d, 1 BatchNorm1d); left alone: 1 BatchNorm2d (left plain), "
        "1 BatchNorm1d (left plain)"
    )
    revert(model)
    assert len(census(model["encoder"]).converted) == 3  # what would be, not what was
    assert [layer.name for layer in census(convert(model)).converted] == ["encoder.bn1", "encoder.bn2", "encoder.bn3"]
    assert [layer.name for layer in census(model["encoder"]).converted] == ["bn1", "bn2", "bn3"]


def test_empty_census():
    assert str(census(nn.Linear(2, 2))) == str(Census(())) == "converted 0 of 0 norm layers"
