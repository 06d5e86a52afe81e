"""Settings of pretraining and of its tasks out of flags, YAML and Python mean the same; what is wrong is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from acnorm.errors import UserError
from acnorm.pretraining.barlow_twins import BarlowTwins
from acnorm.pretraining.jigsaw import Jigsaw
from acnorm.pretraining.moco import MoCo
from acnorm.pretraining.pretext import PRETEXT_SETTINGS
from acnorm.pretraining.simclr import SimCLR
from acnorm.training.pretrain import command_of
from acnorm.training.pretrain_config import READER, PretrainConfig, pretrain_config, pretrain_config_from_flags

NEEDED = {"data": "eyes.npz", "model": "cifar/resnet20", "out": "run", "method": "simclr"}
FLAGS = [part for name, value in NEEDED.items() for part in (f"--{name}", value)]
Way = Callable[[dict[str, Any], Path], PretrainConfig]


def by_python(values: dict[str, Any], folder: Path) -> PretrainConfig:
    return pretrain_config(NEEDED | values)


def by_yaml(values: dict[str, Any], folder: Path) -> PretrainConfig:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(NEEDED | values, sort_keys=False))
    return pretrain_config_from_flags(["--config", str(file)])


def by_flags(values: dict[str, Any], folder: Path) -> PretrainConfig:
    named = READER.flat(values)
    return pretrain_config_from_flags(
        [*FLAGS, *(f"--{name.replace('_', '-')}={value}" for name, value in named.items())]
    )


ways = pytest.mark.parametrize("way", [by_python, by_yaml, by_flags])


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({}, {}),
        ({"simclr": {"temperature": 0.2}}, {"simclr": SimCLR(temperature=0.2)}),
        (
            {"method": "moco", "epochs": 3, "moco": {"keys": 64, "momentum": 0.999}},
            {"method": "moco", "epochs": 3, "moco": MoCo(keys=64, momentum=0.999)},
        ),
        (
            {"barlow_twins": {"redundancy": 0.1}, "jigsaw": {"parts": 2, "orders": 24}, "resume": True},
            {"barlow_twins": BarlowTwins(redundancy=0.1), "jigsaw": Jigsaw(parts=2, orders=24), "resume": True},
        ),
    ],
)
def test_flags_yaml_and_python_mean_the_same(tmp_path: Path, values: dict[str, Any], made: dict[str, Any]):
    found = [way(values, tmp_path) for way in (by_python, by_yaml, by_flags)]
    assert found[0] == found[1] == found[2] == PretrainConfig(**NEEDED | made)


def test_settings_of_a_task_may_be_an_object_or_a_file_of_their_own(tmp_path: Path):
    assert pretrain_config(NEEDED | {"simclr": SimCLR(hidden=7)}).simclr.hidden == 7
    assert pretrain_config(NEEDED | {"simclr.hidden": 7}).simclr.hidden == 7
    (tmp_path / "views.yaml").write_text("temperature: 0.1\n")
    given = ["--simclr", str(tmp_path / "views.yaml"), "--simclr.hidden", "7"]
    assert pretrain_config_from_flags([*FLAGS, *given]).simclr == SimCLR(temperature=0.1, hidden=7)


def test_the_task_is_made_with_its_settings():
    config = pretrain_config(NEEDED | {"simclr": {"temperature": 0.2}, "moco": {"temperature": 0.3}})
    assert config.make_pretext() == SimCLR(temperature=0.2)
    assert replace(config, method="moco").make_pretext() == MoCo(temperature=0.3)


@ways
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"simclr": {"temperature": 0}}, r"simclr\.temperature is 0\.0, must be above 0 and finite\."),
        ({"simclr": {"temperature": "warm"}}, r"simclr\.temperature is 'warm', must be a number\."),
        ({"moco": {"keys": 2.5}}, r"moco\.keys is '?2\.5'?, must be a whole number\."),
        ({"jigsaw": {"parts": 1}}, r"jigsaw\.parts is 1, must be 2 or more\."),
        (
            {"simclr": {"temprature": 0.2}, "temperature": 1, "queue": 7},
            r"unknown settings: temperature \(did you mean simclr\.temperature\?\), queue( \(did .*\))?, "
            r"simclr\.temprature \(did you mean simclr\.temperature\?\).*",
        ),
        ({"rotation": {"turns": 3}}, r"(unknown settings: rotation(\.turns)?.*|rotation.*)"),
        (
            {"epochs": 0, "batch_size": 1, "method": "symclr", "byol": {"momentum": 2}},
            r"epochs is 0, must be 1 or more; --method 'symclr' is not known; did you mean simclr\? See acnorm pretrain "
            r"--list; batch_size is 1, must be 2 or more; byol\.momentum is 2\.0, must be between 0 and 1\.",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, way: Way, values: dict[str, Any], message: str):
    with pytest.raises(UserError) as refused:
        way(values, tmp_path)
    assert re.fullmatch(message, str(refused.value)), refused.value


def test_settings_are_given_by_name_and_needed_ones_are_told():
    with pytest.raises(UserError, match=r"^simclr is 3, must be settings by name, such as least_area: 0\.3\.$"):
        pretrain_config(NEEDED | {"simclr": 3})
    with pytest.raises(UserError, match=r"^missing: --model, --method; see acnorm pretrain --help\.$"):
        pretrain_config({"data": "eyes.npz", "out": "run"})


def test_the_command_makes_the_same_configuration():
    values = {"simclr": {"temperature": 0.2}, "barlow_twins": {"redundancy": 0.1}, "jigsaw": {"parts": 2}}
    config = pretrain_config(NEEDED | values)
    command = command_of(config)
    assert command.endswith("--method simclr --simclr.temperature 0.2 --jigsaw.parts 2 --barlow-twins.redundancy 0.1")
    assert pretrain_config_from_flags(command.split()[2:]) == config


def test_the_file_of_a_run_can_be_given_again(tmp_path: Path):
    config = pretrain_config(NEEDED | {"moco": {"keys": 5}, "image_size": 32})
    notes = dict.fromkeys(READER.notes, "something")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(notes | config.to_dict()))
    assert pretrain_config_from_flags(["--config", str(tmp_path / "config.yaml")]) == config


def test_the_help_and_the_printed_configuration_tell_every_setting(capsys: pytest.CaptureFixture[str]):
    for flag in ("--help", "--print-config"):
        with pytest.raises(SystemExit) as ended:
            pretrain_config_from_flags([*FLAGS, flag])
        assert ended.value.code == 0
    told, _, printed = capsys.readouterr().out.partition("\ndata: ")
    assert all(re.search(rf"--{re.escape(name.replace('_', '-'))} \S+\s+\S", told) for name in READER.types)
    assert yaml.safe_load("data: " + printed)["simclr"]["temperature"] == 0.5


def test_two_configurations_differ_in_the_settings_of_tasks():
    config = pretrain_config(NEEDED)
    assert config.difference(replace(config, simclr=SimCLR(temperature=0.2), workers=3)) == ["simclr"]
    assert {name for name in PRETEXT_SETTINGS if getattr(config, name) != PRETEXT_SETTINGS[name]()} == set()


def test_the_configuration_goes_to_the_trainer_as_it_is():
    config = PretrainConfig(data="eyes.npz", model="m", out="run", method="byol", epochs=7, momentum=0.5)
    of_trainer = config.of_trainer()
    assert (of_trainer.epochs, of_trainer.momentum, of_trainer.head_rate, of_trainer.augment) == (7, 0.5, 1.0, "none")
    assert config.difference(config) == []


def test_a_task_begins_with_how_its_data_are_taken():
    config = pretrain_config_from_flags([*FLAGS, "--task", "liver-tumor-segmentation", "--patch-size", "40"])
    assert (config.slices, config.spacing, config.patch_size, config.epochs) == (True, "median", 40, 100)
    assert pretrain_config_from_flags(command_of(config).split()[2:]) == config
    with pytest.raises(UserError, match=r"^--task 'liver' is not known; did you mean liver-tumor-segmentation\?$"):
        pretrain_config(NEEDED | {"task": "liver"})
