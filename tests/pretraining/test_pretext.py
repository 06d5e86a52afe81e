"""Laws that hold for every pretext task, in 2D and 3D."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn

from acnorm.checkpoints.load import load_checkpoint
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.pretraining.byol import BYOL
from acnorm.pretraining.encoder import Blueprint, DenseEncoder
from acnorm.pretraining.pretext import PRETEXT_SETTINGS, PRETEXTS, make_pretext
from acnorm.pretraining.simclr import SimCLR

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


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jigsaw2", "did you mean jigsaw?"),
        ("SimCLR", "did you mean simclr?"),
        ("zzz", "there are supervised, rotation, genesis, simclr, byol, moco, location, jigsaw, rubik, autoencoder, "
         "barlow-twins, pcrl."),
    ],
)  # fmt: skip
def test_an_unknown_task_is_told(name: str, hint: str):
    with pytest.raises(UserError, match=rf"^--method '{name}' is not known; {re.escape(hint)} See acnorm pretrain --l"):
        make_pretext(name)


def test_a_task_takes_its_own_settings_of_several():
    given = SimCLR(temperature=0.2), BYOL(momentum=0.5)
    assert make_pretext("byol", *given).momentum == 0.5
    assert make_pretext("simclr", *given).temperature == 0.2
    assert make_pretext("moco", *given) == make_pretext("moco")


SHARE, CLOSED, BELOW = "above 0 and at most 1", "between 0 and 1", "0 or more and below 1"
POSITIVE, NOT_NEGATIVE, WARM = "above 0 and finite", "0 or more and finite", "0.02 or more and finite"
ONE, TWO, EIGHT = "1 or more", "2 or more", "8 or more"
ALLOWED = {
    "supervised": {"least_area": SHARE},
    "genesis": {"nonlinear": CLOSED, "shuffling": CLOSED, "painting": CLOSED, "inner": CLOSED},
    "simclr": {"least_area": SHARE, "temperature": WARM, "hidden": ONE, "outputs": ONE},
    "byol": {"least_area": SHARE, "momentum": CLOSED, "hidden": ONE, "outputs": ONE},
    "moco": {
        "least_area": SHARE,
        "temperature": POSITIVE,
        "momentum": CLOSED,
        "keys": ONE,
        "hidden": ONE,
        "outputs": ONE,
    },
    "location": {"gap": BELOW, "hidden": ONE},
    "jigsaw": {"parts": TWO, "orders": TWO, "gap": BELOW, "hidden": ONE},
    "rubik": {"orders": TWO, "gap": BELOW, "hidden": ONE, "turning": NOT_NEGATIVE},
    "autoencoder": {"width": EIGHT},
    "barlow_twins": {"least_area": SHARE, "redundancy": NOT_NEGATIVE, "hidden": ONE, "outputs": ONE},
    "pcrl": {"least_area": SHARE, "temperature": WARM, "restoring": NOT_NEGATIVE, "hidden": ONE, "outputs": ONE},
}
WRONG = {
    SHARE: (0.0, 1.1, -1.0),
    CLOSED: (-0.1, 1.1),
    BELOW: (-0.1, 1.0),
    POSITIVE: (0.0, -1.0, float("inf"), float("nan")),
    NOT_NEGATIVE: (-0.1, float("inf")),
    WARM: (0.01, 0.0, float("inf"), float("nan")),
    ONE: (0, -1),
    TWO: (1, 0),
    EIGHT: (7, 0),
}
RIGHT = {
    SHARE: (1.0, 0.01),
    CLOSED: (0.0, 1.0),
    BELOW: (0.0, 0.9),
    POSITIVE: (1e-9,),
    NOT_NEGATIVE: (0.0,),
    WARM: (0.02,),
    ONE: (1,),
    TWO: (2,),
    EIGHT: (8,),
}
ROWS = [(task, name, allowed) for task, settings in ALLOWED.items() for name, allowed in settings.items()]


@pytest.mark.parametrize(("task", "name", "allowed"), ROWS)
def test_a_setting_out_of_range_is_told_with_what_is_allowed(task: str, name: str, allowed: str):
    kind = PRETEXT_SETTINGS[task]
    for value in WRONG[allowed]:
        assert kind(**{name: value}).problems() == [f"{task}.{name} is {value}, must be {allowed}"]
    for value in RIGHT[allowed]:
        assert kind(**{name: value}).problems() == []


def test_every_setting_of_every_task_has_a_range():
    assert {task: {item.name for item in fields(kind)} for task, kind in PRETEXT_SETTINGS.items()} == {
        task: set(settings) for task, settings in ALLOWED.items()
    }
    assert set(PRETEXTS) - {name.replace("_", "-") for name in PRETEXT_SETTINGS} == {"rotation"}


def test_models_genesis_brings_its_own_way_up(tmp_path):
    blueprint = Blueprint("genesis/unet3d", channels=1, dimensions=3)
    network = make_pretext("genesis").build(blueprint)
    assert any(name.startswith("up_tr256") for name in network.encoder.weights())
    assert not any(name.startswith("out_tr") for name in network.encoder.weights())
