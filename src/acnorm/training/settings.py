"""A ``FinetuneConfig`` out of flags, a YAML file or keyword arguments; all unknown keys are told together."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.tuning.acnorm import ACNormTuning

_CONFIG = "--config="
_PARSER_FLAGS = ("config", "print_config", "help", "h")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
NOTES_OF_A_RUN = ("command", "version")  # what config.yaml of a run says besides the settings


def config_from_settings(settings: Mapping[str, Any]) -> FinetuneConfig:
    """Make a configuration of plain values, ``acnorm`` as a mapping.

    Raises:
        UserError: unknown or missing keys, all together, each with the nearest valid name; values of a wrong type.

    Examples:
        >>> config_from_settings({"data": "eyes.npz", "model": "cifar/resnet20", "out": "run", "epoch": 3})
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: unknown settings: epoch (did you mean epochs?).
    """
    settings = {name: _plain(value) for name, value in settings.items()}
    _refuse_unknown(_keys(settings), known_keys())
    if settings.get("acnorm", {}) is None:
        del settings["acnorm"]
    parser = _parser()
    try:
        namespace = parser.parse_object({name: _as_text(name, value) for name, value in settings.items()})
    except Exception as error:
        raise UserError(_refusal(error)) from None
    return _to_config(namespace)


def config_from_flags(argv: Sequence[str]) -> FinetuneConfig:
    """Make a configuration of command-line flags, with ``--config FILE.yaml`` for values from a file.

    ``--learning-rate`` and ``--learning_rate`` are the same; flags after ``--config`` win over the file, which may
    be the config.yaml of a run.
    ``--print_config`` prints the configuration and ends the program, as does ``--help``.

    Raises:
        UserError: as ``config_from_settings``, and a YAML file that cannot be read.

    Examples:
        >>> flags = ["--data", "eyes.npz", "--model", "cifar/resnet20", "--out", "run", "--learning-rate", "0.1"]
        >>> config_from_flags(flags).learning_rate
        0.1
    """
    arguments = _with_joined_config([_underscored(argument) for argument in argv])
    given = [argument.partition("=")[0].lstrip("-") for argument in arguments if argument.startswith("--")]
    known = known_keys()
    unknown = [name for name in given if name not in _PARSER_FLAGS]
    for at, argument in enumerate(arguments):
        if argument.startswith(_CONFIG):
            content = _yaml_settings(Path(argument.removeprefix(_CONFIG)))
            unknown += _keys(content)
            if content.get("acnorm", {}) is None:
                del content["acnorm"]
            content = {name: _as_text(name, value) for name, value in content.items()}
            arguments[at] = _CONFIG + yaml.safe_dump(content, sort_keys=False)
    _refuse_unknown(unknown, known)
    parser = _parser()
    try:
        namespace = parser.parse_args(_with_switch_values(arguments))
    except Exception as error:
        raise UserError(_refusal(error)) from None
    return _to_config(namespace)


def known_keys() -> list[str]:
    """Names of all settings, those of AC-Norm as "acnorm.temperature"."""
    own = [item.name for item in fields(FinetuneConfig) if item.name != "acnorm"]
    return own + [f"acnorm.{item.name}" for item in fields(ACNormTuning)]


class _Parser(ArgumentParser):  # type: ignore[misc]
    """Shows flags with dashes, as those of the other verbs."""

    def format_help(self) -> str:
        """The help text."""
        shown: str = super().format_help()
        return re.sub(r"--\w[\w.]*", lambda flag: flag.group().replace("_", "-"), shown)


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="acnorm finetune",
        description="Fine-tune a pretrained network on labelled images; the results are in the folder --out.",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of the settings below.")
    parser.add_class_arguments(FinetuneConfig)
    return parser


def _to_config(namespace: Namespace) -> FinetuneConfig:
    values = namespace.as_dict()
    values = {name: value for name, value in values.items() if name not in _PARSER_FLAGS}
    values["acnorm"] = ACNormTuning(**values.get("acnorm", {}))
    return FinetuneConfig(**values)


def _refuse_unknown(names: Iterable[str], known: Sequence[str]) -> None:
    groups = {"acnorm"}
    unknown = [name for name in dict.fromkeys(names) if name not in known and name not in groups]
    if unknown:
        raise UserError(f"unknown settings: {', '.join(_with_nearest(name, known) for name in unknown)}.")


def _with_nearest(name: str, known: Sequence[str]) -> str:
    begun = [key for key in known if key.startswith(name)]
    near = begun or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not near:
        near = [key for key in known if key.endswith(f".{name}")]
    return f"{name} (did you mean {near[0]}?)" if near else name


def _with_joined_config(arguments: Sequence[str]) -> list[str]:
    """Make ``--config FILE`` one argument."""
    result: list[str] = []
    for argument in arguments:
        if result and result[-1] == _CONFIG.rstrip("="):
            result[-1] = _CONFIG + argument
        else:
            result.append(argument)
    return result


def _yaml_settings(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"--config {file}: no such file.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {file}: is not YAML ({_one_line(error)}).") from None
    if not isinstance(content, dict):
        raise UserError(f"--config {file}: must hold settings as `name: value` lines.")
    return {str(name): value for name, value in content.items() if name not in NOTES_OF_A_RUN}


def _keys(settings: Mapping[str, Any]) -> list[str]:
    """Names of all settings given, those of AC-Norm as "acnorm.temperature"."""
    nested = settings.get("acnorm")
    if nested is not None and not isinstance(nested, Mapping):
        raise UserError(f"acnorm is {nested!r}, must be settings by name, such as temperature: 0.5.")
    return [name for name in settings if name != "acnorm"] + [f"acnorm.{name}" for name in nested or {}]


def _with_switch_values(arguments: Sequence[str]) -> list[str]:
    """Let ``--resume`` stand for ``--resume true``."""
    result = []
    for at, argument in enumerate(arguments):
        result.append(argument)
        followed = at + 1 < len(arguments) and arguments[at + 1].lower() in ("true", "false", "yes", "no")
        if argument in ("--resume", "--overwrite") and not followed:
            result.append("true")
    return result


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _as_text(name: str, value: Any) -> Any:
    """Paths may be given as such in Python, and the number of devices as a number."""
    return str(value) if isinstance(value, Path) or (name == "devices" and isinstance(value, int)) else value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return dict(value) if isinstance(value, Mapping) else value


def _refusal(error: BaseException) -> str:
    line = _one_line(error)
    missing = line.removeprefix("the following arguments are required: ")
    if missing != line:
        return f"missing: {', '.join(f'--{name}' for name in missing.split(', '))}; see acnorm finetune --help."
    wrong = re.search(r'Parser key "([\w.]+)".*(?:Got|Given) value: (.*)$', line)
    if wrong and wrong[1] in known_keys():
        return f"{wrong[1]} is {wrong[2]!r}, must be {_allowed(wrong[1])}."
    return line.removeprefix("argument ") if wrong is None else line


def _allowed(name: str) -> str:
    """What a setting may be, in words."""
    owner = ACNormTuning if name.startswith("acnorm.") else FinetuneConfig
    kind = typing.get_type_hints(owner)[name.removeprefix("acnorm.")]
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(repr(value) for value in typing.get_args(kind))
    return _KINDS[kind]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
