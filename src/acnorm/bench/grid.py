"""GRID.yaml: which runs there are, and which of them are compared.

base: {data: eyes.npz, model: cifar/resnet20, epochs: 20}     # settings of acnorm finetune
axes: {weights: [null, a.pth, b.pth], method: [vanilla, acnorm, identity]}
variants:                                                     # optional: values of axes that stand for several settings
  identity: {method: acnorm, acnorm: {init: identity}}
folder: ../images                                             # optional: where data and weights are looked for as well
tasks:                                                        # optional: further data, each with its own settings
  grading: {data: idrid, task: dr-grading}
exclude: [{weights: null, method: acnorm}]
seeds: 5                                                      # a number, or a list
folds: 5
fractions: [0.1, 1.0]                                         # of the training labels
compare: method                                               # the axis whose values are compared
baseline: vanilla
metric: macro_auc
search: 10                                                    # optional: trials of settings, for every run
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import yaml

from acnorm.bench.cells import Cell, Inputs, deciding, read_inputs
from acnorm.bench.folds import Division, divisions, with_fraction
from acnorm.bench.misleading import twin_tasks, twins, unpaired
from acnorm.bench.search import space_of
from acnorm.bench.unique_keys import load_unique
from acnorm.bench.variants import (
    FRACTIONS,
    OF_A_TASK,
    VARIANTS,
    Variants,
    chosen_settings,
    is_setting,
    read_only,
    with_folder,
)
from acnorm.errors import UserError, hint, near
from acnorm.training.config import FinetuneConfig
from acnorm.training.metric_names import is_metric, metric_names
from acnorm.training.metrics import SIGNED
from acnorm.training.settings import config_from_settings, flat, known_keys

KEYS = (
    "base", "axes", "variants", "tasks", "folder", "exclude",
    "seeds", "folds", "fractions", "compare", "baseline", "metric", "search",
)  # fmt: skip
MADE_HERE = {
    "out": "cells lie in --out",
    "seed": "give seeds",
    "splits": "give folds",
    "resume": "the same command goes on",
    "overwrite": "give another --out",
}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """All runs of a bench.

    Args:
        base: settings of ``acnorm finetune`` that all runs share.
        axes: values of the settings that are varied, all with all.
        tasks: further settings by the name of a task, "variants" and "fractions" of its own among them; one without
            a name where there are none.
        variants: settings by a name that may stand among the values of an axis.
        folder: below which data and weights are looked for that are not there from where the command is given.
        exclude: combinations of axes (and "task") that are left out.
        seeds: of the divisions and of the runs.
        folds: of each seed.
        fractions: of the training labels.
        compare: the axis whose values are compared.
        baseline: the value of it that the others are compared with; the first where not given.
        metric: of the test split; where not given, what the runs choose their epoch by.
        search: trials of the settings of every run, judged on its validation cases; none where not given.
        source: what messages name.
        only: values of the runs that ``cells`` returns, by axis, "task", "fraction", "seed" or "fold"; all where empty.

    Raises:
        UserError: something that cannot be, in one line.

    Examples:
        >>> grid = Grid(base={}, axes={"method": ["vanilla", "acnorm"]}, seeds=(0, 1))
        >>> grid.compare, grid.baseline
        ('method', 'vanilla')
        >>> Grid(base={}, axes={"method": ["vanilla", "acnorm"]}, baseline="bss")
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: grid: baseline is 'bss', must be one of method: 'vanilla', 'acnorm'.
    """

    base: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exclude: Sequence[Mapping[str, Any]] = ()
    seeds: Sequence[int] = (0,)
    folds: int = 1
    fractions: Sequence[float] = (1.0,)
    compare: str = ""
    baseline: Any = None
    metric: str | None = None
    search: int | None = None
    source: str = "grid"
    variants: Variants = field(default_factory=dict)
    folder: str | None = None
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    random_baseline: bool = False  # the baseline is None on purpose, which stands for random weights

    def __post_init__(self) -> None:
        self._refuse_settings()
        axes = [name for name, values in self.axes.items() if len(values) > 1]
        if not self.compare:
            object.__setattr__(self, "compare", "method" if "method" in axes else (axes or [""])[0])
        if self.compare not in axes:
            told = f"one of {', '.join(axes)}" if axes else "an axis of two or more values; give one in axes"
            raise self._wrong(f"compare is {self.compare!r}, must be {told}")
        values = list(self.axes[self.compare])
        if self.baseline is None:
            object.__setattr__(self, "baseline", None if self.random_baseline else values[0])
        if self.baseline not in values:
            allowed = ", ".join(map(repr, values))
            raise self._wrong(f"baseline is {self.baseline!r}, must be one of {self.compare}: {allowed}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise self._wrong(f"seeds is {list(self.seeds)}, must be different whole numbers, 0 or more")
        if self.folds < 1:
            raise self._wrong(f"folds is {self.folds}, must be 1 or more")
        for task in (None, *self.tasks):
            place, fractions = "" if task is None else f"tasks: {task}: ", self._fractions(task)
            if not fractions or not all(0 < value <= 1 for value in fractions):
                raise self._wrong(f"{place}fractions is {list(fractions)}, must be numbers above 0, at most 1")
            if len(set(fractions)) < len(fractions):
                raise self._wrong(f"{place}fractions is {list(fractions)}, must be different numbers")
        if self.search is not None and self.search < 2:
            raise self._wrong(f"search is {self.search}, must be 2 or more trials")

    def _refuse_settings(self) -> None:
        places = (("base", self.base), ("axes", self.axes), *self.tasks.items(), *self._variants())
        for place, settings in places:
            for name in settings:
                if name in MADE_HERE:
                    raise self._wrong(f"{place}: {name} is set for every run; {MADE_HERE[name]}")
        for name, values in self.axes.items():
            if not values:
                raise self._wrong(f"axes: {name} has no values; give a list")
            if any(values.count(value) > 1 for value in values):
                raise self._wrong(f"axes: {name} has a value twice; give each once")
        if not self._variants():
            for name in self.axes:
                if not is_setting(name):
                    nearest = near(name, known_keys())
                    raise self._wrong(f"axes: {name} is no setting{nearest}, and there are no variants for its values")
        for task, settings in self.tasks.items():
            both = [name for name in settings if name in self.axes]
            if both:
                raise self._wrong(f"tasks: {both[0]} of {task} is an axis as well; leave it out of one of them")
        if "" in self.tasks:
            raise self._wrong("tasks: one has an empty name; give it a name")
        values = [value for axis in self.axes.values() for value in axis]
        unused = [name for name, _ in self._variants() if name not in values]
        if unused:
            raise self._wrong(f"variants: {unused[0]} is the value of no axis; give it in axes, or leave it out")
        if self.tasks and "task" in self.axes:
            raise self._wrong("axes: task is what tasks already name; leave it out of one of them")
        known = [*self.axes, *(["task"] if self.tasks else [])]
        for entry in self.exclude:
            for name, value in entry.items():
                if name not in known:
                    raise self._wrong(f"exclude: {name} is no axis; there are {', '.join(known)}")
                allowed = list(self.tasks) if name == "task" and self.tasks else list(self.axes.get(name, ()))
                if value not in allowed:
                    raise self._wrong(f"exclude: {name} is never {value!r}; it is {', '.join(map(repr, allowed))}")

    def _variants(self) -> list[tuple[str, Mapping[str, Any]]]:
        """All variants, also those of single tasks."""
        own = [item for settings in self.tasks.values() for item in settings.get(VARIANTS, {}).items()]
        return [*self.variants.items(), *own]

    def _fractions(self, task: str | None) -> Sequence[float]:
        """Those of a task where it has its own, else those of all."""
        found: Sequence[float] = self.tasks.get(task or "", {}).get(FRACTIONS, self.fractions)
        return found

    def selected(self, given: Sequence[str]) -> Grid:
        """Return the grid of which ``cells`` returns the asked runs alone.

        Args:
            given: such as "method=vanilla,acnorm"; "task", "fraction", "seed" and "fold" are axes here as well.

        Raises:
            UserError: no such axis or value.
        """
        if self.search is not None and given:
            raise self._wrong("a search runs all cells of a grid; leave out --only or search")
        tasks = {"task": list(self.tasks)} if self.tasks else {}
        fractions = dict.fromkeys(value for task in self.tasks or [None] for value in self._fractions(task))
        places = {"fraction": list(fractions), "seed": self.seeds, "fold": range(self.folds)}
        try:
            return replace(self, only=read_only(given, {**tasks, **self.axes, **places}))
        except UserError as error:
            raise UserError(f"{self.source}: {error}") from None

    def _asked(self, labels: Mapping[str, Any]) -> bool:
        return all(labels[name] in values for name, values in self.only.items() if name in labels)

    def _wrong(self, what: str) -> UserError:
        return UserError(f"{self.source}: {what}.")

    def cells(self) -> list[Cell]:
        """Return all runs, those of the first seed first.

        Raises:
            UserError: settings that cannot be, data that cannot be read or divided, a checkpoint that is not there.
        """
        known: dict[tuple[Any, ...], list[Division]] = {}
        made = [cell for labels, config in self.configs() for cell in self.of_config(labels, config, known)]
        self._refuse_metric(made)
        for told in (unpaired(made, self.compare), twin_tasks(made) if self.tasks else None):
            if told is not None:
                raise self._wrong(told)
        return sorted(made, key=lambda cell: (self.seeds.index(cell.labels["seed"]), cell.labels["fold"]))

    def _refuse_metric(self, cells: Sequence[Cell]) -> None:
        collections = {id(cell.inputs.collection): cell.inputs.collection for cell in cells}
        known = list(dict.fromkeys(name for found in collections.values() for name in metric_names(found)))
        known = [name for name in known if not name.startswith(SIGNED)]
        if self.metric is None or self.metric in known or (self.only and is_metric(self.metric)):
            return  # a task that is not asked for may have it
        told = f"{self.source}: metric is {self.metric!r}, which no run can be compared by"
        raise UserError(f"{told}; {hint(self.metric, known)}")

    def of_config(
        self, labels: Mapping[str, Any], config: FinetuneConfig, known: dict[tuple[Any, ...], list[Division]]
    ) -> Iterator[Cell]:
        """Give the runs of one of ``configs``: its seeds, folds and fractions.

        Args:
            labels: its values of the axes.
            config: its settings.
            known: divisions that were made before, to which those that are made here are added.
        """
        try:
            inputs = read_inputs(config)
            for seed in self.seeds:
                key = config.data, config.format, config.skip_bad, seed
                if key not in known:
                    known[key] = divisions(inputs.collection, folds=self.folds, seed=seed)
                yield from self._of_seed(labels, replace(config, seed=seed), inputs, known[key])
        except UserError as error:
            if not self.tasks:
                raise
            raise UserError(f"{self.source}: tasks: {labels['task']}: {error}") from None

    def _of_seed(
        self, labels: Mapping[str, Any], config: FinetuneConfig, inputs: Inputs, made: Sequence[Division]
    ) -> Iterator[Cell]:
        for fold, division in enumerate(made):
            for fraction in self._fractions(labels.get("task") if self.tasks else None):
                place = {**labels, "fraction": fraction, "seed": config.seed, "fold": fold}
                if not self._asked(place):
                    continue
                part = with_fraction(division, inputs.collection, fraction, config.seed)
                yield Cell(place, config, inputs, part)

    def configs(self) -> Iterator[tuple[dict[str, Any], FinetuneConfig]]:
        """Give the values of the axes and the settings of all runs, those of seeds, folds and fractions together."""
        found = compared = False
        seen: dict[str, Mapping[str, Any]] = {}
        alike: dict[str, dict[str, list[str]]] = {}
        tasks: list[tuple[str | None, Mapping[str, Any]]] = [*self.tasks.items()] or [(None, {})]
        for task, own in tasks:
            for values in product(*self.axes.values()):
                chosen = dict(zip(self.axes, values, strict=True))
                # an axis may be the setting "task" where no tasks are named
                labels = {**({} if task is None else {"task": task}), **chosen}
                if any(all(labels[name] == value for name, value in entry.items()) for entry in self.exclude):
                    continue
                if not self._asked(labels):
                    continue
                try:
                    config = config_from_settings(self._settings(own, chosen))
                except UserError as error:
                    where = "" if task is None else f"tasks: {task}: "
                    raise UserError(f"{self.source}: {where}{error}") from None
                if config.weights is None and config.make_method().needs_weights:
                    told = "compares with the source, or keeps it, and has no weights"
                    place = ", ".join(f"{name}: {value}" for name, value in labels.items())
                    raise self._wrong(f"{config.method} {told}; give weights, or exclude {{{place}}}")
                found, compared = True, compared or chosen[self.compare] == self.baseline
                if self.search is not None:
                    self._refuse_searched_axes(config, labels, seen)
                place = str({**labels, self.compare: None})
                alike.setdefault(place, {}).setdefault(_settled(config), []).append(repr(chosen[self.compare]))
                yield labels, config
        if not found:
            raise self._wrong(f"{'--only' if self.only else 'exclude'} leaves no run; leave some of it out")
        if not compared and not self.only:
            raise self._wrong(f"exclude leaves no run of the baseline {self.baseline!r}; leave some of it out")
        pair = None if self.only else twins([list(settled.values()) for settled in alike.values()])
        if pair:
            raise self._wrong(f"{self.compare}: {' and '.join(pair)} have the same settings; leave one of them out")

    def _settings(self, own: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a run: those of a task before those of all, those of the axes before both."""
        of_task = {name: value for name, value in own.items() if name not in OF_A_TASK}
        axes = chosen_settings(chosen, {**self.variants, **own.get(VARIANTS, {})})
        return with_folder({"out": "cells", **flat(self.base), **flat(of_task), **axes}, self.folder)

    def _refuse_searched_axes(
        self, config: FinetuneConfig, labels: Mapping[str, Any], seen: dict[str, Mapping[str, Any]]
    ) -> None:
        space = space_of(config)
        both = [name for name in self.axes if name in space]
        if both:
            raise self._wrong(f"axes: {both[0]} is searched as well; leave out the axis or search")
        rest = {name: value for name, value in flat(config.to_dict()).items() if name not in space}
        other = seen.setdefault(json.dumps(rest, sort_keys=True, default=str), labels)
        apart = [name for name in labels if labels[name] != other[name]]
        if apart:
            one, two = (repr(at[apart[0]]) for at in (other, labels))
            raise self._wrong(
                f"{apart[0]}: {one} and {two} differ in nothing but what is searched; leave one of them out, or search"
            )


def _settled(config: FinetuneConfig) -> str:
    """What decides the result of a run, its files by their names."""
    return json.dumps([deciding(config), config.data, config.weights, config.splits], sort_keys=True, default=str)


def read_grid(file: Path) -> Grid:
    """Read GRID.yaml.

    Raises:
        UserError: no such file, no YAML, unknown keys (with the nearest), values of a wrong kind.

    Examples:
        >>> read_grid(Path("nowhere.yaml"))
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: nowhere.yaml: no such file; give a YAML file of a grid.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file; give a YAML file of a grid.")
    try:
        content = load_unique(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: is not YAML ({' '.join(str(error).split())}).") from None
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: must hold {', '.join(KEYS)} as `name: value` lines.")
    unknown = [str(name) for name in content if name not in KEYS]
    if unknown:
        told = ", ".join(f"{name}{near(name, KEYS)}" for name in unknown)
        raise UserError(f"{file}: unknown keys: {told}; there are {', '.join(KEYS)}.")
    given = {name: _checked(file, name, value) for name, value in content.items() if value is not None}
    return Grid(
        **{"base": {}, "axes": {}} | given, source=str(file), random_baseline=content.get("baseline", "") is None
    )


def _checked(file: Path, name: str, value: Any) -> Any:
    if name == "seeds" and _is_whole(value):
        if value < 1:
            raise UserError(f"{file}: seeds is {value}, must be 1 or more.")
        return tuple(range(value))
    kinds: dict[str, tuple[str, bool]] = {
        "base": ("settings by name", isinstance(value, dict) and all(isinstance(key, str) for key in value)),
        "axes": ("lists by name, such as method: [vanilla, acnorm]", _holds(value, dict, list)),
        "tasks": ("settings by the name of a task", _holds(value, dict, dict) and _hold_their_own(value)),
        "variants": ("settings by the name of a variant", _holds(value, dict, dict)),
        "folder": ("a path", isinstance(value, str)),
        "exclude": ("a list of axes with values, such as - {method: bss}", _holds(value, list, dict)),
        "seeds": ("a number or a list of whole numbers", isinstance(value, list) and all(map(_is_whole, value))),
        "folds": ("a whole number", _is_whole(value)),
        "fractions": ("a list of numbers", isinstance(value, list) and all(map(_is_number, value))),
        "compare": ("the name of an axis", isinstance(value, str)),
        "metric": ("the name of a metric", isinstance(value, str)),
        "search": ("a whole number of trials", _is_whole(value)),
    }
    allowed, right = kinds.get(name, ("", True))
    if not right:
        raise UserError(f"{file}: {name} is {value!r}, must be {allowed}.")
    return value


def _holds(value: Any, outer: type, inner: type) -> bool:
    if not isinstance(value, outer):
        return False
    parts = cast(Iterable[Any], value.values() if isinstance(value, dict) else value)
    named = not isinstance(value, dict) or all(isinstance(name, str) for name in value)
    return named and all(isinstance(part, inner) for part in parts)


def _hold_their_own(tasks: Mapping[str, Mapping[str, Any]]) -> bool:
    own = tasks.values()
    fractions = [settings.get(FRACTIONS, []) for settings in own]
    listed = all(isinstance(values, list) and all(map(_is_number, values)) for values in fractions)
    return listed and all(_holds(settings.get(VARIANTS, {}), dict, dict) for settings in own)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
