"""The table of methods, and the laws that every method in it keeps."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from acnorm.errors import UserError
from acnorm.tuning.acnorm import ACNormTuning
from acnorm.tuning.l2sp import L2SP
from acnorm.tuning.method import METHODS, list_methods, make_method
from networks import ToyNet, images_for, norm_layers, relative_difference, trained

every = pytest.mark.parametrize("name", METHODS)


def stepped(name: str, images: torch.Tensor) -> nn.Module:
    """A network after three steps of training with the method."""
    network = make_method(name).prepare(trained(), ["bn1", "bn2", "bn3"]).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
    return network


@every
def test_a_method_is_a_frozen_record_with_a_first_sentence(name: str):
    method = make_method(name)
    assert is_dataclass(method)
    assert type(method).__dataclass_params__.frozen
    assert (METHODS[name].__doc__ or "").splitlines()[0].endswith(".")
    assert make_method(name) == method


@every
def test_a_rebuilt_network_is_the_saved_one(name: str):
    network = stepped(name, images_for())
    again = make_method(name).rebuild(ToyNet(), deepcopy(network.state_dict()))
    for training in (False, True):
        outputs = []
        for model in (again, network):
            torch.manual_seed(0)
            outputs.append(model.train(training)(images_for()))
        assert torch.equal(*outputs)


@every
def test_a_finished_network_is_plain_and_computes_the_same(name: str):
    network = stepped(name, images_for())
    before = network.eval()(images_for()).detach()
    finished = make_method(name).finish(network, images_for(seed=5))
    assert {type(norm) for norm in norm_layers(finished).values()} == {nn.BatchNorm1d, nn.BatchNorm2d}
    assert finished.state_dict().keys() == ToyNet().state_dict().keys()
    assert relative_difference(finished.eval()(images_for()).detach(), before) < 1e-5


def test_a_method_takes_its_own_settings():
    settings = ACNormTuning(temperature=0.5)
    assert make_method("acnorm", settings) is settings
    assert make_method("acnorm") == ACNormTuning()
    assert make_method("vanilla", settings) == METHODS["vanilla"]()
    assert make_method("l2sp+acnorm", settings).methods == (L2SP(), settings)


def test_the_list_tells_of_every_method_what_a_user_asks():
    for entry, name in zip(list_methods(), METHODS, strict=True):
        assert entry.name == name
        assert all(len(text) > 0 for text in (entry.about, entry.paper, entry.cost, entry.when))
        assert entry.settings == asdict(METHODS[name]())


@every
def test_the_page_of_methods_has_a_row_for_each(name: str):
    page = (Path(__file__).parents[2] / "docs/methods.md").read_text()
    assert f"| `{name}` |" in page


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "--method '' is not known; there are vanilla, acnorm, "),
        ("ACNorm", "--method 'ACNorm' is not known; did you mean acnorm? See acnorm methods."),
        ("l2-sp", "--method 'l2-sp' is not known; did you mean l2sp? See acnorm methods."),
        ("acnorm+l2-sp", "--method 'l2-sp' is not known; did you mean l2sp? See acnorm methods."),
    ],
)
def test_other_names_are_refused(name: str, told: str):
    with pytest.raises(UserError, match=f"^{re.escape(told)}"):
        make_method(name)
