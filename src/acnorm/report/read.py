"""A run folder, read into a `Run`: a missing file becomes None, a spoilt one is an error that names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import yaml

from acnorm.data.tables import read_table
from acnorm.errors import UserError
from acnorm.report.records import (
    SPLITS,
    ACNormFacts,
    DataFacts,
    Example,
    LayerFacts,
    LoadFacts,
    Metric,
    NameGroup,
    Results,
    Run,
    Slice,
    SplitResult,
    StatisticsGap,
)
from acnorm.report.thumbnail import thumbnail

Record = TypeVar("Record")
GROUPS = ("loaded", "adapted", "missing", "unexpected", "head")
CURVES = (
    "epoch",
    "learning_rate",
    "train_loss",
    "val_loss",
    "val_macro_auc",
    "val_accuracy",
    "val_dice",
    "val_quadratic_kappa",
    "val_macro_average_precision",
)
CASE_COLUMNS = ("split", "id", "label", "prediction", "loss", "probability_0")
REMEDY = "run it again, or move that file away to leave its section out"


def read_run(folder: Path) -> Run:
    """Read a run folder; what an interrupted run did not write is None.

    Raises:
        UserError: the folder is not a run, or one of its files cannot be read.

    Examples:
        >>> read_run(Path("nowhere"))
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: 'nowhere' is not a folder; give the folder of a run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder; give the folder of a run.")
    if not (folder / "config.yaml").is_file():
        raise UserError(f"'{folder}' is not a run: it has no config.yaml; give the folder of a run.")
    results = _read(folder / "metrics.json", _results)
    data = _read(folder / "data.json", _data)
    classes = results.classes if results else data.classes if data else ()
    segments = results is not None and results.task == "segmentation"
    several = results is not None and results.task == "multilabel"
    per_case = folder / "per_case.csv"
    return Run(
        folder=folder.resolve(),
        config=_config(folder / "config.yaml"),
        history=_history(folder / "metrics.csv"),
        results=results,
        cases=None if segments else _cases(per_case, classes, several),
        data=data,
        load=_read(folder / "load_report.json", _load),
        examples=_read(folder / "examples.json", lambda raw: _examples(raw, folder, classes)) or (),
        acnorm=_read(folder / "acnorm.json", lambda raw: _acnorm(raw, folder)),
        scores=_scores(per_case) if segments else None,
    )


def _read(path: Path, build: Callable[[Any], Record]) -> Record | None:
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"'{path}' is not valid JSON ({error}); {REMEDY}.") from None
    try:
        return build(raw)
    except KeyError as error:
        raise UserError(f"'{path}' lacks {error}; {REMEDY}.") from None
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"'{path}' is not as acnorm writes it ({error}); {REMEDY}.") from None


def _config(path: Path) -> Mapping[str, object]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        cause = " ".join(str(error).split())
        raise UserError(f"'{path}' is not valid YAML ({cause}); give a run whose config can be read.") from None
    if not isinstance(raw, Mapping):
        raise UserError(f"'{path}' holds no keys; give a run whose config can be read.")
    return dict(_flat(raw))


def _flat(raw: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for key, value in raw.items():
        name = f"{prefix}{key}"
        pairs += _flat(value, f"{name}.") if isinstance(value, Mapping) and value else [(name, value)]
    return pairs


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        table = read_table(path, ("split", "id", "patient"))
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        cause = " ".join(str(error).split())
        raise UserError(f"'{path}' is not a valid CSV table ({cause}); {REMEDY}.") from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(f"'{path}' lacks the column {', '.join(map(repr, missing))}; {REMEDY}.")
    return table if len(table) else None


def _history(path: Path) -> pd.DataFrame | None:
    table = _table(path, ("epoch",))
    if table is None:
        return None
    try:
        table["epoch"] = [int(epoch) + 1 for epoch in table["epoch"]]
        for column in set(CURVES) & set(table.columns):
            table[column] = pd.to_numeric(table[column])
    except (TypeError, ValueError) as error:
        raise UserError(f"'{path}' is not as acnorm writes it ({error}); {REMEDY}.") from None
    return table


def _cases(path: Path, classes: Sequence[str], several: bool) -> pd.DataFrame | None:
    table = _table(path, CASE_COLUMNS)
    if table is None:
        return None
    shares = [column for column in table.columns if column.startswith("probability_")]
    try:
        if several:
            shown = [_class_indices(value) for value in table["label"]]
            for at in range(len(shares)):
                table[f"truth_{at}"] = [at in labels for labels in shown]
            table[["label", "prediction"]] = 0
        for column in ("label", "prediction"):
            table[column] = [_class_index(value, classes) for value in table[column]]
        finite = np.isfinite(table[shares].to_numpy(dtype=float)).all(axis=1)
    except (TypeError, ValueError) as error:
        raise UserError(f"'{path}' is not as acnorm writes it ({error}); {REMEDY}.") from None
    if not finite.all():
        first = table["id"].iloc[int(np.argmin(finite))]
        raise UserError(f"'{path}' holds a probability that is no number (case {first!r}); {REMEDY}.")
    if classes and len(shares) != len(classes):
        raise UserError(f"'{path}' has {len(shares)} probability columns for {len(classes)} classes; {REMEDY}.")
    highest = int(table[["label", "prediction"]].to_numpy().max())
    if highest >= len(shares):
        raise UserError(f"'{path}' names class {highest} but has {len(shares)} probability columns; {REMEDY}.")
    return table


def _scores(path: Path) -> pd.DataFrame | None:
    table = _table(path, ("split", "id", "dice"))
    if table is None:
        return None
    try:
        for column in table.columns.difference(["split", "id", "patient"]):
            table[column] = pd.to_numeric(table[column])
    except (TypeError, ValueError) as error:
        raise UserError(f"'{path}' is not as acnorm writes it ({error}); {REMEDY}.") from None
    return table


def _class_indices(value: object) -> set[int]:
    """The classes of a cell such as 0|2, or none."""
    text = str(value)
    return set() if text == "none" else {int(part) for part in text.split("|")}


def _class_index(value: object, classes: Sequence[str]) -> int:
    if value in classes:
        return list(classes).index(str(value))
    index = int(value)  # type: ignore[call-overload]
    if index != value or index < 0:
        raise ValueError(f"{value!r} is no class")
    return int(index)


def _class_name(value: object, classes: Sequence[str]) -> str:
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    return str(value)


def _results(raw: Any) -> Results:
    splits = {name: _split(split) for name, split in raw["splits"].items()}
    parameters = raw.get("parameters") or {}
    return Results(
        classes=tuple(map(str, raw["classes"])),
        resampled=str(raw["resampled"]),
        monitor=str(raw.get("monitor", "")),
        best_epoch=None if raw.get("best_epoch") is None else int(raw["best_epoch"]) + 1,
        epochs=_whole(raw.get("epochs")),
        seconds=_real(raw.get("seconds")),
        splits=splits,
        trainable=_whole(parameters.get("trainable")),
        total=_whole(parameters.get("total")),
        task=str(raw.get("task", "classification")),
        gap=_gap(raw.get("statistics_gap")),
    )


def _split(raw: Any) -> SplitResult:
    observer = raw.get("second_observer")
    return SplitResult(
        cases=int(raw["cases"]),
        patients=_whole(raw.get("patients")),
        metrics={key: _metric(metric) for key, metric in raw["metrics"].items()},
        absent={str(name): int(count) for name, count in raw.get("absent", {}).items()},
        undefined={str(name): int(count) for name, count in raw.get("undefined", {}).items()},
        observer=None if observer is None else _split(observer),
    )


def _metric(raw: Any) -> Metric:
    reason = raw.get("reason")
    return Metric(
        value=_real(raw["value"]),
        low=_real(raw.get("low")),
        high=_real(raw.get("high")),
        reason=None if reason is None else str(reason),
    )


def _real(value: Any) -> float | None:
    return None if value is None or not np.isfinite(float(value)) else float(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _data(raw: Any) -> DataFacts:
    classes = tuple(map(str, raw["classes"]))
    known = [split for split in SPLITS if split in raw["counts"]]
    splits = known + [split for split in raw["counts"] if split not in known]
    patients = raw.get("patients")
    return DataFacts(
        source=str(raw["source"]),
        format=str(raw.get("format", "")),
        classes=classes,
        origin=str(raw.get("origin", "")),
        counts={split: _counts(raw["counts"][split], classes) for split in splits},
        patients=None if patients is None else {split: int(count) for split, count in patients.items()},
        image=tuple(int(side) for side in raw.get("image") or ()),
        warnings=tuple(map(str, raw.get("warnings", ()))),
        cases=None if raw.get("cases") is None else {split: int(count) for split, count in raw["cases"].items()},
    )


def _counts(raw: Mapping[str, int], classes: Sequence[str]) -> list[int]:
    return [int(raw.get(str(index), raw.get(name, 0))) for index, name in enumerate(classes)]


def _load(raw: Any) -> LoadFacts:
    return LoadFacts(
        file=str(raw["file"]),
        sha256=str(raw.get("sha256", "")),
        groups={
            group: NameGroup(int(raw[group]["count"]), tuple(map(str, raw[group].get("names", ()))))
            for group in GROUPS
            if raw.get(group) is not None
        },
        parameter_share=_real(raw.get("parameter_share")),
        norm_share=_real(raw.get("norm_share")),
    )


def _examples(raw: Any, folder: Path, classes: Sequence[str]) -> tuple[Example, ...]:
    examples = []
    for entry in raw:
        image, small = thumbnail(folder, str(entry["image"]))
        examples.append(
            Example(
                id=str(entry["id"]),
                label="" if "score" in entry else _class_name(entry["label"], classes),
                prediction="" if "score" in entry else _class_name(entry["prediction"], classes),
                probability=float("nan") if "score" in entry else float(entry["probability"]),
                loss=float("nan") if "score" in entry else float(entry["loss"]),
                kind=str(entry["kind"]),
                image=image,
                small=small,
                score=_real(entry.get("score")),
                slices=_slices(entry, folder),
            )
        )
    return tuple(examples)


def _slices(entry: Mapping[str, Any], folder: Path) -> tuple[Slice, ...]:
    shown = []
    for part in sorted(entry.get("slices", ()), key=lambda part: int(part["slice"])):
        image, _ = thumbnail(folder, str(part["image"]))
        if image is not None:
            shown.append(Slice(int(part["slice"]), image, first=part["image"] == entry["image"]))
    return tuple(shown)


def _gap(raw: Any) -> StatisticsGap | None:
    return None if raw is None else StatisticsGap(float(raw["loss_batch"]), float(raw["loss_running"]))


def _acnorm(raw: Any, folder: Path) -> ACNormFacts:
    tensors = folder / "acnorm.safetensors"
    return ACNormFacts(
        temperature=float(raw["temperature"]),
        eps=float(raw["eps"]),
        layers=tuple(
            LayerFacts(
                name=str(layer["name"]),
                channels=int(layer["channels"]),
                gain=float(layer["gain"]),
                sparsity=float(layer["sparsity"]),
                drift=float(layer["drift"]),
            )
            for layer in raw["layers"]
        ),
        left_alone=tuple(
            {key: str(entry[key]) for key in ("name", "type", "reason")} for entry in raw.get("left_alone", ())
        ),
        tensors=tensors if tensors.is_file() else None,
        partners=str(raw.get("partners", "paper")),
    )
