"""The finished cells of a grid, compared: a block for each task, fraction and other setting that is not compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from acnorm.bench.ranges import difference_within, mean_within
from acnorm.bench.resampled import read_test_cases, resampled_metric
from acnorm.bench.statistics import (
    Difference,
    bootstrap_difference,
    corrected_resampled_t,
    holm,
    is_constant,
    over_runs_and_patients,
    patient_weights,
    runs_needed,
    win_tie_loss,
)
from acnorm.bench.store import Store
from acnorm.bench.undefined import Undefined, in_common
from acnorm.bench.words import MARGIN, NO_SHARES, Verdict, metric_in_words, name_of, sentence_of, verdict_of
from acnorm.errors import UserError
from acnorm.training.metrics import LOWER_IS_BETTER, SIGNED

RESAMPLES = 1000
NORMAL_HALF = 1.96  # standard errors in half a 95 % interval
_PLACE = ["label_seed", "label_fold"]
_OF_DATA = ("task", "data")
Samples = NDArray[np.float64] | None


@dataclass(frozen=True)
class Level:
    """One of the things compared: its mean over the finished runs, with an interval, and its cost.

    seconds: mean of training and evaluating, a run. memory: largest of a process, bytes.
    """

    name: str
    runs: int
    mean: Difference | None
    seconds: float | None
    memory: int | None


@dataclass(frozen=True)
class Comparison:
    """One of them against the baseline, in the runs that both have finished.

    Args:
        name: of what is compared.
        runs: pairs.
        difference: of the metric, baseline subtracted, with the interval that decides.
        over_patients: with the interval of the bootstrap over patients alone, where the cases tell the metric.
        corrected: p value after Holm's correction over all comparisons of the bench.
        record: runs that were better, equal and worse.
        needed: runs with which a difference of 1 % would be seen; None where none is enough, 0 where it is unknown.
        cost: mean seconds over those of the baseline.
        verdict: what it says.
        sentence: what can be concluded.
        undefined: cases in which the metric is not defined; where these differ, the figures are of the others.
    """

    name: str
    runs: int
    difference: Difference
    over_patients: Difference | None
    corrected: float | None
    record: tuple[int, int, int]
    needed: int | None
    cost: float | None
    verdict: Verdict = "unknown"
    sentence: str = ""
    undefined: Undefined = field(default_factory=Undefined)


@dataclass(frozen=True)
class Block:
    """All that is compared on equal terms.

    Args:
        name: task, fraction and other settings, in words; empty where there is one block.
        group: the same without the fraction.
        fraction: of the training labels.
        metric: of the test split.
        released_test: whether all runs are tested on the set that came with the data.
        levels: what is compared, the baseline first.
        comparisons: of the others with it.
        task: its part of the name that says which data it is of.
        values: of the metric in the finished runs, a row a seed and fold, a column a level; NaN where there is none.
    """

    name: str
    group: str
    fraction: float
    metric: str
    released_test: bool
    levels: tuple[Level, ...]
    comparisons: tuple[Comparison, ...]
    task: str = ""
    values: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value of the metric is the better one."""
        return self.metric.startswith(LOWER_IS_BETTER)


@dataclass(frozen=True)
class Results:
    """All blocks, the table that they were made of, and what failed."""

    blocks: tuple[Block, ...]
    table: pd.DataFrame
    counts: Mapping[str, int]
    baseline: str
    about: Mapping[str, Any]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that differences are in, of the blocks with finished runs."""
        return tuple(dict.fromkeys(block.metric for block in self.blocks if any(level.runs for level in block.levels)))

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The cells that failed twice, and their last words."""
        rows = self.table[self.table["state"] == "failed"]
        return [(_cell_name(row), str(row["error"])) for _, row in rows.iterrows()]

    def record(self) -> dict[str, tuple[int, int, int]]:
        """Blocks in which each was better than the baseline, could not be told from it, and was worse.

        Blocks without an interval are not counted.
        """
        found: dict[str, list[int]] = {}
        for block in self.blocks:
            for item in block.comparisons:
                counts = found.setdefault(item.name, [0, 0, 0])
                if item.verdict != "unknown":
                    counts[{"better": 0, "worse": 2}.get(item.verdict, 1)] += 1
        return {name: (counts[0], counts[1], counts[2]) for name, counts in found.items()}


def results_of(store: Store) -> Results:
    """Compare what a grid has finished so far; where a task has not the metric that was asked for, by its own.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> results_of(Store(Path(tempfile.mkdtemp()))).blocks
        ()
    """
    about = store.about()
    searching = bool(about.get("searching"))  # nothing is compared yet, and no test figure of a trial is read
    table = store.table("val" if searching else "test")
    if table.empty or searching:
        return Results((), table, store.counts(), "", about)
    axis = f"label_{about['compare']}"
    kept = [name for name in table.columns if name.startswith("label_") and name not in (axis, *_PLACE)]
    varied = [name for name in kept if table[name].map(_text).nunique() > 1]
    blocks = []
    for _, rows in table.groupby([table[name].map(_text) for name in kept], sort=False):
        labels = {name.removeprefix("label_"): rows[name].iloc[0] for name in varied}
        fraction = float(rows["label_fraction"].iloc[0])
        blocks.append(_Comparing(store, rows, axis, about, labels, fraction).block())
    blocks = _corrected(blocks, about)
    return Results(tuple(blocks), table, store.counts(), name_of(about["compare"], about["baseline"]), about)


def _text(value: Any) -> str:
    return "null" if _is_missing(value) else json.dumps(value, default=str)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


class _Comparing:
    """The work on one block."""

    def __init__(
        self,
        store: Store,
        rows: pd.DataFrame,
        axis: str,
        about: Mapping[str, Any],
        labels: Mapping[str, Any],
        fraction: float,
    ) -> None:
        self.store, self.about, self.labels, self.fraction = store, about, labels, fraction
        self.axis = axis.removeprefix("label_")
        self.rows = rows.assign(level=[self._name(value) for value in rows[axis]])
        self.done = self.rows[self.rows["state"] == "done"]
        self.by_level = {name: found.set_index(_PLACE) for name, found in self.done.groupby("level")}
        self.metric = metric_of(self.done, asked_of(self.done, about.get("metric")))
        self.released = bool(rows["released_test"].iloc[0])
        self.ratio = float(rows["ratio"].mean())
        self.baseline = name_of(self.axis, about["baseline"])
        self.lower = self.metric.startswith(LOWER_IS_BETTER)
        self.cases, self.counts = self._cases()
        self.samples = self._samples()

    def _name(self, value: Any) -> str:
        return name_of(self.axis, None if _is_missing(value) else value)

    def block(self) -> Block:
        names = list(dict.fromkeys(self.rows["level"]))
        names.sort(key=lambda name: name != self.baseline)
        group = ", ".join(name_of(*self._label(item)) for item in self.labels.items() if item[0] != "fraction")
        share = name_of("fraction", self.fraction) if "fraction" in self.labels else ""
        return Block(
            name=", ".join(filter(None, (group, share))),
            group=group,
            fraction=self.fraction,
            metric=self.metric,
            released_test=self.released,
            levels=tuple(self._level(name) for name in names),
            comparisons=tuple(self._comparison(name) for name in names if name != self.baseline),
            task=", ".join(name_of(*self._label(item)) for item in self.labels.items() if item[0] in _OF_DATA),
            values=self._shared(names)[0],
        )

    @staticmethod
    def _label(item: tuple[str, Any]) -> tuple[str, Any]:
        return item[0], None if _is_missing(item[1]) else item[1]

    def _of(self, name: str) -> pd.DataFrame:
        """The finished runs of one level, by seed and fold."""
        found = self.by_level.get(name)
        return self.done[:0].set_index(_PLACE) if found is None else found

    def _values(self, name: str) -> pd.Series[float]:
        column = f"metric_{self.metric}"
        found = self._of(name)
        return (found[column] if column in found else pd.Series(dtype=float)).dropna().astype(float)

    def _level(self, name: str) -> Level:
        runs, values = self._of(name), self._values(name)
        seconds = None if runs.empty else float(runs["training_seconds"].mean())
        memory = runs["memory"].max()
        mean = None
        if len(values):
            mean = self._difference(np.asarray(values, dtype=np.float64), self._sampled(name, values.index))
            mean = mean_within(mean, self.metric)
        return Level(name, len(values), mean, seconds, None if pd.isna(memory) else int(memory))

    def _comparison(self, name: str) -> Comparison:
        pairs, drawn, undefined = self._pairs(name)
        apart = (pairs["first"] - pairs["second"]).to_numpy(dtype=float)
        costs = [self._of(level)["training_seconds"].reindex(pairs.index) for level in (name, self.baseline)]
        if not len(pairs):
            nothing = Difference(float("nan"))
            return Comparison(name, 0, nothing, None, None, (0, 0, 0), 0, None, undefined=undefined)
        first, second = (self._sampled(level, pairs.index, drawn) for level in (name, self.baseline))
        sampled = None if first is None or second is None else first - second
        alone = None if sampled is None else bootstrap_difference(apart, sampled)
        deviation = 0.0 if is_constant(apart) else float(np.std(apart, ddof=1))
        # of one run each, chance in training is not known, however many patients there are
        difference = self._difference(apart, sampled) if len(apart) > 1 else Difference(float(apart[0]))
        return Comparison(
            name=name,
            runs=len(pairs),
            difference=difference_within(difference, self.metric),
            over_patients=alone,
            corrected=None,
            record=win_tie_loss([-value for value in apart] if self.lower else list(apart)),
            needed=runs_needed(deviation, MARGIN, self._floor(deviation, alone)) if deviation > 0 else 0,
            cost=float(costs[0].mean() / costs[1].mean()),
            undefined=undefined,
        )

    def _pairs(self, name: str) -> tuple[pd.DataFrame, dict[tuple[Any, ...], Samples], Undefined]:
        """The metric in the runs of a level and of the baseline, in the cases in which both are defined.

        Returns:
            A row a seed and fold; the bootstrap samples of the runs whose cases are not all counted; what is left out.
        """
        levels = (name, self.baseline)
        values, partly = self._shared(levels)
        drawn = {
            (level, *place): self._resampled(level, place, common)
            for place, common in partly.items()
            for level in levels
        }
        undefined = Undefined()
        for place in self._of(name).index.intersection(self._of(self.baseline).index):
            known = self._case_values(levels, place)
            if len(known) == len(levels):
                first, second = (int(known[level].isna().sum()) for level in levels)
                undefined = undefined.with_run(first, second, len(known[name]), shared=place not in partly)
        return values.set_axis(["first", "second"], axis=1).dropna(), drawn, undefined

    def _shared(self, names: Sequence[str]) -> tuple[pd.DataFrame, dict[tuple[Any, ...], NDArray[np.bool_]]]:
        """The metric of levels in the cases in which all are defined, and these cases where they are not all."""
        values = pd.DataFrame({name: self._values(name) for name in names})
        partly = {}
        for place in values.index:
            known = self._case_values(names, place)
            common = in_common(known)
            if common is not None:
                partly[place] = common
                for name, column in known.items():
                    values.loc[place, name] = column[common].mean()
        return values, partly

    def _case_values(self, names: Sequence[str], place: tuple[Any, ...]) -> dict[str, pd.Series[float]]:
        """The metric of each test case in the runs of levels; without those of which a case has none by itself."""
        tables = {name: self.cases.get((name, *place)) for name in names}
        return {
            name: table[self.metric].astype(float)
            for name, table in tables.items()
            if table is not None and self.metric in table and "probability_0" not in table
        }

    def _floor(self, deviation: float, alone: Difference | None) -> float:
        """The variance that more runs do not lower, over the variance of a difference: that of the same test cases."""
        if not self.released:
            return self.ratio
        if alone is None or alone.low is None or alone.high is None:
            return 0.0
        return float(((alone.high - alone.low) / (2 * NORMAL_HALF) / deviation) ** 2)

    def _difference(self, values: NDArray[np.float64], sampled: Samples) -> Difference:
        """With the interval that decides: of new patients and new runs alike."""
        if not self.released:
            return corrected_resampled_t(values, self.ratio)
        if sampled is None:
            return corrected_resampled_t(values, 0.0)
        if len(values) < 2:
            return bootstrap_difference(values, sampled)
        return over_runs_and_patients(values, sampled)

    def _sampled(
        self, name: str, places: pd.Index[Any], drawn: Mapping[tuple[Any, ...], Samples] | None = None
    ) -> Samples:
        """The metric of a level's runs on the same bootstrap samples of the patients, [resample, run].

        Those of some runs may be given, in the place of the ones of all their cases.
        """
        given = drawn or {}
        columns = [given.get((name, *place), self.samples.get((name, *place))) for place in places]
        known = [column for column in columns if column is not None]
        return np.stack(known, axis=1) if len(known) == len(columns) and known else None

    def _cases(self) -> tuple[dict[tuple[Any, ...], pd.DataFrame], pd.DataFrame]:
        """The test cases of the finished runs that have them on disk, and how often each patient is drawn."""
        cases = {
            (row["level"], row["label_seed"], row["label_fold"]): read_test_cases(
                self.store.run_folder(str(row["address"]))
            )
            for _, row in self.done.iterrows()
        }
        read = {place: table for place, table in cases.items() if table is not None}
        patients = sorted({patient for table in read.values() for patient in table["patient"]})
        if not patients:
            return read, pd.DataFrame()
        return read, pd.DataFrame(patient_weights(patients, RESAMPLES, _draw()), columns=patients)

    def _samples(self) -> dict[tuple[Any, ...], NDArray[np.float64]]:
        found = {(name, *place): self._resampled(name, place) for name, *place in self.cases}
        return {run: values for run, values in found.items() if values is not None}

    def _resampled(
        self, name: str, place: Sequence[Any], among: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64] | None:
        """The metric of a run on the bootstrap samples, of all its cases or among some."""
        table = self.cases[(name, *place)]
        if among is not None:
            table = table.assign(**{self.metric: table[self.metric].where(among)})
        return resampled_metric(table, self.metric, self.counts[table["patient"].tolist()].to_numpy())


def _draw() -> np.random.Generator:
    return np.random.default_rng(0)


def asked_of(done: pd.DataFrame, asked: str | None) -> str | None:
    """Return the metric that was asked for where these runs have it; None where they are to be judged by their own.

    Args:
        done: finished runs, a row each, with the metrics of one split.
        asked: its name.

    Examples:
        >>> runs = pd.DataFrame({"monitor": ["val_dice"], "metric_dice": [0.7]})
        >>> asked_of(runs, "dice"), asked_of(runs, "brier")
        ('dice', None)
    """
    here = asked is not None and done.get(f"metric_{asked}", pd.Series(dtype=float)).notna().any()
    return asked if here else None


def metric_of(done: pd.DataFrame, asked: str | None) -> str:
    """Return the metric that was asked for, or what the runs choose their epoch by, as their cases are measured.

    Args:
        done: finished runs, a row each, with the metrics of one split.
        asked: its name.

    Raises:
        UserError: it is not measured, or has no better end.

    Examples:
        >>> metric_of(pd.DataFrame({"monitor": ["val_dice"], "metric_iou": [0.6], "metric_dice_vessel": [0.7]}), None)
        'dice_vessel'
    """
    known = [name.removeprefix("metric_") for name in done.columns if name.startswith("metric_")]
    measured = [name for name in known if len(done) and done[f"metric_{name}"].notna().any()]
    if not measured:
        return asked or "metric"
    if asked is not None:
        if asked.startswith(SIGNED):
            raise UserError(f"--metric {asked}: has a sign and no better end; give another, such as {measured[0]}.")
        if asked not in measured:
            raise UserError(f"--metric {asked}: is not measured here; there are {', '.join(measured)}.")
        return asked
    monitor = str(done["monitor"].iloc[0]).removeprefix("val_")
    named = [name for name in measured if name == monitor or name.startswith(f"{monitor}_")]
    return min(named, key=len) if named else measured[0]


def _corrected(blocks: Sequence[Block], about: Mapping[str, Any]) -> list[Block]:
    """The blocks with p values corrected over all of them, and what they say."""
    corrected = iter(holm([item.difference.p for block in blocks for item in block.comparisons]))
    told = []
    for block in blocks:
        baseline = name_of(about["compare"], about["baseline"])
        comparisons = [_told(item, next(corrected), baseline, block) for item in block.comparisons]
        told.append(replace(block, comparisons=tuple(comparisons)))
    return told


def _told(item: Comparison, corrected: float | None, baseline: str, block: Block) -> Comparison:
    lower, share = block.lower_is_better, not block.metric.startswith(NO_SHARES)
    sentence = sentence_of(
        (item.name, baseline),
        metric_in_words(block.metric),
        item.difference,
        corrected,
        lower_is_better=lower,
        needed=item.needed,
        runs=item.runs,
        share=share,
    )
    verdict = verdict_of(item.difference, corrected, lower_is_better=lower, share=share)
    left_out = item.undefined.told(item.name, baseline)
    if left_out:
        sentence = f"{sentence.removesuffix('.')} ({metric_in_words(block.metric)} is {left_out})."
        if verdict in ("better", "worse") and item.undefined.favours(first=verdict == "better"):
            verdict = "open"
    if block.name:
        sentence = f"{block.name}: {sentence}"
    return replace(item, corrected=corrected, verdict=verdict, sentence=sentence)


def _cell_name(row: pd.Series[Any]) -> str:
    labels = [name for name in row.index if str(name).startswith("label_")]
    shown = {str(name).removeprefix("label_"): None if _is_missing(row[name]) else row[name] for name in labels}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value is not None)
