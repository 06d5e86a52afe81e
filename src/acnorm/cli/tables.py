"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    "macro_auc": "macro AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced acc.",
    "quadratic_kappa": "quadratic kappa",
    "macro_f1": "macro F1",
    "brier": "Brier",
    "expected_calibration_error": "ECE",
}


def metrics_table(runs: Mapping[str, Mapping[str, Any]], split: str = "test") -> str:
    """Return the metrics of one split with their 95 % intervals, one column a run.

    Args:
        runs: name to content of metrics.json.
        split: "val" or "test".

    Examples:
        >>> interval = {"value": 0.8, "low": 0.7, "high": 0.9}
        >>> run = {"resampled": "patients", "splits": {"test": {"cases": 50, "metrics": {"accuracy": interval}}}}
        >>> print(metrics_table({"run": run}))
        test (95 % intervals over patients)  run
        accuracy                             0.800 [0.700, 0.900]
    """
    first = next(iter(runs.values()))
    unit = "patients" if first["resampled"] == "patients" else "cases, patients unknown"
    header = [f"{split} (95 % intervals over {unit})", *runs]
    rows = []
    others = {name: name.replace("_", " ") for run in runs.values() for name in run["splits"][split]["metrics"]}
    for name, title in {**TITLES, **{name: title for name, title in others.items() if name not in TITLES}}.items():
        values = [run["splits"][split]["metrics"].get(name) for run in runs.values()]
        if any(value is not None for value in values):
            rows.append([title, *(_interval(value) for value in values)])
    return table([header, *rows])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text in columns of equal width, the first row being the header.

    Examples:
        >>> print(table([["name", "value"], ["a", "1"]]))
        name  value
        a     1
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _interval(value: Mapping[str, float | None] | None) -> str:
    if value is None or value["value"] is None:
        return "not defined"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
