"""Runs in, one self-contained HTML page out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from acnorm.errors import UserError
from acnorm.report import acnorm_figures, comparison, figures, pretraining, summary
from acnorm.report.drawing import with_prefix
from acnorm.report.page import page
from acnorm.report.read import read_run
from acnorm.report.records import Metric, Run

ABSENT = "is missing: the run was interrupted before it was written, or is still going."


@dataclass(frozen=True)
class Page:
    """One run as the template shows it: the record, its words and its figures (None where a file is missing)."""

    run: Run
    name: str
    anchor: str
    subject: str
    headline: list[tuple[str, Metric]]
    basis: str
    cautions: list[str]
    shown_split: str
    without_curve: list[str]
    correlation_layer: str
    waiting: float | None
    pictures: dict[str, Markup]


def write_report(runs: Sequence[Path | str] | Path | str, out: Path | str | None = None) -> Path:
    """Write the report of one run, or of several side by side, and give its path.

    The page is one file that loads nothing.

    Args:
        runs: folder of a run, or those of several.
        out: the file; `report.html` where not given, in the run's folder for one run and in the current folder for
            several.

    Raises:
        UserError: no run or the same run twice is given, a pretraining run beside others, a folder is not a run or one
            of its files is spoilt, or `out` cannot be written.

    Examples:
        >>> write_report([])
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: no run was given; give the folder of one run or of several.
    """
    folders = [Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)]
    if not folders:
        raise UserError("no run was given; give the folder of one run or of several.")
    if out is None:
        out = folders[0] / "report.html" if len(folders) == 1 else Path("report.html")
    pretrained = [folder for folder in folders if pretraining.is_pretraining(folder)]
    if pretrained and len(folders) > 1:
        raise UserError(f"'{pretrained[0]}' is a pretraining run, which has a report of its own; give it alone.")
    html = pretraining.render(folders[0]) if pretrained else render([read_run(folder) for folder in folders])
    _replace(Path(out), html)
    return Path(out)


def render(runs: Sequence[Run]) -> str:
    """The page as text.

    Raises:
        UserError: the same run is given twice, or a run's tensors cannot be read.
    """
    folders = [run.folder for run in runs]
    repeated = next((folder for folder in folders if folders.count(folder) > 1), None)
    if repeated is not None:
        raise UserError(f"the run '{repeated}' is given twice; give each run once.")
    names = comparison.run_names(runs)
    return page(
        "template.html",
        pages=[_page(run, name, f"run-{index}") for index, (run, name) in enumerate(zip(runs, names, strict=True), 1)],
        together=_together(runs, names) if len(runs) > 1 else None,
        absent=ABSENT,
    )


def _page(run: Run, name: str, anchor: str) -> Page:
    shown = next((split for split in ("test", "val") if run.split_cases(split) is not None), "")
    cases = run.split_cases(shown)
    pictures = _run_pictures(run) | ({} if cases is None else _case_pictures(run, cases, shown))
    layer = None if run.acnorm is None else acnorm_figures.most_drifted(run.acnorm)
    present = set() if cases is None else set(np.flatnonzero(_truth(run, cases).any(axis=0)).tolist())
    classes = _classes(run, cases)
    return Page(
        run=run,
        name=name,
        anchor=anchor,
        subject=summary.subject(run),
        headline=summary.headline(run),
        basis=summary.basis(run),
        cautions=summary.cautions(run),
        shown_split=shown,
        without_curve=[name for index, name in enumerate(classes) if index not in present],
        correlation_layer="" if layer is None else layer.name,
        waiting=summary.waiting(run),
        pictures={key: Markup(with_prefix(svg, f"{anchor}-{key}")) for key, svg in pictures.items()},
    )


def _run_pictures(run: Run) -> dict[str, str]:
    pictures: dict[str, str] = {}
    if run.data is not None and run.data.counts:
        pictures["counts"] = figures.class_counts(run.data.counts, run.data.classes, run.data.cases)
    if run.history is not None:
        best = None if run.results is None else run.results.best_epoch
        pictures["curves"] = figures.learning_curves(run.history, best)
    if run.results is not None:
        rows = {name: split.metrics for name, split in run.results.splits.items()}
        observers = {name: split.observer for name, split in run.results.splits.items()}
        rows |= {f"second observer ({name})": found.metrics for name, found in observers.items() if found is not None}
        drawn = _intervals(rows)
        pictures |= {} if drawn is None else {"intervals": drawn}
    if run.scores is not None and run.classes[1:]:
        pictures["scores"] = figures.case_scores(run.scores, run.classes[1:])
    if run.acnorm is not None and run.acnorm.layers:
        pictures["layers"] = acnorm_figures.layers(run.acnorm.layers)
        layer = acnorm_figures.most_drifted(run.acnorm)
        if layer is not None:
            pictures["correlation"] = acnorm_figures.correlation(run.acnorm, layer)
    return pictures


def _case_pictures(run: Run, cases: pd.DataFrame, split: str) -> dict[str, str]:
    labels = cases["label"].to_numpy(dtype=np.int64)
    predictions = cases["prediction"].to_numpy(dtype=np.int64)
    truth = _truth(run, cases)
    shares = cases.filter(like="probability_").to_numpy(dtype=np.float64)
    classes = _classes(run, cases)
    measured = None if run.results is None else run.results.splits.get(split)
    error = None if measured is None else measured.metrics.get("expected_calibration_error")
    if run.several:
        return {
            "discrimination": figures.discrimination(truth, shares, classes),
            "calibration": figures.calibration(truth.reshape(-1), shares.reshape(-1), None, ("there", "not there")),
        }
    right, confidence = shares.argmax(axis=1) == labels, shares.max(axis=1)
    shown = truth[:, 1:] if len(classes) == 2 else truth  # of two classes, one says it all
    return {
        "confusion": figures.confusion(labels, predictions, classes),
        "discrimination": figures.discrimination(shown, shares[:, -shown.shape[1] :], classes[-shown.shape[1] :]),
        "calibration": figures.calibration(right, confidence, None if error is None else error.value),
    }


def _truth(run: Run, cases: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which classes each case shows, [case, class]."""
    if run.several:
        shown: npt.NDArray[np.bool_] = cases.filter(like="truth_").to_numpy(dtype=bool)
        return shown
    labels = cases["label"].to_numpy(dtype=np.int64)
    each: npt.NDArray[np.bool_] = labels[:, None] == np.arange(len(_classes(run, cases)))
    return each


def _classes(run: Run, cases: pd.DataFrame | None) -> list[str]:
    """The class names, with numbers for those that have probabilities but no name."""
    shares = 0 if cases is None else len(cases.filter(like="probability_").columns)
    return [*run.classes, *(f"class {index}" for index in range(len(run.classes), shares))]


def _intervals(rows: Mapping[str, Mapping[str, Metric]]) -> str | None:
    """The figure of all metrics that are defined in some row; None where none is."""
    named = {
        row: {summary.metric_name(key): metric for key, metric in metrics.items() if metric.value is not None}
        for row, metrics in rows.items()
    }
    names = list(dict.fromkeys(name for metrics in named.values() for name in metrics))
    return figures.intervals(named, names) if names else None


def _together(runs: Sequence[Run], names: Sequence[str]) -> dict[str, object]:
    """What the template shows of several runs side by side."""
    sources = dict.fromkeys(str(run.config["data"]) for run in runs if "data" in run.config)
    tables = []
    for split in ("test", "val"):
        rows = [run.results.splits.get(split) if run.results else None for run in runs]
        keys = dict.fromkeys(key for row in rows if row is not None for key in row.metrics)
        if not keys:
            continue
        columns = {key: [None if row is None else row.metrics.get(key) for row in rows] for key in keys}
        best = {key: comparison.best_rows(key, values) for key, values in columns.items()}
        tables.append({"split": split, "columns": columns, "best": best})
    tested = {
        name: run.results.splits["test"].metrics
        for run, name in zip(runs, names, strict=True)
        if run.results and "test" in run.results.splits
    }
    drawn = _intervals(tested)
    histories = {name: run.history for run, name in zip(runs, names, strict=True) if run.history is not None}
    return {
        "tables": tables,
        "intervals": None if drawn is None else Markup(with_prefix(drawn, "together-intervals")),
        "curves": Markup(with_prefix(comparison.overlaid_curves(histories), "together-curves")) if histories else None,
        "settings": comparison.differing_settings(runs),
        "subject": f"Trained on {', '.join(sources)}." if sources else "",
        "cautions": comparison.cautions(runs, names),
    }


def _replace(out: Path, text: str) -> None:
    """Write beside the file, then rename: a reader sees the old page or the new one, never half of it."""
    if out.is_dir():
        raise UserError(f"'{out}' is a folder; give --out a file, such as {out / 'report.html'}.")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, out)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise UserError(f"'{out}' cannot be written ({error.strerror}); give --out another file.") from None
