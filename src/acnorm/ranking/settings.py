"""Settings of ``rank`` that only some data have, looked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acnorm.data.tasks import Task
from acnorm.errors import UserError


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of label maps with their numbers read; texts such as "1,1,3" are taken too.

    Raises:
        UserError: one that is not allowed.

    Examples:
        >>> given = {"patch_size": None, "spacing": "1,1,3", "window": None, "stage": 2, "voxels": None}
        >>> found = checked_settings(given)
        >>> found["spacing"], found["stage"]
        ((1.0, 1.0, 3.0), (2,))
    """
    patch, voxels, spacing = settings["patch_size"], settings["voxels"], settings["spacing"]
    if patch is not None and patch < 8:
        raise UserError(f"--patch-size is {patch}, must be 8 or more.")
    if voxels is not None and voxels < 2:
        raise UserError(f"--voxels is {voxels}, must be 2 or more.")
    stages = _numbers("stage", settings["stage"], "whole numbers from 1, such as 2 or 2,3", lambda value: value >= 1)
    if stages is not None and (len(set(stages)) < len(stages) or any(value % 1 for value in stages)):
        raise UserError(f"--stage is {settings['stage']!r}, must be whole numbers from 1, such as 2 or 2,3.")
    if spacing != "median":
        spacing = _numbers(
            "spacing", spacing, "millimetres above 0, such as 1.5 or 1,1,3, or median", lambda at: at > 0
        )
    window = window_of(settings["window"])
    found = {"stage": None if stages is None else tuple(int(value) for value in stages), "spacing": spacing}
    return {**settings, **found, "window": window}


def with_task(given: Mapping[str, Any], task: Task | None) -> dict[str, Any]:
    """Return settings of label maps, a named task's where none are given, and what its volumes are.

    Examples:
        >>> from acnorm.data.tasks import find_task
        >>> with_task({"patch_size": 32, "spacing": None}, find_task("liver-tumor-segmentation"))
        {'slices': True, 'spacing': 'median', 'patch_size': 32, 'modality': 'CT'}
    """
    begun = {} if task is None else task.of_data
    chosen = {name: begun.get(name) if value is None else value for name, value in given.items()}
    return {**begun, **chosen, "modality": None if task is None else task.modality}


def refuse_other_kind(
    data: Path | str, image_size: int | None, for_label_maps: Mapping[str, Any], *, label_maps: bool
) -> None:
    """Refuse settings of the other kind of data, in the place of leaving them unused.

    Raises:
        UserError: naming the setting.

    Examples:
        >>> refuse_other_kind("eyes.npz", None, {"patch_size": 32}, label_maps=False)
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --patch-size is for label maps; eyes.npz holds classes: leave it out.
    """
    if label_maps and image_size is not None:
        raise UserError(f"--image-size is for images with classes; {data} holds label maps: give --patch-size.")
    for name, value in for_label_maps.items():
        if not label_maps and value not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} is for label maps; {data} holds classes: leave it out.")


def window_of(given: Sequence[float] | str | None) -> tuple[float, ...] | None:
    """Return the lowest and highest intensity of a setting such as "-100,400".

    Raises:
        UserError: other than two numbers, the lower first.

    Examples:
        >>> window_of("-100,400")
        (-100.0, 400.0)
    """
    allowed = "two numbers, the lower first, such as -100,400"
    found = _numbers("window", given, allowed)
    if found is not None and (len(found) != 2 or found[0] >= found[1]):
        raise UserError(f"--window is {given!r}, must be {allowed}.")
    return found


def _numbers(
    name: str, given: Any, allowed: str, fits: Callable[[float], bool] = np.isfinite
) -> tuple[float, ...] | None:
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else [given] if isinstance(given, int | float) else list(given)
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(np.isfinite(value) and fits(value) for value in found):
        raise UserError(f"--{name} is {given!r}, must be {allowed}.")
    return found
