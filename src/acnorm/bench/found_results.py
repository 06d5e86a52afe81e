"""What fine-tuning gave for the candidates of a ranking: from a bench, or from a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from acnorm.bench.store import FILE, Store
from acnorm.bench.study_cells import Truth, read_truths
from acnorm.errors import UserError
from acnorm.training.metrics import LOWER_IS_BETTER

NAMES = ("weights", "candidate")


@dataclass(frozen=True)
class Results:
    """Results of one way of fine-tuning, by candidate as it was named.

    Examples:
        >>> Results("vanilla", "brier", {"a.pth": 0.25}).better
        {'a.pth': -0.25}
    """

    name: str
    metric: str
    by_weights: Mapping[str, float]

    @property
    def better(self) -> dict[str, float]:
        """The results turned so that more is better."""
        sign = -1.0 if self.metric.startswith(LOWER_IS_BETTER) else 1.0
        return {name: sign * value for name, value in self.by_weights.items()}


def read_results(source: Path, data: Path, weights: Sequence[str]) -> tuple[Results, ...]:
    """Return the results of these candidates on these data.

    Args:
        source: folder of a bench; or a CSV file with a column weights (or candidate: the path, the file name, or the name
            without suffix) and one or more columns of results, of which more is better unless the column has the name of
            a metric of which less is (brier, hd95, …).
        data: that are ranked for; runs of a bench on other data do not count.
        weights: the candidates.

    Raises:
        UserError: nothing is there, or it holds no result of two of the candidates.

    Examples:
        >>> read_results(Path("nowhere"), Path("eyes.npz"), ["a.pth"])
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --results nowhere: no such file or folder; give a folder of acnorm bench or a CSV file.
    """  # noqa: E501
    if not source.exists():
        raise UserError(f"--results {source}: no such file or folder; give a folder of acnorm bench or a CSV file.")
    found = _of_bench(source, data, weights) if source.is_dir() else _of_table(source, weights)
    kept = tuple(item for item in found if len(item.by_weights) > 1)
    if not kept:
        of = f" on {data}" if source.is_dir() else ""
        raise UserError(f"--results {source}: holds no results of two of these checkpoints{of}; give other results.")
    return kept


def _of_bench(folder: Path, data: Path, weights: Sequence[str]) -> list[Results]:
    if not (folder / FILE).is_file():
        raise UserError(f"--results {folder}: holds no bench (no {FILE}); give the --out of acnorm bench.")
    store = Store.existing(folder)
    try:
        truths = read_truths(store)
    finally:
        store.close()
    files = {Path(name).resolve(): name for name in weights}
    return [
        Results(_name(truth, target, data), truth.metrics[target], by)
        for truth in truths
        for target in truth.results
        if (by := _matched(truth, target, data, files))
    ]


def _name(truth: Truth, target: str, data: Path) -> str:
    several = sum(_is_of(truth, name, data) for name in truth.results) > 1
    return f"{truth.name}, {target}" if several else truth.name


def _is_of(truth: Truth, target: str, data: Path) -> bool:
    configs = [each[0].config for (name, _), each in truth.scorings.items() if name == target]
    return any(Path(config.data).resolve() == data.resolve() for config in configs)


def _matched(truth: Truth, target: str, data: Path, files: Mapping[Path, str]) -> dict[str, float]:
    if not _is_of(truth, target, data):
        return {}
    found = {}
    for candidate, value in truth.results[target].items():
        scoring = truth.scorings[target, candidate][0]
        file = scoring.source.weights
        if file is not None and Path(file).resolve() in files:
            scoring.inputs()  # results of files that have changed say nothing of these
            found[files[Path(file).resolve()]] = value
    return found


def _of_table(file: Path, weights: Sequence[str]) -> list[Results]:
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(NAMES, str))  # a checkpoint may be called 1.pth
    except (OSError, ValueError) as error:
        raise UserError(f"--results {file}: is no CSV file ({' '.join(str(error).split())}).") from None
    key = next((name for name in NAMES if name in table), None)
    numbers = [str(name) for name in table.select_dtypes("number").columns]
    if key is None or not numbers:
        raise UserError(f"--results {file}: needs a column weights and one or more columns of numbers.")
    endless = [column for column in numbers if np.isinf(table[column]).any()]
    if endless:
        raise UserError(f"--results {file}: {endless[0]} holds an infinite number; leave that row's result empty.")
    rows = {name: _row_of(table[key], name, file) for name in weights}
    for one, other in combinations(weights, 2):
        at = rows[one]
        if at is not None and at == rows[other]:
            raise UserError(
                f"--results {file}: {one} and {other} are both {table[key].iloc[at]}; name them by their paths as in "
                "--weights."
            )
    return [
        Results(
            column,
            column,
            {
                name: float(table[column].iloc[at])
                for name, at in rows.items()
                if at is not None and pd.notna(table[column].iloc[at])
            },
        )
        for column in numbers
    ]


def _row_of(names: pd.Series[str], weights: str, file: Path) -> int | None:
    """The row of a checkpoint: by its path, else by its file name with or without suffix."""
    path = Path(weights)
    for known in (weights, path.name, path.stem):
        rows = [at for at, name in enumerate(names) if str(name) == known]
        if len(rows) > 1:
            raise UserError(f"--results {file}: {known} has {len(rows)} rows; give one for each checkpoint.")
        if rows:
            return rows[0]
    return None
