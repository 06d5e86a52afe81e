"""How a run begins, of either kind: a folder that may be written to, and what must be as before where it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lightning.pytorch.utilities import rank_zero_only

from acnorm._version import __version__
from acnorm.checkpoints.load import LoadReport
from acnorm.data.atomic import check_writable
from acnorm.data.fingerprint import fingerprint
from acnorm.data.split_file import write_assignment
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.run_folder import RunFolder

Config = TypeVar("Config", bound="_Comparable")


class _Comparable(Protocol):
    def difference(self: Config, other: Config) -> list[str]: ...


def is_first_process() -> bool:
    """Whether this process is the one that writes.

    Examples:
        >>> is_first_process()
        True
    """
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def check_folder(config: FinetuneConfig, run: RunFolder, inputs: Mapping[str, str | None]) -> None:
    """Refuse a folder that is not free, and files that could not be written or that --overwrite would delete.

    Args:
        config: of the run.
        run: its folder.
        inputs: what the run reads, by the names of its flags.

    Raises:
        UserError: in one line.

    Examples:
        >>> check_folder.__name__
        'check_folder'
    """
    run.check_free(resume=config.resume, overwrite=config.overwrite)
    for name, given in inputs.items() if config.overwrite else ():
        if given is not None and Path(given).exists() and Path(given).resolve().is_relative_to(run.path.resolve()):
            raise UserError(
                f"--{name} {given}: lies in --out {config.out}, which --overwrite deletes; "
                "move it or give another folder."
            )
    if config.splits is not None and not Path(config.splits).exists():
        check_writable(Path(config.splits))


def start_folder(
    config: FinetuneConfig,
    run: RunFolder,
    notes: Mapping[str, str],
    settings: Mapping[str, Any],
    data: Any,
    report: LoadReport | None,
) -> None:
    """Make the folder with config.yaml, the splits and what loaded.

    Args:
        config: of the run.
        run: its folder.
        notes: what config.yaml says before the settings, beside the version.
        settings: all settings of the run.
        data: whose splits are written.
        report: of the checkpoint.

    Examples:
        >>> start_folder.__name__
        'start_folder'
    """
    if config.overwrite:
        run.clear()
    run.make()
    run.write_yaml("config.yaml", {**notes, "version": __version__, **settings, "resume": False, "overwrite": False})
    for file in (run.splits, None if config.splits is None else Path(config.splits)):
        if file is not None and not file.exists():
            write_assignment(file, data.splits.assignment(), data.splits.origin)
    if report is not None:
        run.write_json("load_report.json", report.to_dict())


def refuse_other_settings(run: RunFolder, now: Config, before: Config) -> None:
    """Refuse to resume a run with settings that would give another result.

    Raises:
        UserError: naming them.

    Examples:
        >>> config = FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run")
        >>> refuse_other_settings(RunFolder(Path("run")), config, config)
    """
    changed = [name for name in now.difference(before) if name != "out"]
    if changed:
        pairs = [pair for name in changed for pair in _changed(name, getattr(before, name), getattr(now, name))]
        told = ", ".join(f"{name} was {old!r}, is {new!r}" for name, old, new in pairs)
        raise UserError(f"--resume {run.path}: the run was started with other settings ({told}); use the same.")


def _changed(name: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """The name and both values of a setting, of those of a method or task each that differs by its dotted name."""
    if not is_dataclass(before):
        return [(name, before, now)]
    parts = [(f"{name}.{item.name}", getattr(before, item.name), getattr(now, item.name)) for item in fields(before)]
    return [part for part in parts if part[1] != part[2]]


def refuse_other_content(config: FinetuneConfig, run: RunFolder, data: Any, report: LoadReport | None) -> None:
    """Refuse to resume a run whose data or weights have changed under the same name.

    Raises:
        UserError: naming them.

    Examples:
        >>> refuse_other_content.__name__
        'refuse_other_content'
    """
    other = "put back what it was started with, or start again with --overwrite."
    now = fingerprint_of(data)
    if (run.path / "data.json").is_file() and run.read_json("data.json").get("fingerprint", now) != now:
        raise UserError(f"--resume {run.path}: --data {config.data} has changed since the run was started; {other}")
    if report is None or not (run.path / "load_report.json").is_file():
        return
    if run.read_json("load_report.json").get("sha256") != report.sha256:
        raise UserError(f"--resume {run.path}: --weights {config.weights} is another file than at the start; {other}")


def resume_file(config: FinetuneConfig, run: RunFolder) -> Path | None:
    """The checkpoint from which a run goes on; None where it starts.

    Examples:
        >>> resume_file(FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run"), RunFolder(Path("run")))
    """
    return run.last if config.resume and run.last.is_file() else None


def fingerprint_of(data: Any) -> str:
    """Return the fingerprint of the cases of all splits.

    Examples:
        >>> fingerprint_of.__name__
        'fingerprint_of'
    """
    return fingerprint(case for part in data.by_split.values() for case in part.cases)


def flag_of(name: str, value: str) -> list[str]:
    """Return a setting as on the command line, in one piece where its value could be taken for a flag.

    Examples:
        >>> flag_of("batch_size", "8"), flag_of("window", "-100,400")
        (['--batch-size', '8'], ['--window=-100,400'])
    """
    flag = f"--{name.replace('_', '-')}"
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]
