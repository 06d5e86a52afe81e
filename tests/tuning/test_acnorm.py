"""AC-Norm as a method: what it converts, what trains, and that rebuilding and finishing change no output."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import FrozenInstanceError, asdict

import pytest
import torch
from torch import Tensor, nn

from acnorm.core.census import ConversionError, acnorm_layers
from acnorm.core.layer import ACNorm
from acnorm.tuning.acnorm import ACNormTuning
from networks import ToyNet, images_for, move, relative_difference, trained, two_pass

METHODS = {
    "default": ACNormTuning(),
    "sharp": ACNormTuning(temperature=0.2, eps=1e-3),
    "identity": ACNormTuning(init="identity"),
    "some": ACNormTuning(include="bn*", exclude="bn2"),
    "scaling": ACNormTuning(partners="own"),
    "permuted": ACNormTuning(partners="permuted", init="identity"),
    "nearest": ACNormTuning(partners="top-3"),
}
every = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def prepared(method: ACNormTuning, *, moved: bool = True) -> nn.Module:
    network = method.prepare(trained(dtype=torch.float64), None)
    return move(network) if moved else network


def outputs(network: nn.Module, *, training: bool = False) -> Tensor:
    with torch.no_grad():
        return deepcopy(network).train(training)(images_for(dtype=torch.float64))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_a_prepared_network_computes_the_papers_formula(temperature: float, training: bool):
    network = prepared(ACNormTuning(temperature=temperature), moved=False)
    reference = two_pass(trained(dtype=torch.float64), temperature)
    for model in (network, reference):
        move(model)
    assert relative_difference(outputs(network, training=training), outputs(reference, training=training)) < 1e-12


def test_identity_starts_as_the_plain_network_and_the_paper_does_not():
    plain = outputs(trained(dtype=torch.float64))
    start = {name: outputs(prepared(METHODS[name], moved=False)) for name in ("identity", "default")}
    assert relative_difference(start["identity"], plain) < 1e-12
    assert relative_difference(start["default"], plain) > 1e-3


def test_settings_reach_every_layer():
    method = ACNormTuning(temperature=0.3, eps=1e-4, init="identity")
    layers = acnorm_layers(method.prepare(trained(), None)).values()
    assert {(layer.temperature, layer.affine_eps, layer.init) for layer in layers} == {(0.3, 1e-4, "identity")}


@pytest.mark.parametrize(
    ("settings", "loaded", "converted"),
    [
        ({}, None, ["bn1", "bn2", "bn3"]),
        ({}, ["bn3", "bn1"], ["bn1", "bn3"]),
        ({"include": "bn[12]"}, None, ["bn1", "bn2"]),
        ({"exclude": "bn2"}, None, ["bn1", "bn3"]),
        ({"include": "bn[12]", "exclude": "bn1"}, ["bn2", "bn3"], ["bn2"]),
    ],
)
def test_loaded_norms_that_match_are_converted(
    settings: dict[str, str], loaded: list[str] | None, converted: list[str]
):
    assert list(acnorm_layers(ACNormTuning(**settings).prepare(trained(), loaded))) == converted


def test_all_that_trained_before_trains_and_the_source_stays():
    plain, network = trained(), ACNormTuning().prepare(trained(), None).train()
    source = {name: buffer.clone() for name, buffer in network.named_buffers() if "source" in name}
    before = [parameter.clone() for parameter in network.parameters()]
    assert [value.shape for value in before] == [value.shape for value in plain.parameters()]
    assert all(parameter.requires_grad for parameter in network.parameters())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(images_for()).square().mean().backward()
    optimizer.step()
    changed = [not torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True)]
    assert all(changed)
    assert len(source) == 6
    assert all(torch.equal(value, network.get_buffer(name)) for name, value in source.items())


@every
def test_a_saved_state_rebuilds_the_network_whatever_the_settings_of_the_method(method: ACNormTuning):
    network = prepared(method)
    again = ACNormTuning(temperature=7.0).rebuild(ToyNet().double(), network.state_dict())
    assert torch.equal(outputs(again), outputs(network))
    assert list(acnorm_layers(again)) == list(acnorm_layers(network))
    assert again.state_dict().keys() == network.state_dict().keys()
    options = [(layer.temperature, layer.affine_eps, layer.init) for layer in acnorm_layers(network).values()]
    assert [(layer.temperature, layer.affine_eps, layer.init) for layer in acnorm_layers(again).values()] == options


@every
def test_finishing_gives_a_plain_network_with_the_same_outputs(method: ACNormTuning):
    network = prepared(method)
    before = outputs(network)
    finished = method.finish(network, images_for(dtype=torch.float64))
    assert not any(isinstance(module, ACNorm) for module in finished.modules())
    assert relative_difference(outputs(finished), before) < 1e-12
    plain = ToyNet().double()
    plain.load_state_dict(finished.state_dict())  # strict: nothing of ours is left
    assert torch.equal(outputs(plain), outputs(finished))


class ReadsItsNorm(ToyNet):
    """A network that uses the weight of a norm layer for something else, which a fold changes."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.bn1.weight.mean()


def test_finishing_refuses_to_move_the_output():
    network = ReadsItsNorm()
    network.load_state_dict(trained().state_dict())
    network = ACNormTuning().prepare(network, None)
    with pytest.raises(ConversionError, match=r"^folding moved the output by .* more than the tolerance"):
        ACNormTuning().finish(network, images_for())
    assert list(acnorm_layers(network)) == ["bn1", "bn2", "bn3"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ACNormTuning().prepare(ToyNet(), None), r"^nothing to convert in ToyNet .*constant over channels"),
        (lambda: ACNormTuning().prepare(trained(), []), r"^nothing to convert in ToyNet .*not named as loaded"),
        (lambda: ACNormTuning().prepare(nn.Sequential(nn.Linear(2, 2)), None), r"^no norm layer in Sequential"),
        (lambda: ACNormTuning(include="layer1.*").prepare(trained(), None), r"^'layer1\.\*' matches no norm layer"),
        (
            lambda: ACNormTuning(exclude="stem").prepare(trained(), None),
            r"^'stem' matches no norm layer; there are: bn1",
        ),
        (lambda: prepared(ACNormTuning(temperature=0.0)), r"^temperature is 0\.0; it must be a positive number\.$"),
        (lambda: prepared(ACNormTuning(eps=-1.0)), r"^eps is -1\.0; it must be a positive number\.$"),
        (lambda: prepared(ACNormTuning(init="none")), r"^init is 'none'; it must be 'paper' or 'identity'\.$"),
        (lambda: ACNormTuning().rebuild(ToyNet(), ToyNet().state_dict()), r"^the state dict holds no AC-Norm layer"),
    ],
)
def test_what_will_not_do_is_refused(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_are_a_record_with_the_papers_defaults():
    paper = {"temperature": 1.0, "eps": 1e-5, "init": "paper", "partners": "paper", "norms": "batch", "include": "*"}
    paper["exclude"] = ""
    assert asdict(ACNormTuning()) == paper
    with pytest.raises(FrozenInstanceError):
        ACNormTuning().temperature = 2.0
