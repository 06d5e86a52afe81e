"""A configuration out of flags, a YAML file or keyword arguments; all unknown keys are told together."""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import yaml
from jsonargparse import ArgumentParser, Namespace

from acnorm.data.tasks import find_task
from acnorm.errors import UserError
from acnorm.training.config import METHOD_SETTINGS, FinetuneConfig
from acnorm.training.flags import hyphened, joined
from acnorm.training.optimizer import BEGUN_WITH

Config = TypeVar("Config")
_PARSER_FLAGS = ("config", "print_config", "help", "h")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
NOTES_OF_A_RUN = ("command", "version")  # what config.yaml of a run says besides the settings


class _Parser(ArgumentParser):  # type: ignore[misc]
    """Shows flags with dashes, as those of the other verbs."""

    def format_help(self) -> str:
        """The help text."""
        return hyphened(super().format_help())


def _begun(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with which the optimiser and the named task begin."""
    task = given.get("task")
    of_task = find_task(task).settings if isinstance(task, str) else {}
    return {**BEGUN_WITH.get(str(given.get("optimizer")), {}), **of_task}


@dataclass(frozen=True, eq=False)
class SettingsReader(Generic[Config]):
    """Makes the configuration of one verb.

    Args:
        verb: as in ``acnorm VERB``.
        description: what ``--help`` says of it.
        kind: the dataclass of the configuration.
        methods: types of the fields that hold the settings of a method, by name.
        begun: with which settings those that are given begin: a task's, say.
        notes: what config.yaml of a run says besides the settings.

    Examples:
        >>> reader = SettingsReader("finetune", "Fine-tune.", FinetuneConfig, METHOD_SETTINGS)
        >>> reader.from_settings({"data": "eyes.npz", "model": "cifar/resnet20", "out": "run"}).epochs
        20
    """

    verb: str
    description: str
    kind: type[Config]
    methods: Mapping[str, type]
    begun: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda _: {}
    notes: tuple[str, ...] = NOTES_OF_A_RUN

    def from_settings(self, settings: Mapping[str, Any]) -> Config:
        """Make a configuration of plain values, the settings of a method as a mapping.

        Raises:
            UserError: unknown or missing keys, all together, each with the nearest valid name; values of a wrong type,
                all together.
        """
        given = self.flat(settings)
        self._refuse_unknown(given)
        given = {**self.begun(given), **given}
        return self._config(lambda: self._parser.parse_object(given), given.items())

    def from_flags(self, argv: Sequence[str]) -> Config:
        """Make a configuration of command-line flags, with ``--config FILE.yaml`` for values from a file.

        ``--learning-rate`` and ``--learning_rate`` are the same; flags after ``--config`` win over the file, which may
        be the config.yaml of a run.
        ``--print-config`` prints the configuration and ends the program, as does ``--help``.

        Raises:
            UserError: as ``from_settings``, and a YAML file that cannot be read.
        """
        arguments: list[str] = []
        names: list[str] = []
        given: list[tuple[str, Any]] = []
        switches = [name for name, kind in self.types.items() if kind is bool]
        for argument in _trackers_together(joined(argv, switches)):
            flag, equals, value = argument.partition("=")
            name = flag.removeprefix("--")
            if equals and name in ("config", *self.methods):
                settings = self._of_file(Path(value)) if name == "config" else {name: self._of_method(name, value)}
                content = self.flat(settings)
                names += content
                given += content.items()
                arguments.append(f"--config={yaml.safe_dump(content, sort_keys=False)}")
                continue
            if re.match("--?[A-Za-z]", flag) and flag.lstrip("-") not in _PARSER_FLAGS:
                names.append(name)
            if equals and name in self.types:
                value = self._readable(name, value)
                given.append((name, value))
            arguments.append(flag + equals + value)
        self._refuse_unknown(names)
        begun = self.begun(dict(given))
        if begun:
            arguments.insert(0, f"--config={yaml.safe_dump(begun, sort_keys=False)}")
        return self._config(lambda: self._parser.parse_args(arguments), given)

    def flat(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings as the parser reads them, those of a method by names such as "acnorm.temperature".

        Raises:
            UserError: the settings of a method are not given by name.
        """
        values = {name: value for name, value in settings.items() if name not in self.methods}
        for method, kind in self.methods.items():
            nested = settings.get(method)
            if is_dataclass(nested) and not isinstance(nested, type):
                nested = asdict(nested)
            if nested is not None and not isinstance(nested, Mapping):
                example = next(f"{item.name}: {item.default}" for item in fields(cast(Any, kind)))
                raise UserError(f"{method} is {nested!r}, must be settings by name, such as {example}.")
            values |= {f"{method}.{name}": value for name, value in (nested or {}).items()}
        return {name: self._readable(name, value) for name, value in values.items()}

    @functools.cached_property
    def types(self) -> dict[str, Any]:
        """The type of each setting, by names such as "acnorm.temperature" for those of a method."""
        own = {name: kind for name, kind in typing.get_type_hints(self.kind).items() if name not in self.methods}
        for method, kind in self.methods.items():
            hints = typing.get_type_hints(kind)
            own |= {f"{method}.{item.name}": hints[item.name] for item in fields(cast(Any, kind))}
        return own

    @functools.cached_property  # made in half a second, and asked for once a run of a grid
    def _parser(self) -> ArgumentParser:
        parser = _Parser(prog=f"acnorm {self.verb}", description=self.description, exit_on_error=False)
        parser.add_argument("--config", action="config", help="YAML file with any of the settings below.")
        parser.add_class_arguments(self.kind)
        return parser

    def _config(self, parse: Callable[[], Namespace], given: Iterable[tuple[str, Any]]) -> Config:
        """Parse; where that fails, tell all the values given that are of a wrong type."""
        try:
            namespace = parse()
        except Exception as error:
            wrong = [self._wrong(name, value) for name, value in given if not self._fits(name, value)]
            raise UserError("; ".join(dict.fromkeys(wrong)) + "." if wrong else self._in_words(error)) from None
        empty = [name for name, kind in self.types.items() if namespace.get(name) is None and not _is_optional(kind)]
        if empty:
            raise UserError("; ".join(self._wrong(name, None) for name in empty) + ".")
        values = {name: value for name, value in namespace.as_dict().items() if name not in _PARSER_FLAGS}
        return self.kind(**values | {name: kind(**values[name]) for name, kind in self.methods.items()})

    def _fits(self, name: str, value: Any) -> bool:
        needed = {item.name: "given" for item in fields(cast(Any, self.kind)) if _is_required(item)}
        try:
            self._parser.parse_object(needed | ({} if value is None else {name: value}))
        except Exception:
            return False
        return True

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        known = list(self.types)
        unknown = [name for name in dict.fromkeys(names) if name not in known and name not in self.methods]
        if unknown:
            told = [_with_nearest(name, known) for name in unknown]
            more = f"; see acnorm {self.verb} --help." if set(told) & set(unknown) else "."
            raise UserError(f"unknown settings: {', '.join(told)}{more}")

    def _of_file(self, file: Path, flag: str = "--config") -> dict[str, Any]:
        if not file.is_file():
            raise UserError(f"{flag} {file}: no such file.")
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{flag} {file}: is not YAML ({_one_line(error)}).") from None
        except OSError as error:
            raise UserError(f"{flag} {file}: cannot be read ({error.strerror}).") from None
        if not isinstance(content, dict):
            raise UserError(f"{flag} {file}: must hold settings as `name: value` lines.")
        return {str(name): value for name, value in content.items() if name not in self.notes}

    def _of_method(self, method: str, text: str) -> Any:
        """A YAML file, or YAML itself."""
        if Path(text).suffix in (".yaml", ".yml"):
            return self._of_file(Path(text), hyphened(f"--{method}"))
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text

    def _readable(self, name: str, value: Any) -> Any:
        """Let paths be given as such, devices and precision as numbers, and infinity by any of its names."""
        if isinstance(value, Path) or (name in ("devices", "precision") and type(value) is int):
            return str(value)
        if isinstance(value, str) and self.types.get(name) is float:
            endless = re.fullmatch("([+-]?)(inf|nan)(inity)?", value, re.IGNORECASE)
            if endless:
                return ".nan" if endless[2].lower() == "nan" else f"{endless[1]}.inf"
        return value

    def _in_words(self, error: BaseException) -> str:
        """What the parser says, in one line with what to do next."""
        line = _one_line(error)
        missing = line.removeprefix("the following arguments are required: ")
        if missing != line:
            line = f"missing: {', '.join(f'--{name}' for name in missing.split(', '))}"
        stray = line.removeprefix("unrecognized arguments: ")
        if stray != line:
            line = f"unexpected: {stray}"
        return f"{hyphened(line.removeprefix('argument ')).rstrip('.')}; see acnorm {self.verb} --help."

    def _wrong(self, name: str, value: Any) -> str:
        kind = self.types[name]
        if _is_optional(kind):
            (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
        literal = typing.get_origin(kind) is typing.Literal
        allowed = " or ".join(map(repr, typing.get_args(kind))) if literal else _KINDS[kind]
        return f"{name} is {value!r}, must be {allowed}"


_FINETUNE = SettingsReader(
    "finetune",
    "Fine-tune a pretrained network on labelled images; the results are in the folder --out.",
    FinetuneConfig,
    METHOD_SETTINGS,
    _begun,
)


def config_from_settings(settings: Mapping[str, Any]) -> FinetuneConfig:
    """Make a configuration of fine-tuning, as ``SettingsReader.from_settings``.

    Raises:
        UserError: unknown, missing and wrong settings.

    Examples:
        >>> config_from_settings({"data": "eyes.npz", "model": "cifar/resnet20", "out": "run", "epoch": 3})
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: unknown settings: epoch (did you mean epochs?).
        >>> config_from_settings({"data": "eyes.npz", "epochs": "many", "learning_rate": "high"})
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: epochs is 'many', must be a whole number; learning_rate is 'high', must be a number.
    """
    return _FINETUNE.from_settings(settings)


def config_from_flags(argv: Sequence[str]) -> FinetuneConfig:
    """Make a configuration of fine-tuning of command-line flags, as ``SettingsReader.from_flags``.

    Raises:
        UserError: unknown, missing and wrong settings, and a YAML file that cannot be read.

    Examples:
        >>> flags = ["--data", "eyes.npz", "--model", "cifar/resnet20", "--out", "run", "--learning-rate", "0.1"]
        >>> config_from_flags(flags).learning_rate
        0.1
    """
    return _FINETUNE.from_flags(argv)


def known_keys() -> list[str]:
    """Names of all settings of fine-tuning, those of a method as "acnorm.temperature"."""
    return list(_FINETUNE.types)


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of fine-tuning with those of a method by dotted names, as ``SettingsReader.flat``.

    Raises:
        UserError: the settings of a method are not given by name.

    Examples:
        >>> flat({"epochs": 3, "acnorm": {"temperature": 0.5}})
        {'epochs': 3, 'acnorm.temperature': 0.5}
    """
    return _FINETUNE.flat(settings)


def _trackers_together(arguments: Sequence[str]) -> list[str]:
    """``--tracker`` may be given several times."""
    names = [argument.removeprefix("--tracker=") for argument in arguments if argument.startswith("--tracker=")]
    others = [argument for argument in arguments if not argument.startswith("--tracker=")]
    return [*others, *([f"--tracker={','.join(names)}"] if names else [])]


def _with_nearest(name: str, known: Sequence[str]) -> str:
    begun = [key for key in known if key.startswith(name) or key.endswith(f".{name}")]
    near = begun or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"{name} (did you mean {near[0]}?)" if near else name


def _is_optional(kind: Any) -> bool:
    return types.NoneType in typing.get_args(kind)


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
