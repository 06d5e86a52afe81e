"""A finished run on new images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from acnorm.data.atomic import replacing
from acnorm.data.case import Case, Collection
from acnorm.data.dataset import CaseDataset
from acnorm.data.formats import read_cases
from acnorm.data.images import is_image
from acnorm.errors import UserError
from acnorm.training.evaluate import Predictions, predict_cases
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import load_shipped


def predict(
    run: Path | str,
    data: Path | str,
    *,
    out: Path | str | None = None,
    format: str | None = None,
    model: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Predict every case of ``data`` with the network of a finished run and write a CSV.

    Columns: id, image, prediction (name of the class), probability_<class>; with labelled data also label.

    Args:
        run: folder of a finished run.
        data: an image, a folder of images without labels, or labelled data in any format of ``acnorm check``.
        out: the CSV; ``predictions/<name of data>.csv`` in the run where not given.
        format: of labelled data.
        model: "module:function" where the run's network is one of your own.
        overwrite: replace an existing CSV.

    Raises:
        UserError: the run is not finished, the data cannot be read, or the CSV exists.

    Examples:
        >>> predict("nowhere", "eyes")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: nowhere: is not a finished run (no model/model.json)
    """
    folder, data = RunFolder(Path(run)), Path(data)
    shipped = load_shipped(folder, model)
    target = (
        Path(out)
        if out is not None
        else folder.path / "predictions" / f"{data.name if data.is_dir() else data.stem}.csv"
    )
    if target.suffix.lower() != ".csv":
        raise UserError(f"--out {target}: predictions are a table; give a name that ends in .csv.")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists; give --out another file, or --overwrite.")
    collection = _cases(data, format)
    if collection is None:
        cases, labelled = _unlabelled(data), False
    else:
        cases, labelled = _relabelled(collection, shipped.classes), True
    found = predict_cases(shipped.network, CaseDataset(cases, shipped.preprocessing))
    with replacing(target) as draft:
        _table(found, shipped.classes, labelled).to_csv(draft, index=False)
    return target


def _cases(data: Path, format: str | None) -> Collection | None:
    """Labelled cases, or None for an image or a folder that directly holds images."""
    flat = data.is_dir() and any(is_image(file) for file in data.iterdir() if file.is_file())
    if format is None and (flat or (data.is_file() and is_image(data))):
        return None
    return read_cases(data, format)


def _unlabelled(data: Path) -> tuple[Case, ...]:
    files = [data] if data.is_file() else sorted(file for file in data.iterdir() if file.is_file() and is_image(file))
    return tuple(Case(id=file.name, image=file, label=0) for file in files)


def _relabelled(collection: Collection, classes: tuple[str, ...]) -> tuple[Case, ...]:
    """Labels counted as in the run, whatever the order or number of classes in the new data."""
    strange = [name for name in collection.classes if name not in classes]
    if strange:
        raise UserError(
            f"{collection.source}: has class {', '.join(strange)}, which the run does not know "
            f"({', '.join(classes)}); give the images alone to predict them all the same."
        )
    return tuple(replace(case, label=classes.index(collection.classes[case.label])) for case in collection.cases)


def _table(found: Predictions, classes: tuple[str, ...], labelled: bool) -> pd.DataFrame:
    table = pd.DataFrame({"id": [case.id for case in found.cases], "image": [case.where() for case in found.cases]})
    if labelled:
        table["label"] = [classes[case.label] for case in found.cases]
    table["prediction"] = [classes[at] for at in found.probabilities.argmax(axis=1)]
    for at, name in enumerate(classes):
        table[f"probability_{name}"] = found.probabilities[:, at].round(6)
    return table
