"""Which finished cells still are of a grid, where a part of it is run: what has changed since is not compared."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from acnorm.bench.cells import Cell, deciding
from acnorm.bench.folds import Division
from acnorm.bench.grid import Grid
from acnorm.bench.made_of import planned_with
from acnorm.bench.store import Finished
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.settings import config_from_settings

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast as the one in Python
BELOW = ("fraction", "seed", "fold")  # a configuration


def still_of(grid: Grid) -> Callable[[Finished], bool]:
    """Return whether a finished cell is one of the whole grid: of its settings, data, checkpoint, network and division.

    The code may be another; the report tells. Where data cannot be read here, settings alone are compared.

    Args:
        grid: of which a part may be asked for.

    Examples:
        >>> callable(still_of(Grid(base={}, axes={"method": ["vanilla", "acnorm"]}, only={"method": ["acnorm"]})))
        True
    """
    cells: dict[str, Cell] = {}
    unread: dict[str, FinetuneConfig] = {}

    def look() -> None:
        divisions: dict[tuple[Any, ...], list[Division]] = {}
        whole = replace(grid, only={})
        for labels, config in whole.configs():
            try:
                cells.update((_name(cell.labels), cell) for cell in whole.of_config(labels, config, divisions))
            except UserError:
                unread[_name(labels)] = config

    def is_still(finished: Finished) -> bool:
        if not cells and not unread:
            look()
        made = _settings(finished)
        cell = cells.get(_name(finished.labels))
        if cell is None:
            labels = {name: value for name, value in finished.labels.items() if name not in BELOW}
            config = unread.get(_name(labels))
            return config is not None and made == deciding(replace(config, seed=0))
        if made != deciding(replace(cell.config, seed=0)):
            return False
        content = cell.inputs.data, cell.inputs.weights, cell.inputs.network, cell.division.sha256
        return content == (finished.data, finished.weights, _network(finished), finished.splits)

    return is_still


def _name(labels: Mapping[str, Any]) -> str:
    return json.dumps(dict(labels), sort_keys=True)


def _settings(finished: Finished) -> Mapping[str, Any] | None:
    """What decided its result beside its seed; None where these are no settings of this version."""
    try:
        content = yaml.load(finished.settings.read_text(encoding="utf-8"), _LOADER)
    except OSError:
        return None
    return _decided(json.dumps({**content, "splits": None, "out": "cells", "seed": 0}))


def _network(finished: Finished) -> str | None:
    """What its network was made of, where that is no network of ours."""
    made: Mapping[str, Any] = planned_with(finished.settings.read_text(encoding="utf-8")) or {}
    return made.get("network")


@functools.lru_cache(maxsize=4096)  # settings are many times slower to check than to read
def _decided(settings: str) -> Mapping[str, Any] | None:
    try:
        return deciding(config_from_settings(json.loads(settings)))
    except UserError:
        return None
