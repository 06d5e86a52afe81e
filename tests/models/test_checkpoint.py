"""A file is told against the networks by name and against a named one, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import acnorm
from acnorm.errors import UserError
from acnorm.models.sources import build_network, build_unet


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet32.pth"
    state = build_network("cifar/resnet32", classes=10, channels=3).module.state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    return path


def test_the_network_is_guessed_among_those_by_name(file: Path):
    found = acnorm.checkpoint(file)
    assert found.facts.guesses[0].model == "cifar/resnet32"
    assert (found.load, found.refused) == (None, None)
    assert list(file.parent.iterdir()) == [file]


def test_what_would_load_into_a_named_network(file: Path):
    found = acnorm.checkpoint(file, "cifar/resnet32", channels=1)
    assert found.load is not None
    assert (found.load.parameter_share, found.load.adapted, found.refused) == (1.0, ("conv1.weight",), None)
    encoder = acnorm.checkpoint(file, "cifar/resnet32", segments=True)
    assert encoder.load is not None
    assert (encoder.load.norm_share, encoder.refused) == (1.0, None)


def test_why_finetune_would_refuse_it(file: Path):
    found = acnorm.checkpoint(file, "cifar/resnet110")
    assert found.load is not None
    assert found.load.parameter_share < 0.9
    assert "of the parameters of CifarResNet would load (at least 90% must)" in str(found.refused)


def test_a_flat_file_is_tried_in_3d_where_asked(tmp_path: Path):
    state = build_network("monai/resnet10", classes=10, channels=1).module.state_dict()
    torch.save(state, tmp_path / "a.pth")
    found = acnorm.checkpoint(tmp_path / "a.pth", "monai/resnet10", dimensions=3)
    assert found.load is not None
    assert found.load.how == ("spreading over slices",)
    with pytest.raises(UserError, match="cifar/resnet20: comes in 2D only"):
        acnorm.checkpoint(tmp_path / "a.pth", "cifar/resnet20", dimensions=3)


def test_values_that_are_no_numbers(tmp_path: Path):
    state = build_network("cifar/resnet20", classes=10, channels=1).module.state_dict()
    state["bn1.bias"][0] = torch.nan
    torch.save(state, tmp_path / "a.pth")
    found = acnorm.checkpoint(tmp_path / "a.pth", "cifar/resnet20")
    assert found.load is None
    assert "bn1.bias holds NaN or infinity" in str(found.refused)


def test_a_wrong_name_is_told_before_the_file_is_read():
    with pytest.raises(UserError, match=r"--model 'cifar/resnet21' is not known; did you mean"):
        acnorm.checkpoint("nowhere.pth", "cifar/resnet21")


def test_no_channels_are_none(file: Path):
    with pytest.raises(UserError, match=r"--channels is 0, must be 1 or more\."):
        acnorm.checkpoint(file, "cifar/resnet32", channels=0)


def test_a_whole_unet_is_guessed_as_well_as_its_encoder(tmp_path: Path):
    state = build_unet("genesis/unet3d", classes=1, channels=1, dimensions=3).module.state_dict()
    for part in ("", "down_"):
        torch.save({name: value for name, value in state.items() if name.startswith(part)}, tmp_path / "a.pth")
        (guess,) = acnorm.checkpoint(tmp_path / "a.pth").facts.guesses
        assert (guess.model, guess.share, guess.used) == ("genesis/unet3d", 1.0, 1.0)
