"""Names in the axes of a grid that stand for several settings, and the part of a grid that is run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from acnorm.errors import UserError, near
from acnorm.training.config import METHOD_SETTINGS
from acnorm.training.settings import flat, known_keys

Variants = Mapping[str, Mapping[str, Any]]
# what a task may have of its own beside its settings
VARIANTS, FRACTIONS = "variants", "fractions"
OF_A_TASK = (VARIANTS, FRACTIONS)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")  # also those that YAML takes for text, such as 1e-3


def chosen_settings(chosen: Mapping[str, Any], variants: Variants) -> dict[str, Any]:
    """Return the settings that one value of each axis stands for: the axis itself, or those of a variant of that name.

    Args:
        chosen: a value by the name of its axis.
        variants: settings by name.

    Raises:
        UserError: two axes set the same, a value of an axis that is no setting is no variant, or a variant of one that
            is a setting does not set it.

    Examples:
        >>> variants = {"identity": {"method": "acnorm", "acnorm": {"init": "identity"}}}
        >>> chosen_settings({"method": "identity", "epochs": 3}, variants)
        {'method': 'acnorm', 'acnorm.init': 'identity', 'epochs': 3}
        >>> chosen_settings({"source": "imagenet"}, variants)
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: axes: source is no setting and 'imagenet' no variant; there are identity.
    """
    found: dict[str, Any] = {}
    for axis, value in chosen.items():
        own = variants.get(value) if isinstance(value, str) else None
        if own is None and variants and not is_setting(axis):
            raise UserError(
                f"axes: {axis} is no setting and {value!r} no variant{near(value, variants)}; "
                f"there are {', '.join(variants)}."
            )
        settings = flat({axis: value} if own is None else own)
        if own is not None and is_setting(axis) and not any(f"{name}.".startswith(f"{axis}.") for name in settings):
            raise UserError(
                f"variants: {value} is a value of {axis} and does not set it; give {axis} among its settings."
            )
        twice = [name for name in settings if name in found]
        if twice:
            raise UserError(f"axes: {axis} ({value}) sets {twice[0]}, which another axis sets; leave it out of one.")
        found |= settings
    return found


def is_setting(axis: str) -> bool:
    """Whether an axis of that name sets something by itself.

    Examples:
        >>> is_setting("epochs"), is_setting("acnorm.temperature"), is_setting("source")
        (True, True, False)
    """
    return axis in known_keys() or axis in METHOD_SETTINGS


def with_folder(settings: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
    """Return settings whose data and weights lie below a folder, where they are not there from where the command runs.

    Examples:
        >>> with_folder({"data": "liver", "epochs": 3}, "images") == {"data": str(Path("images/liver")), "epochs": 3}
        True
        >>> with_folder({"data": "liver"}, None)
        {'data': 'liver'}
    """
    found = dict(settings)
    for name in ("data", "weights"):
        given = found.get(name)
        if folder is None or not isinstance(given, str) or Path(given).exists():
            continue
        below = Path(folder) / given
        if name == "data" or below.exists():
            found[name] = str(below)
    return found


def read_only(given: Sequence[str], known: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return what ``--only task=eyes,heart seed=0`` asks for.

    Args:
        given: of the form axis=value,value; a value that holds a comma stands alone.
        known: values by the name of an axis.

    Raises:
        UserError: no such axis or value, or an empty one.

    Examples:
        >>> read_only(["method=bss,vanilla", "fraction=1"], {"method": ["vanilla", "bss"], "fraction": [0.25, 1.0]})
        {'method': ['vanilla', 'bss'], 'fraction': [1.0]}
    """
    found: dict[str, list[Any]] = {}
    for text in given:
        axis, equals, values = text.partition("=")
        if not equals or not values:
            raise UserError(f"--only {text}: must be an axis and its values, such as {next(iter(known))}=…,….")
        if axis not in known:
            raise UserError(f"--only {text}: {axis} is no axis{near(axis, known)}; there are {', '.join(known)}.")
        parts = [values] if _places(values, known[axis]) else values.split(",")
        if not all(part.strip() for part in parts):
            raise UserError(f"--only {text}: a value is empty; leave out a comma.")
        asked = {part: _places(part, known[axis]) for part in parts}
        wrong = [part for part, places in asked.items() if not places]
        if wrong:
            shown = ", ".join("null" if one is None else str(one) for one in known[axis])
            raise UserError(f"--only {text}: {axis} is never {wrong[0]!r}; it is {shown}.")
        places = sorted({place for found_at in asked.values() for place in found_at})
        found.setdefault(axis, []).extend(known[axis][place] for place in places)
    return found


def _places(text: str, values: Sequence[Any]) -> list[int]:
    """Where in the values of an axis that is which the text means: as it is written, else as it reads."""
    written = [place for place, value in enumerate(values) if text == str(value)]
    return written or [place for place, value in enumerate(values) if _same(_read(text), _number(value))]


def _read(text: str) -> Any:
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if read is None and text.strip().lower() not in ("null", "~"):  # nothing, or a comment
        return text
    return _number(read)


def _number(value: Any) -> Any:
    """Text that is a number as one, all else as it is."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
