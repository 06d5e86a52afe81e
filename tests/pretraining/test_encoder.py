from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.models.sources import build_network, build_unet
from acnorm.pretraining.encoder import Blueprint, DenseEncoder
from pretraining_setups import DEEP, FLAT, images


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
def test_features_are_what_the_head_of_the_model_is_given(blueprint: Blueprint):
    torch.manual_seed(0)
    encoder = blueprint.encoder().eval()
    whole = build_network(blueprint.model, classes=3, channels=1, dimensions=blueprint.dimensions)
    whole.module.load_state_dict(encoder.weights(), strict=False)
    given: list[torch.Tensor] = []
    whole.module.get_submodule(whole.head).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    seen = images(2, side=32, dimensions=blueprint.dimensions)
    with torch.no_grad():
        whole.module.eval()(seen)
        assert torch.allclose(encoder(seen), given[0], atol=1e-5)
        assert torch.equal(encoder(seen), encoder.features(seen))
    assert encoder.width == given[0].shape[1]


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
def test_weights_are_all_of_the_model_but_its_head(blueprint: Blueprint):
    whole = build_network(blueprint.model, classes=3, channels=1, dimensions=blueprint.dimensions)
    names = {name for name in whole.module.state_dict() if not name.startswith(f"{whole.head}.")}
    assert blueprint.encoder().weights().keys() == names
    assert blueprint.dense(2).weights().keys() == names


def test_dense_features_are_the_mean_over_space_of_the_deepest_stage():
    torch.manual_seed(0)
    dense = FLAT.dense(5).eval()
    with torch.no_grad():
        assert dense(images()).shape == (4, 5, 32, 32)
        deepest = dense.body.features(images())[-1]
        assert torch.allclose(dense.features(images()), deepest.mean(dim=(2, 3)), atol=1e-6)


def test_of_a_network_with_its_own_way_up_all_but_the_last_layer_is_kept():
    dense = Blueprint("genesis/unet3d", channels=1, dimensions=3).dense(2)
    whole = build_unet("genesis/unet3d", classes=2, channels=1, dimensions=3).module.state_dict()
    assert dense.weights().keys() == {name for name in whole if not name.startswith("out_tr")}


def test_what_a_network_begins_with_is_brought_in_once_it_is_built():
    seen = []

    def load(network):
        seen.append(network.head)
        nn.init.constant_(next(network.module.parameters()), 3.0)

    blueprint = Blueprint("cifar/resnet20", channels=1, dimensions=2, classes=3, load=load)
    assert torch.equal(blueprint.encoder().body.conv1.weight, torch.full((16, 1, 3, 3), 3.0))
    assert isinstance(blueprint.dense(1), DenseEncoder)
    assert blueprint.classifier().module.linear.out_features == 3
    assert seen == ["linear", "decoder", "linear"]
