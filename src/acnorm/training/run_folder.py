"""The folder of a run: what is where, and files that appear whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from acnorm.data.atomic import replacing
from acnorm.errors import UserError


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and how its files are written.

    Examples:
        >>> import tempfile
        >>> run = RunFolder(Path(tempfile.mkdtemp()) / "run")
        >>> run.write_json("metrics.json", {"epochs": 3})
        >>> run.read_json("metrics.json")
        {'epochs': 3}
    """

    path: Path

    @property
    def config(self) -> Path:
        """Every setting, and the command that reruns it."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """What happened, with times."""
        return self.path / "log.txt"

    @property
    def history(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of last.ckpt and best.ckpt."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """Lightning checkpoint of the last finished epoch."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """Lightning checkpoint of the best epoch on validation."""
        return self.checkpoints / "best.ckpt"

    @property
    def splits(self) -> Path:
        """The split of each case."""
        return self.path / "splits.json"

    @property
    def model(self) -> Path:
        """Folder of the folded plain network."""
        return self.path / "model"

    @property
    def metrics(self) -> Path:
        """Final metrics with intervals; there once a run is finished."""
        return self.path / "metrics.json"

    @property
    def finished(self) -> bool:
        """Whether the run has its final metrics."""
        return self.metrics.is_file()

    def check_free(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that holds something, unless it is a run to resume or to overwrite.

        Raises:
            UserError: a file of that name, a folder that is not empty, or one that is no run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--out {self.path}: is a file; give a folder.")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            if resume:
                raise UserError(f"--out {self.path}: holds no run to resume; leave --resume out to start one.")
            return
        if (resume or overwrite) and not self.config.is_file():
            raise UserError(f"--out {self.path}: holds files but no run (no config.yaml); give another folder.")
        if not resume and not overwrite:
            raise UserError(
                f"--out {self.path}: is not empty; --resume goes on with the run in it, --overwrite deletes it first."
            )

    def clear(self) -> None:
        """Delete what is in the folder."""
        if self.path.is_dir():
            shutil.rmtree(self.path)

    def make(self) -> None:
        """Make the folder.

        Raises:
            UserError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {self.path}: cannot be made ({error.strerror}); give another folder.") from None

    def write_text(self, name: str, text: str) -> None:
        """Write one file atomically."""
        with replacing(self.path / name) as draft:
            draft.write_text(text, encoding="utf-8")

    def write_json(self, name: str, content: Mapping[str, Any] | list[Any]) -> None:
        """Write one JSON file atomically; NaN is not JSON and is refused by ``json``."""
        self.write_text(name, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def write_yaml(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one YAML file atomically, keys in their order."""
        self.write_text(name, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))

    def read_json(self, name: str) -> Any:
        """Read one JSON file of the run.

        Raises:
            UserError: not there or not JSON.
        """
        file = self.path / name
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: is not a finished run (no {name}); give the --out of acnorm finetune."
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise UserError(f"{file}: is damaged (not JSON); run acnorm finetune again.") from None

    def read_config(self) -> dict[str, Any]:
        """Read config.yaml.

        Raises:
            UserError: not there or not YAML.
        """
        try:
            content = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path}: is not a run (no config.yaml); give the --out of acnorm finetune.") from None
        except (yaml.YAMLError, UnicodeDecodeError):
            content = None
        if not isinstance(content, dict):
            raise UserError(f"{self.config}: is damaged; start the run again with --overwrite.")
        return content
