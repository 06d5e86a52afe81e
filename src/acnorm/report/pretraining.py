"""The report of a pretraining run: what was done, curves, and what the task sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from acnorm.errors import UserError
from acnorm.report import figures
from acnorm.report.drawing import with_prefix
from acnorm.report.page import page
from acnorm.report.thumbnail import thumbnail

KIND = "pretraining"
_NAMES = {
    "val_knn_accuracy": "accuracy of the five nearest neighbours",
    "val_feature_spread": "spread of features",
    "train_loss": "training loss",
}


def is_pretraining(folder: Path) -> bool:
    """Whether a folder is that of a pretraining run.

    Examples:
        >>> is_pretraining(Path("nowhere"))
        False
    """
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(config, dict) and config.get("kind") == KIND


def render(folder: Path) -> str:
    """Return the page as text.

    Raises:
        UserError: a file of the run is spoilt.

    Examples:
        >>> render.__name__
        'render'
    """
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    data, metrics = (_json(folder, name) for name in ("data.json", "metrics.json"))
    samples = _json(folder, "samples.json") or []
    history = pd.read_csv(folder / "metrics.csv") if (folder / "metrics.csv").is_file() else None
    curves = None if history is None else with_prefix(figures.learning_curves(_from_one(history), None), "curves")
    last = {} if metrics is None else metrics["last_epoch"]
    return page(
        "pretraining.html",
        name=folder.resolve().name,
        config=_of_its_task(config),
        data=data,
        metrics=metrics,
        figures=[(_NAMES.get(key, key), value) for key, value in last.items()],
        curves=None if curves is None else Markup(curves),
        samples=[{**entry, "uri": thumbnail(folder, entry["image"], largest=1200)[0]} for entry in samples],
    )


def _json(folder: Path, name: str) -> Any:
    file = folder / name
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"'{file}' is not JSON; run acnorm pretrain again.") from None


def _of_its_task(config: dict[str, Any]) -> dict[str, Any]:
    """The settings without those of other tasks."""
    own = str(config.get("method")).replace("-", "_")
    return {name: value for name, value in config.items() if name == own or not isinstance(value, dict)}


def _from_one(history: pd.DataFrame) -> pd.DataFrame:
    """Epochs counted from 1, as in the reports of fine-tuning."""
    return history.assign(epoch=history["epoch"] + 1)
