"""The cells of a bench as candidates × targets with what fine-tuning gave, under each way of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from acnorm.bench.cells import Inputs, read_inputs
from acnorm.bench.results import metric_of
from acnorm.bench.store import Store
from acnorm.bench.words import name_of
from acnorm.errors import UserError
from acnorm.ranking.result import RANDOM
from acnorm.training.config import METHOD_SETTINGS, FinetuneConfig
from acnorm.training.metrics import LOWER_IS_BETTER

# Axes whose values are other data to the same candidate; all others are ways of fine-tuning.
OF_DATA = ("task", "data", "format", "image_size", "patch_size", "slices", "spacing", "window", "skip_bad")
_CANDIDATE, _PLACE = ("model", "weights"), ("seed", "fold")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Source:
    """A candidate: a network and its checkpoint, None for random weights."""

    name: str
    model: str
    weights: str | None


@dataclass(frozen=True)
class Scoring:
    """What scores are asked of: one candidate on the training cases of one division of a target.

    data, weights: hashes of what the runs were made of, where known.
    """

    target: str
    source: Source
    splits: str
    config: FinetuneConfig
    data: str | None = None
    weights: str | None = None

    def inputs(self) -> Inputs:
        """Read data and checkpoint.

        Raises:
            UserError: they are not there any more, or are others than when the bench ran.
        """
        found = read_inputs(self.config)
        for file, before, now in (
            (self.config.data, self.data, found.data),
            (self.config.weights, self.weights, found.weights),
        ):
            if before is not None and now != before:
                raise UserError(
                    f"{file}: has changed since the bench ran; put back what it was, or run the bench again."
                )
        return found


@dataclass(frozen=True)
class Truth:
    """What one way of fine-tuning gave.

    name: the method, with what else is varied. metrics: of each target. results: mean over runs, by target and candidate.
    deviations: over these runs. runs: how many, the same for all candidates of a target but where ``uneven``. scorings:
    that belong to these runs.

    Examples:
        >>> Truth("vanilla", {"eyes": "brier"}, {"eyes": {"a": 0.25}}, {}, {}, {}, ()).better
        {'eyes': {'a': -0.25}}
    """  # noqa: E501

    name: str
    metrics: Mapping[str, str]
    results: Mapping[str, Mapping[str, float]]
    deviations: Mapping[str, Mapping[str, float]]
    runs: Mapping[str, Mapping[str, int]]
    scorings: Mapping[tuple[str, str], Sequence[Scoring]]
    uneven: tuple[str, ...]

    @property
    def better(self) -> dict[str, dict[str, float]]:
        """The results turned so that more is better."""
        return {
            target: {
                name: -value if self.metrics[target].startswith(LOWER_IS_BETTER) else value
                for name, value in results.items()
            }
            for target, results in self.results.items()
        }


def read_truths(store: Store) -> tuple[Truth, ...]:
    """Return what the finished cells of a bench say, a truth for each way of fine-tuning.

    Runs are averaged over the seeds and folds that all candidates of a target have finished; where there is none such,
    over those that each has.

    Raises:
        UserError: there are no two candidates, no cell has finished, or settings are still being searched.

    Examples:
        >>> import tempfile
        >>> read_truths(Store(Path(tempfile.mkdtemp())))
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: no cell of the bench has finished; wait for acnorm bench, or run it again.
    """
    about = store.about()
    if about.get("searching"):  # its cells are trials, whose test figures nobody may look at
        raise UserError("settings are still being searched; wait for the bench, or give its command again.")
    table, asked = store.table(), about.get("metric")
    done = table[table["state"] == "done"] if len(table) else table
    if done.empty:
        raise UserError("no cell of the bench has finished; wait for acnorm bench, or run it again.")
    configs = {address: _config(store, address) for address in done["address"].unique()}
    axes = _candidate_axes(done, configs)
    candidates = _named(done, axes)
    if len(set(candidates)) < 2:
        raise UserError("the finished cells have one candidate; a study needs weights (or model) as an axis.")
    targets = _joined(table, done, OF_DATA, [Path(configs[name].data).stem for name in done["address"]])
    done = done.assign(candidate=candidates, target=targets)
    ways = [name for name in _axes(table) if name not in (*OF_DATA, *axes, *_CANDIDATE, *_PLACE)]
    if (done.groupby("target")["label_fraction"].nunique() == 1).all():  # of a task's own: part of the target
        ways = [name for name in ways if name != "fraction"]
    done = done.assign(truth=_joined(table, done, ways, [configs[name].method for name in done["address"]]))
    metrics = {str(target): metric_of(rows, asked) for target, rows in done.groupby("target", sort=False)}
    return tuple(_truth(str(name), rows, metrics, configs) for name, rows in done.groupby("truth", sort=False))


def _config(store: Store, address: str) -> FinetuneConfig:
    """The settings of a cell, without those of methods; they were checked when the bench was planned."""
    given = yaml.load(store.config_file(address).read_text(encoding="utf-8"), Loader=_LOADER)
    names = {item.name for item in fields(FinetuneConfig)} - METHOD_SETTINGS.keys()
    return FinetuneConfig(**{name: value for name, value in given.items() if name in names})


def _candidate_axes(rows: pd.DataFrame, configs: Mapping[str, FinetuneConfig]) -> list[str]:
    """The axes whose values are candidates: weights and model, or others (of variants) that alone decide these."""
    varied = [name for name in _axes(rows) if rows[f"label_{name}"].map(str).nunique() > 1]
    named = [name for name in varied if name in _CANDIDATE]
    if named:
        return named
    keys = pd.Series([(configs[name].model, configs[name].weights) for name in rows["address"]], index=rows.index)
    others = [name for name in varied if name not in (*OF_DATA, *_PLACE)]
    return [
        name
        for name in others
        if keys.nunique() > 1 and (keys.groupby(rows[f"label_{name}"].map(str)).nunique() == 1).all()
    ]


def _named(rows: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Names of the candidates, as short as tell them apart."""
    values = [tuple(_plain(row[f"label_{name}"]) for name in axes) for _, row in rows.iterrows()]
    for parts in (1, 2, 3, 99):
        names = {value: ", ".join(_short(part, parts) for part in value) for value in dict.fromkeys(values)}
        if len(set(names.values())) == len(names):
            break
    return [names[value] for value in values]


def _short(value: Any, parts: int) -> str:
    """Random weights, the name of a file without its suffix, or the value as it is."""
    if value is None:
        return RANDOM
    path = Path(str(value))
    return "/".join([*path.parts[-parts:-1], path.stem]) if path.suffix else str(value)


def _axes(table: pd.DataFrame) -> list[str]:
    return [str(name).removeprefix("label_") for name in table if str(name).startswith("label_")]


def _joined(table: pd.DataFrame, rows: pd.DataFrame, names: Sequence[str], otherwise: Sequence[str]) -> list[str]:
    """The values of the axes that are varied, in words; those given where none is."""
    varied = [name for name in names if name in _axes(table) and table[f"label_{name}"].map(str).nunique() > 1]
    if not varied:
        return list(otherwise)
    values = [[name_of(name, _plain(value)) for value in rows[f"label_{name}"]] for name in varied]
    return [", ".join(words) for words in zip(*values, strict=True)]


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value


def _truth(
    name: str,
    rows: pd.DataFrame,
    metrics: Mapping[str, str],
    configs: Mapping[str, FinetuneConfig],
) -> Truth:
    results: dict[str, dict[str, float]] = {}
    deviations: dict[str, dict[str, float]] = {}
    runs: dict[str, dict[str, int]] = {}
    scorings: dict[tuple[str, str], list[Scoring]] = {}
    uneven = []
    for target, found in rows.groupby("target", sort=False):
        key = str(target)
        measured = found.assign(value=found[f"metric_{metrics[key]}"].astype(float)).dropna(subset=["value"])
        kept, even = _common(measured)
        uneven += [] if even else [key]
        by = kept.groupby("candidate", sort=False)
        results[key] = {str(at): float(value) for at, value in by["value"].mean().items()}
        deviations[key] = {str(at): float(value) for at, value in by["value"].std(ddof=1).items()}
        runs[key] = {str(at): int(value) for at, value in by["value"].count().items()}
        for _, row in kept.iterrows():
            config = configs[row["address"]]
            asked = scorings.setdefault((key, row["candidate"]), [])
            if str(config.splits) not in [one.splits for one in asked]:
                source = Source(row["candidate"], config.model, config.weights)
                contents = _plain(row["data_sha256"]), _plain(row["weights_sha256"])
                asked.append(Scoring(key, source, str(config.splits), config, *contents))
    shown = {target: metrics[target] for target in results}
    return Truth(name, shown, results, deviations, runs, scorings, tuple(uneven))


def _common(rows: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The rows of the seeds and folds that all candidates have, and whether there are such."""
    places = list(zip(rows["label_seed"], rows["label_fold"], strict=True))
    by_candidate: dict[str, set[tuple[Any, Any]]] = {}
    for candidate, place in zip(rows["candidate"], places, strict=True):
        by_candidate.setdefault(candidate, set()).add(place)
    shared = set.intersection(*by_candidate.values()) if by_candidate else set()
    return (rows[[place in shared for place in places]], True) if shared else (rows, rows.empty)
