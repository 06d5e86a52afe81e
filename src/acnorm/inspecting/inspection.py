"""An inspection of runs: everything that is computed, before any of it is drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from acnorm.bench.statistics import corrected_resampled_t
from acnorm.errors import UserError
from acnorm.inspecting.folders import InspectedRun, read_runs
from acnorm.inspecting.layers import ALIGNED, alignment_of, movement_of
from acnorm.inspecting.probes import probes_of
from acnorm.inspecting.spaces import places_of, scores_of, vectors_of

IMAGES, PERMUTATIONS = 64, 999
ABOUT = ("run", "domain", "method", "seed")
COMPARED = ("ratio", *ALIGNED, "percentile")


@dataclass(frozen=True)
class Inspection:
    """What was found.

    runs: one row a run, with means over layers after training. movement: by run, layer and epoch. separability: by
    method, space and statistic. places: principal components by space and run. alignment: by run and layer. partners:
    by run. differences: with AC-Norm less without, by domain and quantity. missing: what could not be said, and why.

    Examples:
        >>> Inspection.__name__
        'Inspection'
    """

    runs: pd.DataFrame
    movement: pd.DataFrame
    separability: pd.DataFrame
    places: pd.DataFrame
    alignment: pd.DataFrame
    partners: pd.DataFrame
    differences: pd.DataFrame
    missing: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: each table as a list of rows, None where a value is not defined."""
        tables = {name: value for name, value in vars(self).items() if isinstance(value, pd.DataFrame)}
        plain = {
            name: json.loads(table.to_json(orient="records", double_precision=10)) for name, table in tables.items()
        }
        return {**plain, "missing": list(self.missing)}

    def to_table(self) -> pd.DataFrame:
        """Movement and alignment as one long table: run, domain, method, seed, layer, epoch, quantity, value."""
        parts = []
        for table in (self.movement, self.alignment):
            if not table.empty:
                keys = [*ABOUT, "layer", "channels", *(["epoch"] if "epoch" in table else [])]
                parts.append(table.melt(keys, var_name="quantity", value_name="value"))
        if not parts:
            return pd.DataFrame(columns=[*ABOUT, "layer", "channels", "epoch", "quantity", "value"])
        whole = pd.concat(parts, ignore_index=True)
        return whole.assign(epoch=whole["epoch"].astype("Int64") if "epoch" in whole else None)


def inspect_runs(
    runs: Sequence[Path | str],
    *,
    domains: Sequence[str] | None = None,
    images: int = IMAGES,
    permutations: int = PERMUTATIONS,
    model: str | None = None,
) -> Inspection:
    """Inspect finished runs; nothing is written.

    Args:
        runs: folders of ``acnorm finetune``.
        domains: of each run, in their order; the name of its data where not given.
        images: of each data set (cases that are test in all runs on it, evenly spaced) that networks are tried on.
        permutations: for p values of partners; those of domains are exact where there are at most ten times as many
            arrangements.
        model: "module:function" of the runs whose network is your own.

    Raises:
        UserError: as ``read_runs``, or a number out of its range. What cannot be said of single runs is in
            ``missing`` instead.

    Examples:
        >>> inspect_runs(["run"], images=1)
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --images is 1, must be 2 or more.
    """
    for name, value, least in (("images", images, 2), ("permutations", permutations, 1)):
        if value < least:
            raise UserError(f"--{name} is {value}, must be {least} or more.")
    read = read_runs(runs, domains, model=model)
    cases, missing = probes_of(read, images)
    vectors, left_out = vectors_of(read, cases)
    scores, unsaid = scores_of(vectors, read, most=10 * permutations + 9)
    moved = [movement_of(run) for run in read]
    aligned = [alignment_of(run, cases[run.data], images, permutations) for run in read]
    reasons = [*missing, *left_out, *unsaid, *(told for part in (*moved, *aligned) for told in part.missing)]
    movement = _joined(read, [part.table for part in moved])
    alignment = _joined(read, [part.table for part in aligned])
    partners = _joined(read, [part.partners for part in aligned])
    summary = _summary(read, movement, alignment, partners)
    return Inspection(
        runs=summary,
        movement=movement,
        separability=scores,
        places=places_of(vectors, read),
        alignment=alignment,
        partners=partners,
        differences=differences(read, summary),
        missing=tuple(dict.fromkeys(reasons)),
    )


def _joined(runs: Sequence[InspectedRun], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    parts = [
        table.assign(run=run.name, domain=run.domain, method=run.config.method, seed=run.config.seed)
        for run, table in zip(runs, tables, strict=True)
        if not table.empty
    ]
    if not parts:
        return pd.DataFrame()
    whole = pd.concat(parts, ignore_index=True)
    return whole[[*ABOUT, *(name for name in whole if name not in ABOUT)]]


def _summary(
    runs: Sequence[InspectedRun], movement: pd.DataFrame, alignment: pd.DataFrame, partners: pd.DataFrame
) -> pd.DataFrame:
    about = [
        {
            "run": run.name,
            "domain": run.domain,
            "method": run.config.method,
            "seed": run.config.seed,
            "source": run.source[:12],
            "recorded": 0 if run.trajectory is None else len(run.trajectory.epochs) - 1,
        }
        for run in runs
    ]
    whole = pd.DataFrame(about)
    if not movement.empty:
        last = movement[movement["epoch"] == movement.groupby("run")["epoch"].transform("max")]
        whole = whole.merge(_means(last, ["ratio", "ratio_median", "weight", "bias"]), on="run", how="left")
    if not alignment.empty:
        whole = whole.merge(_means(alignment, [*ALIGNED]), on="run", how="left")
    if not partners.empty:
        kept = partners.drop(columns=[*ABOUT[1:]])
        whole = whole.merge(kept, on="run", how="left")
    return whole


def _means(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return table.groupby("run", sort=False)[names].mean().reset_index()


def differences(runs: Sequence[InspectedRun], summary: pd.DataFrame) -> pd.DataFrame:
    """Return, by domain and quantity, the mean over pairs of runs of AC-Norm's value less that without it.

    A pair is two runs on the same data whose settings differ in nothing but that ``acnorm`` is one of the methods of
    one.

    Examples:
        >>> differences([], pd.DataFrame({"run": []})).empty
        True
    """
    values = summary.set_index("run")
    rows = []
    pairs = [(with_, without) for with_ in runs for without in runs if _is_pair(with_, without)]
    for domain in dict.fromkeys(with_.domain for with_, _ in pairs):
        chosen = [(with_.name, without.name) for with_, without in pairs if with_.domain == domain]
        first, second = ([pair[at] for pair in chosen] for at in (0, 1))
        for quantity in (name for name in COMPARED if name in values):
            column = values[quantity].astype(float)
            given = column.loc[first].to_numpy() - column.loc[second].to_numpy()
            given = given[np.isfinite(given)]
            if len(given):
                found = corrected_resampled_t(given, 0.0)
                row = {"domain": domain, "quantity": quantity, "pairs": len(given)}
                rows.append({**row, "difference": found.mean, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def _is_pair(first: InspectedRun, second: InspectedRun) -> bool:
    methods = [name for name in first.config.method.split("+") if name != "acnorm"] or ["vanilla"]
    alike = set(first.config.difference(second.config)) <= {"method", "acnorm", "out", "data"}
    same = (first.domain, first.data) == (second.domain, second.data)
    return first.with_acnorm and second.config.method == "+".join(methods) and same and alike
