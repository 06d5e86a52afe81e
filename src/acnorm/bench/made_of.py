"""What a cell is made of, in a line above its settings: files may change between the plan and the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from acnorm.bench.cells import Inputs, forget_inputs, read_inputs
from acnorm.data.fingerprint import fingerprint
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig

_START = "# made of "


def line_of(inputs: Inputs) -> str:
    """Return the line that says what data, checkpoint and network a cell was planned with; a comment in YAML.

    Examples:
        >>> from pathlib import Path
        >>> from acnorm.data.case import Collection
        >>> line_of(Inputs(Collection((), (), Path("eyes"), "folder"), "0a", None, None))
        '# made of {"data": "0a", "weights": null, "network": null}'
    """
    return _START + json.dumps({"data": inputs.data, "weights": inputs.weights, "network": inputs.network})


def refuse_changed(planned: str, config: FinetuneConfig) -> Inputs | None:
    """Refuse a cell whose data, checkpoint or network are not those that it was planned with.

    Args:
        planned: text of its settings file, which begins with the line; one without is not looked at.
        config: its settings.

    Returns:
        What there is now.

    Raises:
        UserError: naming what has changed.

    Examples:
        >>> config = FinetuneConfig(data="nowhere", model="cifar/resnet20", out="run")
        >>> refuse_changed("epochs: 3", config) is None
        True
    """
    before = planned_with(planned)
    if before is None:
        return None
    forget_inputs()
    now = read_inputs(config)
    found = {"data": (config.data, now.data), "weights": (config.weights, now.weights)}
    if now.network is not None:  # one that is not found here is told of when the run asks for it
        found["network"] = config.model, now.network
    for name, (file, content) in found.items():
        if before.get(name) != content:
            raise _changed(str(file))
    return now


def refuse_changed_since(before: Inputs | None, config: FinetuneConfig) -> None:
    """Refuse a run whose data were replaced while it ran, and take its folder away: it may have seen both.

    Args:
        before: what there was at its start; None where that is not known.
        config: its settings.

    Raises:
        UserError: naming the data.

    Examples:
        >>> refuse_changed_since(None, FinetuneConfig(data="nowhere", model="cifar/resnet20", out="run"))
    """
    if before is None:
        return
    try:
        same = fingerprint(before.collection.cases) == before.data
    except OSError:
        same = False
    if not same:
        shutil.rmtree(config.out, ignore_errors=True)
        raise _changed(config.data)


def planned_with(settings: str) -> Mapping[str, Any] | None:
    """Return what ``line_of`` wrote above settings; None where there is no such line.

    Examples:
        >>> planned_with('# made of {"data": "0a", "weights": null, "network": null}\\nepochs: 3')["data"]
        '0a'
    """
    first = settings.partition("\n")[0]
    if not first.startswith(_START):
        return None
    found: Mapping[str, Any] = json.loads(first.removeprefix(_START))
    return found


def _changed(file: str) -> UserError:
    return UserError(
        f"{file}: has changed since the bench was planned; put back what it was, or give the same command again, "
        "which plans anew."
    )
