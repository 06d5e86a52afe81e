"""A folder `images` beside a folder `masks` or `labels`, files of equal names; also inside `train`, `val` and `test`.

Classes are the numbers that occur in the label maps; 0 and 255 alone are background and foreground.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import settle, split_name
from acnorm.data.problems import DataError, Problem, fault
from acnorm.data.volumes import read_labels

_LABELS = ("masks", "labels")
_MOST_CLASSES = 64


def detect(data: Path) -> bool:
    """Whether there are images beside masks, here or in folders of splits."""
    return any(_labels(root) is not None for _, root in _roots(data))


def read(data: Path) -> Collection:
    """Read the cases; the id of a case is the path of its image without suffix, from the folder given.

    Raises `DataError` with every image without mask, mask without image, and mask that cannot be read.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for split, root in _roots(data):
        folder = _labels(root)
        if folder is None:
            continue
        images, masks = _by_name(root / "images"), _by_name(folder)
        for name in images.keys() - masks.keys():
            problems.append(
                Problem(str(images[name]), f"no file {name} in {folder.name}", "add the label map, or remove the image")
            )
        for name in masks.keys() - images.keys():
            problems.append(Problem(str(masks[name]), "a label without image", "add the image, or remove the label"))
        for name in sorted(images.keys() & masks.keys()):
            identifier = name if split is None else f"{root.name}/{name}"
            cases.append(Case(identifier, images[name], 0, split=split, mask=masks[name]))
    problems.sort(key=lambda problem: problem.file)
    classes, wrong = classes_of_label_maps(cases)
    return settle(Collection(tuple(cases), classes, data, "pairs"), problems + wrong)


def _roots(data: Path) -> list[tuple[str | None, Path]]:
    if not data.is_dir():
        return []
    return [
        (None, data),
        *((split_name(folder.name), folder) for folder in sorted(data.iterdir()) if split_name(folder.name)),
    ]


def _labels(root: Path) -> Path | None:
    if not (root / "images").is_dir():
        return None
    return next((root / name for name in _LABELS if (root / name).is_dir()), None)


def _by_name(folder: Path) -> dict[str, Path]:
    """Files by their name without suffix, series of DICOM by that of their folder; hidden ones are skipped."""
    return {
        path.name
        if path.is_dir()
        else path.name.removesuffix("".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix): path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
    }


def classes_of_label_maps(cases: Sequence[Case]) -> tuple[tuple[str, ...], list[Problem]]:
    """The classes of label maps that no file names, by the numbers that occur, and what is wrong with the maps.

    Raises `DataError` for numbers too high to be classes.
    """
    found: set[int] = set()
    problems: list[Problem] = []
    for case in cases:
        assert case.mask is not None
        try:
            labels = {int(label) for label in np.unique(read_labels(case.mask))}
        except DataError as error:
            problems += error.problems
            continue
        found |= {0, 1} if labels <= {0, 255} else labels
    if max(found, default=0) >= _MOST_CLASSES:
        raise fault(
            cases[0].mask.parent if cases[0].mask else "masks",
            f"label maps hold numbers up to {max(found)}",
            f"number the classes 0 to K, at most {_MOST_CLASSES - 1}",
        )
    names = ("background", "foreground") if found <= {0, 1} else tuple(str(label) for label in range(max(found) + 1))
    return names, problems
