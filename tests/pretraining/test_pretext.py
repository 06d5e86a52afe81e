"""Laws that hold for every pretext task, in 2D and 3D."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from acnorm.checkpoints.load import load_checkpoint
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.pretraining.encoder import Blueprint, DenseEncoder
from acnorm.pretraining.pretext import PRETEXTS, make_pretext

NETWORKS = {
    "flat": Blueprint("cifar/resnet20", channels=3, dimensions=2, classes=3),
    "deep": Blueprint("monai/resnet10", channels=1, dimensions=3, classes=3),
}
SIDES = {2: (32, 32), 3: (16, 16, 16)}


def batch(blueprint: Blueprint, cases: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(cases, blueprint.channels, *SIDES[blueprint.dimensions], generator=generator)
    return {"image": images, "label": torch.arange(cases) % blueprint.classes}


@pytest.fixture(params=[(task, size) for task in PRETEXTS for size in NETWORKS], ids="-".join)
def made(request: pytest.FixtureRequest):
    task, size = request.param
    torch.manual_seed(0)
    pretext = make_pretext(task)
    return pretext, pretext.build(NETWORKS[size]), NETWORKS[size]


def test_a_step_moves_every_parameter_that_learns_and_no_other(made):
    pretext, network, blueprint = made
    network.train()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    loss = pretext.loss(network, batch(blueprint))
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    torch.optim.SGD([value for value in network.parameters() if value.grad is not None], lr=0.1).step()
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name]) == (not value.requires_grad), name


def test_the_same_seed_gives_the_same_loss_and_another_one_another(made):
    pretext, network, blueprint = made
    network.eval()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(float(pretext.loss(network, batch(blueprint)).detach()))
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_the_encoder_is_a_checkpoint_of_its_model(made, tmp_path):
    _, network, blueprint = made
    torch.save(network.encoder.weights(), tmp_path / "a.pth")
    target = build_network(blueprint.model, classes=5, channels=blueprint.channels, dimensions=blueprint.dimensions)
    report = load_checkpoint(target.module, tmp_path / "a.pth", head=target.head, stem=target.stem)
    assert (report.parameter_share, report.norm_share, report.missing) == (1.0, 1.0, ())
    images = batch(blueprint)["image"]
    target.module.set_submodule(target.head, nn.Identity())
    with torch.no_grad():
        features = network.eval().encoder.features(images)
        if not isinstance(network.encoder, DenseEncoder):
            assert torch.allclose(target.module.eval()(images), features, atol=1e-5)
    assert features.shape == (4, network.encoder.features(images).shape[1])


def test_what_is_shown_are_images(made):
    pretext, network, blueprint = made
    images = batch(blueprint)["image"]
    with torch.no_grad():
        rows = pretext.show(network.eval(), images)
    assert next(iter(rows)) == "images"
    assert all(row.shape == images.shape for row in rows.values())
    assert len(rows) > 1


def test_every_task_says_what_it_is_and_where_it_is_from():
    for task in PRETEXTS.values():
        assert task.about
        assert any(character.isdigit() for character in task.paper)


def test_only_supervised_pretraining_asks_for_labels():
    assert [name for name, task in PRETEXTS.items() if task.labelled] == ["supervised"]


def test_an_unknown_task_is_told():
    with pytest.raises(UserError, match=r"--method 'jigsaw2' is not known; there are supervised, rotation, genesis"):
        make_pretext("jigsaw2")


def test_models_genesis_brings_its_own_way_up(tmp_path):
    blueprint = Blueprint("genesis/unet3d", channels=1, dimensions=3)
    network = make_pretext("genesis").build(blueprint)
    assert any(name.startswith("up_tr256") for name in network.encoder.weights())
    assert not any(name.startswith("out_tr") for name in network.encoder.weights())
