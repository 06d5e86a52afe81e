"""A finished run on new images."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from acnorm.data.atomic import replacing
from acnorm.data.case import Case, Collection, named
from acnorm.data.dataset import CaseDataset
from acnorm.data.formats import FORMATS, medmnist, read_cases, table
from acnorm.data.formats.medmnist import is_array_of_one
from acnorm.data.formats.settle import split_name
from acnorm.data.formats.unlabelled import images_below
from acnorm.data.images import is_image
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.preprocessing import changes_of
from acnorm.errors import UserError
from acnorm.training.evaluate import Predictions, predict_cases
from acnorm.training.predict_masks import predict_masks
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import load_shipped

logger = logging.getLogger("acnorm")


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

    Columns: id, image, prediction (name of the class, or of all from a probability of a half on with bars between where
    there may be several), probability_<class>; with labelled data also label. A run on label maps writes a folder of
    them instead, each in the geometry of its image (see ``predict_masks``).

    Args:
        run: folder of a finished run.
        data: an image; a folder of images, also in folders below, without labels; a table without labels; or labelled
            data in any format of ``acnorm check``, folders named as the run's classes among them. A run on volumes
            takes DICOM files as slices, each folder of them as one volume; a run on 2D images takes each as an image.
        out: the CSV, or the folder of label maps; ``predictions/<name of data>`` in the run where not given.
        format: of labelled data.
        model: "module:function" where the run's network is one of your own.
        overwrite: replace an existing CSV, or label maps.

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
    if isinstance(shipped.preprocessing, IntensityPreprocessing):
        masks = (
            Path(out) if out is not None else folder.path / "predictions" / (data.name if data.is_dir() else data.stem)
        )
        return predict_masks(shipped, data, masks, format=format, overwrite=overwrite)
    target = (
        Path(out)
        if out is not None
        else folder.path / "predictions" / f"{data.name if data.is_dir() else data.stem}.csv"
    )
    if target.suffix.lower() != ".csv":
        raise UserError(f"--out {target}: predictions are a table; give a name that ends in .csv.")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists; give --out another file, or --overwrite.")
    cases, labelled = _cases(data, format, shipped.classes, volumes=shipped.preprocessing.axes == 3)
    several = len(shipped.classes) if shipped.several else None
    dataset = CaseDataset(cases, shipped.preprocessing, several=several)
    found = predict_cases(shipped.network, dataset)
    for change in changes_of(tuple(dataset.shapes.values()), shipped.preprocessing):
        logger.info("%s", change)
    with replacing(target) as draft:
        _table(found, shipped.classes, labelled).to_csv(draft, index=False)
    return target


def _cases(data: Path, format: str | None, classes: tuple[str, ...], *, volumes: bool) -> tuple[tuple[Case, ...], bool]:
    """The cases and whether they have labels: not for images, for folders of other names, for a table without any."""
    if format is None and data.is_dir() and _is_of_images(data, classes):
        return images_below(data, series=volumes), False
    if format is None and data.is_file() and is_image(data) and (is_array_of_one(data) or not medmnist.detect(data)):
        return (Case(id=data.name, image=data, label=0),), False
    if format in (None, "table") and table.detect(data):
        cases = table.read_unlabelled(data)
        if cases is not None:
            return cases, False
    return _relabelled(read_cases(data, format), classes), True


def _is_of_images(data: Path, classes: tuple[str, ...]) -> bool:
    """Whether a folder holds images by no order that tells labels: directly, or in folders not named as classes."""
    if any(is_image(file) for file in data.iterdir() if file.is_file()):
        return True
    if next(name for name, kind in FORMATS.items() if kind.detect(data) or name == "folder") != "folder":
        return False
    folders = [folder for folder in data.iterdir() if folder.is_dir()]
    within = [inner for folder in folders if split_name(folder.name) for inner in folder.iterdir() if inner.is_dir()]
    return bool(folders) and not any(folder.name in classes for folder in (*folders, *within))


def _relabelled(collection: Collection, classes: tuple[str, ...]) -> tuple[Case, ...]:
    """Labels counted as in the run, whatever the order or number of classes in the new data."""
    strange = [name for name in collection.classes if name not in classes]
    if strange:
        raise UserError(
            f"{collection.source}: has class {', '.join(strange)}, which the run does not know "
            f"({', '.join(classes)}); give the images alone to predict them all the same."
        )
    numbers = [classes.index(name) for name in collection.classes]
    return tuple(
        replace(case, label=numbers[case.label])
        if case.labels is None
        else replace(case, label=0, labels=tuple(sorted(numbers[label] for label in case.labels)))
        for case in collection.cases
    )


def _table(found: Predictions, classes: tuple[str, ...], labelled: bool) -> pd.DataFrame:
    frame = pd.DataFrame({"id": [case.id for case in found.cases], "image": [case.where() for case in found.cases]})
    if labelled:
        frame["label"] = [named(case.shown, classes) for case in found.cases]
    frame["prediction"] = [named(found.found(at), classes) for at in range(len(found.cases))]
    for at, name in enumerate(classes):
        frame[f"probability_{name}"] = found.probabilities[:, at]
    return frame
