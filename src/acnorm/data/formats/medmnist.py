"""MedMNIST's .npz layout: `train_images`, `train_labels`, and the same for `val` and `test`."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.data.case import SPLITS, Case, Collection
from acnorm.data.decoders.archive import Archive, open_archive
from acnorm.data.formats.settle import in_strata, settle
from acnorm.data.problems import fault


def detect(data: Path) -> bool:
    """Whether this is a file that ends in .npz."""
    return data.is_file() and data.suffix.lower() == ".npz"


def is_array_of_one(data: Path) -> bool:
    """Whether an .npz holds one image or volume under a name of its own, and not images and labels of splits."""
    if not detect(data):
        return False
    try:
        with zipfile.ZipFile(data) as archive:
            return not any(name.startswith(SPLITS) for name in archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def read(data: Path) -> Collection:
    """Read the cases of an archive; ids are the split and the row in it, such as `train_0007`.

    Images are [cases, height, width] or [cases, height, width, 1 or 3], volumes [cases, depth, height, width] or
    [cases, depth, height, width, 1 or 3], labels whole numbers [cases] or [cases, 1], or of several classes to an image
    0 and 1 [cases, classes]. Raises `DataError` for missing arrays and for those of other axes.
    """
    archive = open_archive(data)
    _require(archive, "train_images")
    cases: list[Case] = []
    several = _require(archive, "train_labels").shape[1:]
    several = several if several > (1,) else ()
    for split in archive.splits():
        images = _images(archive, f"{split}_images")
        if several:
            cases += _of_several(archive, split, images, several[0], len(cases))
            continue
        labels = _labels(archive, f"{split}_labels", len(images))
        width = max(4, len(str(len(images) - 1)))
        cases += [
            Case(f"{split}_{row:0{width}}", data, int(label), split=split, index=len(cases) + row)
            for row, label in enumerate(labels)
        ]
    count = several[0] if several else 1 + max((case.label for case in cases), default=0)
    kept = in_strata(cases, count) if several else tuple(cases)
    return settle(Collection(kept, tuple(map(str, range(count))), data, "medmnist"))


def _of_several(archive: Archive, split: str, images: NDArray[Any], classes: int, before: int) -> list[Case]:
    """The cases of a split whose labels say of each class whether it is there."""
    name = f"{split}_labels"
    labels = _require(archive, name)
    if labels.shape != (len(images), classes) or not np.isin(labels, (0, 1)).all():
        shape = "×".join(map(str, labels.shape))
        what = f"{name} is {shape} for {len(images)} images of {classes} classes, or holds others than 0 and 1"
        raise fault(archive.path, what, "give 0 or 1 for each image and class")
    width = max(4, len(str(len(images) - 1)))
    return [
        Case(
            f"{split}_{row:0{width}}",
            archive.path,
            0,
            split=split,
            index=before + row,
            labels=tuple(np.flatnonzero(shown).tolist()),
        )
        for row, shown in enumerate(labels)
    ]


def _require(archive: Archive, name: str) -> NDArray[Any]:
    if name not in archive.arrays:
        found = ", ".join(sorted(archive.arrays)) or "nothing"
        raise fault(
            archive.path,
            f"no array '{name}' (found: {found})",
            "name the arrays train_images and train_labels, and the same for "
            + " and ".join(f"{split}_" for split in SPLITS[1:]),
        )
    return archive.arrays[name]


def _images(archive: Archive, name: str) -> NDArray[Any]:
    images = _require(archive, name)
    if images.ndim not in (3, 4) and not (images.ndim == 5 and images.shape[4] in (1, 3)):
        shape = "×".join(str(length) for length in images.shape)
        raise fault(
            archive.path,
            f"{name} is {shape}: neither images nor volumes",
            "give cases×height×width, cases×height×width×3 or cases×depth×height×width",
        )
    return images


def _labels(archive: Archive, name: str, cases: int) -> NDArray[np.int64]:
    labels = _require(archive, name)
    if labels.dtype.kind not in "iub":
        raise fault(archive.path, f"{name} holds {labels.dtype} values", "number the classes 0 to K-1")
    labels = labels.reshape(-1)
    if len(labels) != cases:
        raise fault(archive.path, f"{len(labels)} values in {name} for {cases} images", "give one label for each image")
    if len(labels) and labels.min() < 0:
        raise fault(archive.path, f"{name} holds the label {labels.min()}", "number the classes 0 to K-1")
    return labels.astype(np.int64)
