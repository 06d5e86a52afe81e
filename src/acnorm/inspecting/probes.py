"""The images that the networks of several runs are tried on: those that none of them has learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from acnorm.data.case import UNUSED, Case
from acnorm.data.dataset import CaseDataset
from acnorm.data.fingerprint import fingerprint
from acnorm.errors import UserError, counted
from acnorm.inspecting.folders import InspectedRun
from acnorm.inspecting.networks import data_of

LEAST = 8  # images, where runs of several divisions have few test cases in common: with 16 places each, 128 values


def probes_of(runs: Sequence[InspectedRun], count: int) -> tuple[dict[str, tuple[Case, ...] | None], list[str]]:
    """Return the cases that networks are tried on, by the name of the data, and what is to be said of them.

    Args:
        runs: of any number of data sets.
        count: of cases of each.

    Returns:
        Up to ``count`` cases of each, evenly spaced among those that are in the test set of every run on these data;
        none where they cannot be had, None of label maps, which are looked at in patches. And lines on what is missing.

    Examples:
        >>> probes_of([], 64)
        ({}, [])
    """
    found: dict[str, tuple[Case, ...] | None] = {}
    told: list[str] = []
    for name in dict.fromkeys(run.data for run in runs):
        chosen = [run for run in runs if run.data == name]
        try:
            cases, most = _held_out(chosen, count)
        except UserError as error:
            found[name] = ()
            told.append(f"Images of {name} are not looked at: {str(error).rstrip('.')}.")
            continue
        found[name] = None if cases is None else _spread(cases, count)
        if cases is not None and len(cases) < most:
            told.append(
                f"Images of {name}: networks are tried on {len(cases)} in the place of {most}; the test sets of its "
                f"{len(chosen)} runs have no more in common."
            )
    return found, told


def _held_out(runs: Sequence[InspectedRun], count: int) -> tuple[tuple[Case, ...] | None, int]:
    """The cases that are test in every one of some runs on the same data, and how many of them there might be."""
    first, *others = runs
    data = data_of(first.config, first.folder)
    if not isinstance(data.test, CaseDataset):
        return None, 0
    for run in others:
        _refuse_other_content(run, data)
    cases = tuple(case for case in data.test.cases if all(run.used.splits.get(case.id) == "test" for run in others))
    sizes = [list(run.used.splits.values()).count("test") for run in others]
    most = min(count, len(data.test.cases), *sizes)
    least = min(LEAST, most)
    if len(cases) < least:
        raise UserError(
            f"the test sets of its {len(runs)} runs have {counted(len(cases), 'case')} in common, {least} are needed "
            "(from others some run learnt or took its epoch); inspect runs of one division (--splits of acnorm "
            "finetune), or of one seed"
        )
    return cases, most


def _refuse_other_content(run: InspectedRun, data: Any) -> None:
    """Refuse a run of which it is not known which of these cases it tested, or which saw others under their ids."""
    splits = run.used.splits
    if not splits:
        raise UserError(f"{run.folder.splits}: is not there, so its test cases are not known; leave the run out")
    cases = [case for part in (*data.splits.by_name().values(), data.splits.unused) for case in part]
    used = [case for case in cases if splits.get(case.id, UNUSED) != UNUSED]
    if run.used.fingerprint and fingerprint(used) != run.used.fingerprint:
        raise UserError(f"{run.config.data}: has changed since {run.name} was trained on it")


def _spread(cases: Sequence[Case], count: int) -> tuple[Case, ...]:
    places = np.unique(np.linspace(0, len(cases) - 1, min(count, len(cases))).round().astype(int))
    return tuple(cases[place] for place in places)
