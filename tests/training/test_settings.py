"""Settings out of flags, YAML and Python mean the same; what is wrong with them is told together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.settings import NOTES_OF_A_RUN, config_from_flags, config_from_settings, known_keys
from acnorm.tuning.acnorm import ACNormTuning

NEEDED = {"data": "eyes.npz", "model": "cifar/resnet20", "out": "run"}
FLAGS = ["--data", "eyes.npz", "--model", "cifar/resnet20", "--out", "run"]
Way = Callable[..., FinetuneConfig]


def by_python(values: dict[str, Any], folder: Path) -> FinetuneConfig:
    return config_from_settings(NEEDED | values)


def by_yaml(values: dict[str, Any], folder: Path) -> FinetuneConfig:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(NEEDED | values, sort_keys=False))
    return config_from_flags(["--config", str(file)])


def by_flags(values: dict[str, Any], folder: Path) -> FinetuneConfig:
    nested = {f"acnorm.{name}": value for name, value in (values.get("acnorm") or {}).items()}
    flat = {name: value for name, value in values.items() if name != "acnorm"} | nested
    return config_from_flags([*FLAGS, *(f"--{name}={value}" for name, value in flat.items())])


ways = pytest.mark.parametrize("way", [by_python, by_yaml, by_flags])
GOOD = [
    {},
    {"epochs": 3, "learning_rate": 0.5, "patience": 2, "weights": "a.pth", "devices": 2, "augment": "none"},
    {"acnorm": {"temperature": 0.5, "init": "identity", "include": "layer4*"}, "resume": True},
    {"overwrite": True, "momentum": 0.5, "format": "folder", "image_size": 64, "minimum_share": 0},
]


@pytest.mark.parametrize("values", GOOD)
def test_flags_yaml_and_python_mean_the_same(tmp_path: Path, values: dict[str, Any]):
    made = [way(values, tmp_path) for way in (by_python, by_yaml, by_flags)]
    assert made[0] == made[1] == made[2]
    tuning = ACNormTuning(**values.get("acnorm", {}))
    assert made[0] == FinetuneConfig(
        **NEEDED | values | {"acnorm": tuning} | {"devices": str(values.get("devices", "auto"))}
    )


@ways
def test_unknown_settings_are_told_together_each_with_the_nearest(tmp_path: Path, way: Way):
    values = {"epoch": 3, "lernig_rate": 1, "temperature": 2, "zzzz": 1, "acnorm": {"temprature": 2, "epsilon": 1}}
    with pytest.raises(UserError) as refused:
        way(values, tmp_path)
    assert str(refused.value) == (
        "unknown settings: epoch (did you mean epochs?), lernig_rate (did you mean learning_rate?), "
        "temperature (did you mean acnorm.temperature?), zzzz, acnorm.temprature (did you mean acnorm.temperature?), "
        "acnorm.epsilon (did you mean acnorm.eps?); see acnorm finetune --help."
    )


def test_unknown_settings_of_flags_and_file_are_told_together(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("epoch: 3\nacnorm: {temp: 1}\n")
    with pytest.raises(
        UserError, match=r"unknown settings: seeds \(did you mean seed\?\), epoch .*, acnorm\.temp \(did"
    ):
        config_from_flags([*FLAGS, "--seeds", "1", f"--config={file}"])


@ways
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "three"}, r"^epochs is 'three', must be a whole number\.$"),
        ({"epochs": 2.5}, r"^epochs is '?2\.5'?, must be a whole number\.$"),
        ({"epochs": ""}, r"^epochs is '', must be a whole number\.$"),
        ({"learning_rate": "fast"}, r"^learning_rate is 'fast', must be a number\.$"),
        ({"learning_rate": ".inf"}, r"^learning_rate is inf, must be above 0 and finite\.$"),
        *(({"learning_rate": text}, r"^learning_rate is inf, must be above 0 and finite\.$") for text in ("inf", "Infinity", "+inf")),
        ({"learning_rate": "-inf"}, r"^learning_rate is -inf, must be above 0 and finite\.$"),
        ({"learning_rate": "NaN"}, r"^learning_rate is nan, must be above 0 and finite\.$"),
        ({"acnorm": {"temperature": "inf"}}, r"^acnorm\.temperature is inf, must be above 0 and finite\.$"),
        ({"resume": 7}, r"^resume is '?7'?, must be true or false\.$"),
        ({"epochs": "x", "learning_rate": "y", "seed": 1, "resume": "maybe", "acnorm": {"eps": "z"}}, r"^epochs is 'x', must be a whole number; learning_rate is 'y', must be a number; resume is 'maybe', must be true or false; acnorm\.eps is 'z', must be a number\.$"),
        ({"patience": "long"}, r"^patience is 'long', must be a whole number\.$"),
        ({"acnorm": {"temperature": "warm"}}, r"^acnorm\.temperature is 'warm', must be a number\.$"),
        ({"acnorm": {"init": "zero"}}, r"^acnorm\.init is 'zero', must be 'paper' or 'identity'\.$"),
        ({"precision": "12"}, r"^precision is '12', must be one of auto, 32-true, 16-mixed, bf16-mixed, .*\.$"),
        ({"epochs": 0, "seed": -1}, r"^epochs is 0, must be 1 or more; seed is -1, must be 0 or more\.$"),
        ({"acnorm": {"eps": 0}}, r"^acnorm\.eps is 0\.0, must be above 0 and finite\.$"),
    ],
)  # fmt: skip
def test_wrong_types_and_values_are_told_in_one_line(tmp_path: Path, way: Way, values: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as refused:
        way(values, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "what"),
    [("data", "a path"), ("out", "a path"), ("model", "a name"), ("weights", "a path"), ("splits", "a path")],
)
def test_empty_text_is_refused(name: str, what: str):
    with pytest.raises(UserError, match=rf"^{name} is '', must be {what}\.$"):
        config_from_settings(NEEDED | {name: ""})


@ways
def test_settings_of_acnorm_that_are_empty_are_the_usual_ones(tmp_path: Path, way: Way):
    assert way({"acnorm": None}, tmp_path) == FinetuneConfig(**NEEDED)


@pytest.mark.parametrize("way", [by_python, by_yaml])
@pytest.mark.parametrize("value", [3, "warm", [1]])
def test_settings_of_acnorm_are_given_by_name(tmp_path: Path, way: Way, value: object):
    told = f"acnorm is {value!r}, must be settings by name, such as temperature: 1.0."
    with pytest.raises(UserError, match=re.escape(told)):
        way({"acnorm": value}, tmp_path)


def test_settings_of_acnorm_may_be_given_as_an_object_or_by_dotted_name():
    tuning = ACNormTuning(temperature=0.5)
    assert config_from_settings(NEEDED | {"acnorm": tuning}).acnorm == tuning
    assert config_from_settings(NEEDED | {"acnorm.temperature": 0.5}).acnorm == tuning


@ways
def test_devices_and_precision_may_be_given_as_numbers_and_numbers_as_text(tmp_path: Path, way: Way):
    made = way({"devices": 1, "precision": 32, "learning_rate": "1e-3"}, tmp_path)
    assert (made.devices, made.precision, made.learning_rate) == ("1", "32", 0.001)


def test_paths_may_be_given_as_such():
    made = config_from_settings({"data": Path("eyes.npz"), "model": "m", "out": Path("a/b"), "weights": Path("w.pth")})
    assert (made.data, made.out, made.weights) == ("eyes.npz", "a/b", "w.pth")


@pytest.mark.parametrize("absent", [["data"], ["model", "out"], ["data", "model", "out"]])
def test_what_is_missing_is_told_together(absent: list[str]):
    told = rf"^missing: {', '.join(f'--{name}' for name in absent)}; see acnorm finetune --help\.$"
    left = {name: value for name, value in NEEDED.items() if name not in absent}
    with pytest.raises(UserError, match=told):
        config_from_settings(left)
    with pytest.raises(UserError, match=told):
        config_from_settings(left | dict.fromkeys(absent))
    with pytest.raises(UserError, match=told):
        config_from_flags([part for name, value in left.items() for part in (f"--{name}", value)])


def test_flags_after_the_file_win_over_it_and_the_file_over_flags_before(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("epochs: 7\nseed: 3\nacnorm:\n  temperature: 0.5\n  exclude: bn1\n")
    after = config_from_flags([*FLAGS, "--config", str(file), "--epochs", "9", "--acnorm.temperature", "2"])
    assert (after.epochs, after.seed, after.acnorm) == (9, 3, ACNormTuning(temperature=2, exclude="bn1"))
    assert config_from_flags([*FLAGS, "--epochs", "9", f"--config={file}"]).epochs == 7


def test_dashes_and_underscores_are_the_same_but_not_in_values():
    one = config_from_flags([*FLAGS, "--minimum-share=0.5", "--weights", "a-b_c"])
    other = config_from_flags([*FLAGS, "--minimum_share", "0.5", "--weights=a-b_c"])
    assert one == other
    assert one.weights == "a-b_c"


@pytest.mark.parametrize("flag", ["resume", "overwrite"])
def test_a_switch_stands_for_true_and_takes_a_value(flag: str):
    for given, expected in (([], True), (["true"], True), (["yes"], True), (["false"], False), (["no"], False)):
        assert getattr(config_from_flags([*FLAGS, f"--{flag}", *given]), flag) is expected
    assert getattr(config_from_flags([f"--{flag}", *FLAGS]), flag) is True
    assert getattr(config_from_flags([*FLAGS, f"--{flag}=false"]), flag) is False


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"settings\.yaml: no such file\.$"),
        (b"epochs: [", r"settings\.yaml: is not YAML \(.*line 1.*\)\.$"),
        (b"\xff\xfe\x00", r"settings\.yaml: is not YAML \(.*codec.*\)\.$"),
        (b"- epochs", r"settings\.yaml: must hold settings as `name: value` lines\.$"),
        (b"", r"settings\.yaml: must hold settings as `name: value` lines\.$"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: bytes | None, message: str):
    file = tmp_path / "settings.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=rf"^--config .*{message}"):
        config_from_flags([*FLAGS, "--config", str(file)])


def test_the_notes_of_a_run_in_its_file_are_no_settings(tmp_path: Path):
    notes = dict.fromkeys(NOTES_OF_A_RUN, "something")
    assert by_yaml({"epochs": 3, **notes}, tmp_path) == by_yaml({"epochs": 3}, tmp_path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["stray"], "unexpected: stray"),
        (["--resume", "maybe"], "unexpected: maybe"),
        (["--", "z"], "unexpected: -- z"),
        (["-x"], "unknown settings: -x"),
        (["--print-config=all"], 'Invalid option "all" for --print-config'),
        (["--epochs"], "--epochs: expected one argument"),
        (["--learning-rate", "--seed", "1"], "--learning-rate: expected one argument"),
        (["--config"], "--config: expected one argument"),
        (["--acnorm"], "--acnorm: expected one argument"),
    ],
)
def test_what_is_wrong_with_flags_is_told_with_where_to_look(flags: list[str], message: str):
    with pytest.raises(UserError, match=rf"^{re.escape(message)}; see acnorm finetune --help\.$"):
        config_from_flags([*FLAGS, *flags])


def test_unknown_flags_are_told_also_where_others_are_missing():
    with pytest.raises(UserError, match=r"^unknown settings: epoch \(did you mean epochs\?\)\.$"):
        config_from_flags(["--epoch", "3"])


def test_a_wrong_value_of_the_file_is_told_although_a_flag_comes_after(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("epochs: many\n")
    with pytest.raises(UserError, match=r"^epochs is 'many', must be a whole number\.$"):
        config_from_flags([*FLAGS, "--config", str(file), "--epochs", "3"])


@pytest.mark.parametrize("way", [by_python, by_yaml])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": None, "devices": None}, "epochs is None, must be a whole number; devices is None, must be text."),
        ({"acnorm": {"include": None}}, "acnorm.include is None, must be text."),
        ({"data": 3, "weights": ["a"]}, "data is 3, must be text; weights is ['a'], must be text."),
    ],
)
def test_a_setting_is_not_emptied_and_text_is_text(tmp_path: Path, way: Way, values: dict[str, Any], message: str):
    with pytest.raises(UserError, match=rf"^{re.escape(message)}$"):
        way(values, tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{temperature: x}", "acnorm.temperature is 'x', must be a number."),
        ("{tempe: 1}", "unknown settings: acnorm.tempe (did you mean acnorm.temperature?)."),
        ("nowhere.yaml", "--acnorm nowhere.yaml: no such file."),
        ("warm", "acnorm is 'warm', must be settings by name, such as temperature: 1.0."),
        ("{temperature: ", "acnorm is '{temperature: ', must be settings by name, such as temperature: 1.0."),
    ],
)
def test_settings_of_acnorm_in_one_flag_are_refused_as_others(value: str, message: str):
    with pytest.raises(UserError, match=rf"^{re.escape(message)}$"):
        config_from_flags([*FLAGS, "--acnorm", value])


def test_settings_of_acnorm_may_be_given_in_one_flag_or_a_file_of_their_own(tmp_path: Path):
    file = tmp_path / "acnorm.yaml"
    file.write_text("temperature: 0.5\n")
    assert config_from_flags([*FLAGS, "--acnorm", str(file)]).acnorm == ACNormTuning(temperature=0.5)
    made = config_from_flags([*FLAGS, "--acnorm", "{temperature: 0.5, init: identity}", "--acnorm.init", "paper"])
    assert made.acnorm == ACNormTuning(temperature=0.5)


@pytest.mark.parametrize("flag", ["--print_config", "--print-config"])
def test_the_printed_configuration_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str):
    flags = [*FLAGS, "--epochs", "3", "--acnorm.temperature", "0.5", "--devices", "2", "--weights", "a.pth", "--resume"]
    with pytest.raises(SystemExit) as ended:
        config_from_flags([*flags, flag])
    assert ended.value.code == 0
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    assert config_from_flags(["--config", str(file)]) == config_from_flags(flags)
    assert yaml.safe_load(file.read_text()).keys() == config_from_flags(flags).to_dict().keys()


def test_the_help_tells_every_setting(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        config_from_flags(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"--{re.escape(name.replace('_', '-'))} \S+\s+\S", told) for name in known_keys())
