"""Settings searched for every place of a grid, by validation cases alone and with as many trials for every method.

The trials are cells of the same runner. The first has the settings as they are given; each further one is proposed by
Optuna (TPE) from the validation figures of those before it, with a generator seeded by (seed, fold, trial), so that the
same grid makes the same trials, interrupted or not. The best on validation is the cell of its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from acnorm.bench.cells import Cell
from acnorm.bench.results import asked_of, metric_of
from acnorm.bench.store import Store
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.metrics import LOWER_IS_BETTER
from acnorm.tuning.method import METHODS, setting_of
from acnorm.tuning.space import OneOf, Range, around

RANDOM_TRIALS = 5  # before Optuna's model proposes
PAUSE = 1.0  # seconds between two looks at cells that another command runs
_SETTLED = ("done", "failed")
Run = Callable[[Sequence[Cell], bool], None]


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and the metric on validation cases; None where the run failed."""

    settings: Mapping[str, Any]
    value: float | None


@dataclass(frozen=True)
class Choice:
    """What the search of one place came to.

    labels: the place. settings: those chosen. value: of ``metric`` on its validation cases; None where all trials
    failed. number: the trial chosen, from 0, which has the settings as given. seconds: training of all trials.
    """

    labels: Mapping[str, Any]
    settings: Mapping[str, Any]
    metric: str
    value: float | None
    number: int
    trials: int
    failed: int
    seconds: float


def check_search() -> None:
    """Refuse a search without Optuna.

    Raises:
        UserError: with the command that installs it.

    Examples:
        >>> check_search()
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UserError("--search needs Optuna: pip install 'acnorm[search]' (or optuna).") from None


def space_of(config: FinetuneConfig) -> dict[str, Range]:
    """Return where the settings of a run are searched: the learning rate, and what its methods say.

    Examples:
        >>> config = FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", method="acnorm+bss")
        >>> {name: str(found) for name, found in space_of(config).items()}
        {'learning_rate': '0.0001 to 0.01 (log)', 'acnorm.temperature': '0.1 to 10 (log)', 'bss.eta': '1e-05 to 0.1 (log)'}
    """  # noqa: E501
    space: dict[str, Range] = {"learning_rate": around(config.learning_rate)}
    for method in config.method.split("+"):
        for name, found in METHODS[method].space.items():
            setting = setting_of(method)
            space[f"{setting}.{name}"] = found.holding(getattr(getattr(config, setting), name))
    return space


def given_settings(config: FinetuneConfig) -> dict[str, Any]:
    """Return the settings that are searched as a run has them.

    Examples:
        >>> given_settings(FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", method="lrd"))
        {'learning_rate': 0.001, 'lrd.decay': 0.75}
    """
    return {name: _get(config, name) for name in space_of(config)}


def with_settings(config: FinetuneConfig, settings: Mapping[str, Any]) -> FinetuneConfig:
    """Return a run with other settings, those of a method by names such as "lrd.decay".

    Examples:
        >>> config = FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", method="lrd")
        >>> with_settings(config, {"learning_rate": 0.1, "lrd.decay": 0.5}).lrd.decay
        0.5
    """
    for name, value in settings.items():
        method, dot, own = name.partition(".")
        changed = replace(getattr(config, method), **{own: value}) if dot else value
        config = replace(config, **{method: changed})
    return config


def proposed(
    space: Mapping[str, Range], tried: Sequence[Trial], entropy: Sequence[int], *, maximise: bool
) -> dict[str, Any]:
    """Return the settings that Optuna proposes after some trials.

    Args:
        space: where to look.
        tried: the trials before.
        entropy: whole numbers that seed the draws, together with the number of trials.
        maximise: whether a larger value is the better one.

    Examples:
        >>> space = {"learning_rate": around(0.01)}
        >>> first, again = (proposed(space, [], [0], maximise=True) for _ in range(2))
        >>> first == again, 0.001 <= first["learning_rate"] <= 0.1
        (True, True)
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int(np.random.SeedSequence([*entropy, len(tried)]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(direction="maximize" if maximise else "minimize", sampler=sampler)
    distributions = {name: _distribution(found) for name, found in space.items()}
    for trial in tried:
        params = {name: space[name].rounded(value) for name, value in trial.settings.items()}
        done = {"value": trial.value} if trial.value is not None else {"state": optuna.trial.TrialState.FAIL}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, **done))
    found = study.ask(distributions).params
    return {name: space[name].rounded(found[name]) for name in space}


def best_of(tried: Sequence[Trial], *, maximise: bool) -> int:
    """Return the number of the best trial, the first of equals; 0 where all failed.

    Examples:
        >>> best_of([Trial({}, None), Trial({}, 0.7), Trial({}, 0.8), Trial({}, 0.8)], maximise=True)
        2
    """
    known = [(at, trial.value) for at, trial in enumerate(tried) if trial.value is not None]
    return max(known, key=lambda item: (item[1] if maximise else -item[1], -item[0]))[0] if known else 0


def search(
    cells: Sequence[Cell], trials: int, metric: str | None, store: Store, run: Run
) -> tuple[list[Cell], list[Choice]]:
    """Run as many trials for every cell, and return the best of each on validation, and what was chosen.

    Args:
        cells: of the grid, with the settings as given.
        trials: for each of them.
        metric: by which they are judged on validation cases; what the runs choose their epoch by where not given.
        store: of the bench.
        run: plans and runs cells; its second argument is whether failed ones are tried again.

    Raises:
        UserError: the metric is none of the runs'.

    Examples:
        >>> search.__name__
        'search'
    """
    places = [_Place(cell, metric or "metric") for cell in cells]
    for number in range(trials):
        for place in places:
            place.propose()
        table = _settled([cell for place in places for cell in place.cells], store, run, again=number == 0)
        metrics = _metrics(table, metric)
        for at, place in enumerate(places):
            place.judge(table.iloc[at * (number + 1) : (at + 1) * (number + 1)], metrics)
    return [place.best() for place in places], [place.choice() for place in places]


def _settled(cells: Sequence[Cell], store: Store, run: Run, *, again: bool) -> pd.DataFrame:
    """The validation figures of cells, once each is done or has failed, whoever ran it."""
    addresses = [cell.address for cell in cells]
    run(cells, again)
    while True:
        table = store.table("val")
        if table["address"].tolist() == addresses and table["state"].isin(_SETTLED).all():
            return table
        time.sleep(PAUSE)
        run(cells, False)


def _metrics(table: pd.DataFrame, asked: str | None) -> dict[str, str]:
    """By what runs choose their epoch by, the metric of their trials: what was asked for where they have it."""
    done = table[table["state"] == "done"]
    if asked_of(done, asked) is None:
        metric_of(done, asked)  # refuses what no run has
    return {str(monitor): metric_of(rows, asked_of(rows, asked)) for monitor, rows in done.groupby("monitor")}


class _Place:
    """The trials of one cell of the grid."""

    def __init__(self, cell: Cell, metric: str) -> None:
        self.cell, self.space = cell, space_of(cell.config)
        self.cells: list[Cell] = []
        self.settings: list[dict[str, Any]] = []
        self.tried: list[Trial] = []
        self.metric, self.seconds = metric, 0.0

    @property
    def maximise(self) -> bool:
        return not self.metric.startswith(LOWER_IS_BETTER)

    def propose(self) -> None:
        """Add the next trial."""
        labels, number = self.cell.labels, len(self.tried)
        entropy = [self.cell.config.seed, int(labels["fold"])]
        settings = given_settings(self.cell.config)
        if number:
            settings = proposed(self.space, self.tried, entropy, maximise=self.maximise)
        self.settings.append(settings)
        config = with_settings(self.cell.config, settings) if number else self.cell.config
        self.cells.append(replace(self.cell, labels={**labels, "trial": number}, config=config))

    def judge(self, rows: pd.DataFrame, metrics: Mapping[str, str]) -> None:
        """Read what all trials so far came to on validation cases."""
        done = rows[rows["state"] == "done"]
        self.metric = metrics[done["monitor"].iloc[0]] if len(done) else self.metric
        self.seconds = float(done["training_seconds"].sum())
        column = f"metric_{self.metric}"
        values = rows[column].where(rows["state"] == "done") if column in rows else [None] * len(rows)
        self.tried = [
            Trial(settings, None if pd.isna(value) else float(value))
            for settings, value in zip(self.settings, values, strict=True)
        ]

    def best(self) -> Cell:
        """The chosen cell, at its place in the grid."""
        return replace(self.cells[best_of(self.tried, maximise=self.maximise)], labels=self.cell.labels)

    def choice(self) -> Choice:
        """What was chosen."""
        number = best_of(self.tried, maximise=self.maximise)
        trial, failed = self.tried[number], sum(trial.value is None for trial in self.tried)
        count = len(self.tried)
        return Choice(
            dict(self.cell.labels), trial.settings, self.metric, trial.value, number, count, failed, self.seconds
        )


def as_plain(trials: int, choices: Sequence[Choice]) -> dict[str, Any]:
    """Return plain values of a search, as the store keeps them for the report.

    Examples:
        >>> as_plain(3, [])
        {'trials': 3, 'choices': []}
    """
    return {"trials": trials, "choices": [asdict(choice) for choice in choices]}


def _distribution(found: Range) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(found, OneOf):
        return CategoricalDistribution(found.values)
    return FloatDistribution(found.low, found.high, log=found.log)


def _get(config: FinetuneConfig, name: str) -> Any:
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part)
    return found
