"""Converting and reverting a whole network: what is wrapped, what is said, what is refused."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from acnorm.core.census import ConversionError, acnorm_layers, census
from acnorm.core.convert import convert, revert
from acnorm.core.layer import ACNorm
from networks import ToyNet, images_for, move, norm_layers, trained

ALREADY = "the model is converted already; revert(model) first to convert it differently."


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(ConversionError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_options_reach_the_layers():
    layer = convert(trained(), temperature=0.3, eps=1e-3, init="identity").bn1
    assert (layer.temperature, layer.affine_eps, layer.init) == (0.3, 1e-3, "identity")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(2, 2), "no norm layer in Linear: AC-Norm needs BatchNorm layers with an affine."),
        (
            ToyNet(),
            "nothing to convert in ToyNet (found 2 BatchNorm2d, 1 BatchNorm1d; its affine is constant over channels: "
            "not trained). AC-Norm needs BatchNorm layers whose affine came from training: load the checkpoint before "
            "convert, and let include, exclude and trained leave some.",
        ),
        (
            nn.Sequential(nn.GroupNorm(1, 2), nn.BatchNorm2d(2, affine=False)),
            "nothing to convert in Sequential (found 1 GroupNorm, 1 BatchNorm2d; it has no learnable weight and bias; "
            "only batch norms are converted unless norms says otherwise). AC-Norm needs BatchNorm layers whose affine came "
            "from training: load the checkpoint before convert, and let include, exclude and trained leave some.",
        ),
        (
            nn.Sequential(nn.BatchNorm2d(2, device="meta")),
            "nothing to convert in Sequential (found 1 BatchNorm2d; it is on the meta device and holds no values yet). "
            "AC-Norm needs BatchNorm layers whose affine came from training: load the checkpoint before convert, and let "
            "include, exclude and trained leave some.",
        ),
        (
            nn.BatchNorm2d(3),
            "the model is a single BatchNorm2d, which cannot be replaced in place; wrap it with acnorm.ACNorm(layer).",
        ),
        (
            ACNorm(nn.BatchNorm2d(3)),
            "the model is a single ACNorm, which cannot be replaced in place; wrap it with acnorm.ACNorm(layer).",
        ),
    ],
)
def test_nothing_to_convert(model: nn.Module, message: str):
    keys = list(model.state_dict())
    assert refusal(convert, model) == message
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("options", [{}, {"include": "bn1"}, {"trained": ["bn1"]}, {"exclude": "bn1"}])
def test_converting_twice_is_refused(options: dict[str, object]):
    model = convert(trained())
    assert refusal(convert, model, **options) == ALREADY
    assert refusal(convert, nn.Sequential(model), **options) == ALREADY
    assert refusal(convert, model, state=model.state_dict()) == ALREADY
    if options:
        assert refusal(census, model, **options) == ALREADY
    assert len(acnorm_layers(model)) == 3
    assert not any(isinstance(layer.norm, ACNorm) for layer in acnorm_layers(model).values())


def test_a_broken_checkpoint_is_refused_with_the_names():
    model = trained()
    model.bn1.weight.data[1] = torch.nan
    model.bn3.bias.data[0] = torch.inf
    assert refusal(convert, model) == "the affine of bn1, bn3 holds NaN or infinity; check the checkpoint."
    assert not acnorm_layers(model)


def test_bad_options_leave_the_model_plain():
    model = trained()
    with pytest.raises(ValueError, match="temperature is -1"):
        convert(model, temperature=-1)
    assert not acnorm_layers(model)


def test_revert_refuses_what_it_cannot_do():
    assert refusal(revert, trained()) == "the model holds no AC-Norm layer; there is nothing to revert."
    assert refusal(revert, ACNorm(nn.BatchNorm2d(2))) == (
        "the model is a single ACNorm, which cannot be replaced in place; revert a module that holds it, such as "
        "nn.Sequential(layer)."
    )


def test_revert_keeps_what_training_did_to_the_affine():
    model = convert(trained())
    move(model)
    expected = model.bn1.weight.detach().clone()
    assert torch.equal(revert(model).bn1.weight, expected)
    assert len(acnorm_layers(convert(model))) == 3


class Twice(nn.Module):
    """One BatchNorm in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(4)
        self.block = nn.Sequential(nn.Linear(4, 4), self.first)
        nn.init.normal_(self.first.bias)

    def forward(self, features):
        return self.block(self.first(features))


def test_a_layer_in_two_places_is_wrapped_once():
    model = Twice()
    before = deepcopy(model)
    convert(model, include="block.*")
    assert model.first is model.block[1]
    assert list(acnorm_layers(model)) == ["first"]
    assert len(census(model).layers) == 1
    rebuilt = convert(deepcopy(before), state=model.state_dict())
    assert rebuilt.first is rebuilt.block[1]
    features = torch.randn(6, 4)
    assert torch.equal(rebuilt.eval()(features), model.eval()(features))
    revert(model)
    assert model.first is model.block[1]
    assert torch.equal(model(features), before.eval()(features))


@pytest.mark.parametrize("through", ["memory", "torch", "safetensors"])
@pytest.mark.parametrize("init", ["paper", "identity"])
def test_a_converted_state_rebuilds_the_wrappers_in_a_plain_model(through: str, init: str, tmp_path: Path):
    model = move(convert(trained(), exclude="bn2", temperature=0.4, init=init))
    state = model.state_dict()
    if through == "torch":
        torch.save(state, tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
    elif through == "safetensors":
        save_file(state, tmp_path / "state.safetensors")
        state = load_file(tmp_path / "state.safetensors")
    other = convert(ToyNet(), state=state)
    assert list(acnorm_layers(other)) == ["bn1", "bn3"]
    assert (other.bn1.temperature, other.bn1.init) == (0.4, init)
    assert census(other).left_alone[0].reason == "plain in the state dict"
    assert torch.equal(other.eval()(images_for()), model.eval()(images_for()))
    assert other.state_dict().keys() == model.state_dict().keys()


def test_a_plain_state_loads_into_a_converted_model():
    model, plain = convert(trained()), trained(seed=7)
    source = model.bn1.source_bias.clone()
    model.load_state_dict(plain.state_dict())
    assert torch.equal(model.bn1.source_bias, source)
    assert torch.equal(revert(model).eval()(images_for()), plain.eval()(images_for()))


def _renamed(state: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    return {key.replace(old, new): value for key, value in state.items()}


def test_states_that_do_not_fit_are_refused_and_leave_the_model_as_it_was():
    state = convert(trained()).state_dict()
    model = trained(seed=4)
    before = deepcopy(model.state_dict())
    assert refusal(convert, model, state=before) == (
        "the state dict holds no AC-Norm layer; load it with model.load_state_dict."
    )
    assert refusal(convert, model, state=_renamed(state, "bn1.", "bn7.")) == (
        "the state dict has AC-Norm at bn7, where this model has no norm layer."
    )
    message = refusal(convert, model, state={key: value for key, value in state.items() if key != "head.bias"})
    assert message == (
        "the state dict does not fit the model (Error(s) in loading state_dict for ToyNet: Missing key(s) in state_dict: "
        '"head.bias".); build the network that it was saved from.'
    )
    assert not acnorm_layers(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.bn1 = nn.BatchNorm2d(8, affine=False)
    assert refusal(convert, model, state=state) == (
        "the state dict has AC-Norm at bn1, a BatchNorm2d here: it has no learnable weight and bias."
    )


def test_deepcopy_and_pickle_are_independent_equals():
    model = move(convert(trained())).eval()
    expected = model(images_for())
    for copy in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(copy(images_for()), expected)
        assert census(copy) == census(model)
        copy.load_state_dict(trained(seed=3).state_dict())
        copy.bn1.source_weight.zero_()
        assert not torch.equal(copy(images_for()), expected)
    assert torch.equal(model(images_for()), expected)


def test_torch_save_of_the_whole_model(tmp_path: Path):
    model = convert(trained()).eval()
    torch.save(model, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    assert torch.equal(loaded(images_for()), model(images_for()))


def test_freezing_goes_on_working():
    model = convert(trained())
    frozen = model.bn1.weight.detach().clone()
    model.bn1.weight.requires_grad = False
    for norm in norm_layers(model).values():
        norm.eval()
    statistics = model.bn2.running_mean.clone()
    optimiser = torch.optim.SGD([value for value in model.parameters() if value.requires_grad], lr=0.1)
    model(images_for()).square().sum().backward()
    optimiser.step()
    assert model.bn1.weight.grad is None
    assert torch.equal(model.bn1.weight, frozen)
    assert torch.equal(model.bn2.running_mean, statistics)
    assert model.bn2.weight.grad is not None
