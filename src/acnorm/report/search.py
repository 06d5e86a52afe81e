"""What a search of settings chose, for the report of a bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from acnorm.bench.words import metric_in_words, name_of
from acnorm.report.tables import Table

_PLACE = ("seed", "fold")


def search_sentence(about: Mapping[str, Any]) -> str:
    """Return how settings were searched; empty where they were not.

    Examples:
        >>> search_sentence({"search": {"trials": 8, "choices": []}, "searching": True})
        'Settings are being searched: 8 trials for every run; nothing is compared before the search is done.'
    """
    found = about.get("search")
    if not found:
        return ""
    if about.get("searching"):
        return (
            f"Settings are being searched: {found['trials']} trials for every run; nothing is compared before the "
            "search is done."
        )
    metrics = dict.fromkeys(choice["metric"] for choice in found["choices"])
    failed = sum(choice["failed"] for choice in found["choices"])
    told = f" {failed} trials failed and count as tried." if failed else ""
    return (
        f"Settings were searched: {found['trials']} trials for every method in every fold (the first as given, then "
        f"Optuna's), the best by {', '.join(map(metric_in_words, metrics))} on validation cases taken; test figures of "
        f"the other trials were not read.{told}"
    )


def search_table(about: Mapping[str, Any]) -> Table:
    """Return what was chosen, a row for all seeds and folds of a place.

    A row tells trials in all, how often the settings as given were best, the median of each setting with its range,
    and the time of all trials.

    Args:
        about: of a bench that has searched.

    Examples:
        >>> choice = {"labels": {"method": "vanilla", "seed": 0, "fold": 0}, "settings": {"learning_rate": 0.1}}
        >>> choice |= {"metric": "dice", "value": 0.8, "number": 2, "trials": 4, "failed": 0, "seconds": 90.0}
        >>> search_table({"compare": "method", "search": {"trials": 4, "choices": [choice]}}).rows
        (('vanilla', '4', '0 of 1', 'learning rate 0.1', '0.800', '90'),)
    """
    choices = about["search"]["choices"]
    labels = pd.DataFrame([choice["labels"] for choice in choices])
    kept = [name for name in labels if name not in _PLACE]
    varied = [name for name in kept if labels[name].map(str).nunique() > 1 or name == about.get("compare")]
    places: dict[str, list[Mapping[str, Any]]] = {}
    for choice in choices:
        name = ", ".join(name_of(str(axis), choice["labels"][axis]) for axis in varied)
        places.setdefault(name, []).append(choice)
    return Table(
        head=(
            "searched",
            "trials",
            "as given was best",
            "chosen: median (range)",
            "on validation",
            "seconds, all trials",
        ),
        rows=tuple(tuple(_row(name, found)) for name, found in places.items()),
        note="Over all seeds and folds. Each run's own settings are in its folder and in search.csv.",
    )


def choices_table(about: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a run: its place, the settings chosen, their figure on validation, and the trials.

    Examples:
        >>> choices_table({"search": {"trials": 4, "choices": []}}).empty
        True
    """
    own = ("metric", "value", "number", "trials", "failed", "seconds")
    rows = [
        {**choice["labels"], **choice["settings"], **{name: choice[name] for name in own}}
        for choice in about["search"]["choices"]
    ]
    return pd.DataFrame(rows).rename(columns={"value": "validation", "number": "trial"})


def _row(name: str, choices: Sequence[Mapping[str, Any]]) -> list[str]:
    given = sum(choice["number"] == 0 for choice in choices)
    settings = [_spread(key, [choice["settings"][key] for choice in choices]) for key in choices[0]["settings"]]
    values = [choice["value"] for choice in choices if choice["value"] is not None]
    return [
        name,
        str(sum(choice["trials"] for choice in choices)),
        f"{given} of {len(choices)}",
        ", ".join(settings),
        f"{np.mean(values):.3f}" if values else "–",
        f"{sum(choice['seconds'] for choice in choices):.0f}",
    ]


def _spread(name: str, values: Sequence[Any]) -> str:
    """The median of numbers with their range; of names and counts, how often each was chosen."""
    method, dot, own = name.partition(".")
    said = f"{method.replace('_', '-')}.{own}" if dot else name.replace("_", " ")
    if not all(isinstance(value, float) for value in values):
        counts = {value: list(values).count(value) for value in sorted(set(values), key=str)}
        return f"{said} {', '.join(f'{value} ({count} ×)' for value, count in counts.items())}"
    if min(values) == max(values):
        return f"{said} {values[0]:g}"
    return f"{said} {float(np.median(values)):.3g} ({min(values):g} to {max(values):g})"
