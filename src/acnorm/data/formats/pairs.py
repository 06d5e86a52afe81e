"""A folder `images` beside a folder `masks` or `labels`, files of equal names; also inside `train`, `val` and `test`.

Classes are the numbers that occur in the label maps; 0 and 255 alone are background and foreground. Patients are told
apart where names end in a frame, as patient001_frame01.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from acnorm.data.case import Case, Collection
from acnorm.data.formats.nnunet import patient_of
from acnorm.data.formats.settle import settle, split_name
from acnorm.data.images import is_voxels
from acnorm.data.problems import DataError, Problem
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
        problems += [problem for files in (images, masks) for problem in _doubles(files)]
        for name in images.keys() - masks.keys():
            problems.append(
                Problem(
                    str(images[name][0]), f"no file {name} in {folder.name}", "add the label map, or remove the image"
                )
            )
        for name in masks.keys() - images.keys():
            problems.append(Problem(str(masks[name][0]), "a label without image", "add the image, or remove the label"))
        for name in sorted(images.keys() & masks.keys()):
            if len(images[name]) == len(masks[name]) == 1:
                case = Case(name if split is None else f"{root.name}/{name}", images[name][0], 0)
                cases.append(replace(case, patient=patient_of(name), split=split, mask=masks[name][0]))
    problems.sort(key=lambda problem: problem.file)
    return with_classes_of_maps(cases, data, "pairs", problems)


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


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Files by their name without suffix, series of DICOM by that of their folder; hidden ones are skipped."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        suffix = "" if path.is_dir() else "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
        if not is_voxels(path) and not path.name.startswith("."):
            files.setdefault(path.name.removesuffix(suffix), []).append(path)
    return files


def _doubles(files: dict[str, list[Path]]) -> list[Problem]:
    return [
        Problem(" and ".join(map(str, paths)), f"are both called {name}", "keep one, or rename the other")
        for name, paths in files.items()
        if len(paths) > 1
    ]


def with_classes_of_maps(cases: Sequence[Case], data: Path, format: str, problems: Sequence[Problem]) -> Collection:
    """The collection of cases whose classes no file names, without those whose label map is wrong; settled."""
    classes, wrong = _classes(cases)
    sound = tuple(case for case in cases if case.id not in wrong)
    return settle(Collection(sound, classes, data, format), [*problems, *wrong.values()])


def _classes(cases: Sequence[Case]) -> tuple[tuple[str, ...], dict[str, Problem]]:
    """The classes, by the numbers in the maps, and what is wrong with a map, by the id of its case."""
    found: set[int] = set()
    wrong: dict[str, Problem] = {}
    for case in cases:
        assert case.mask is not None
        try:
            labels = {int(label) for label in np.unique(read_labels(case.mask))}
        except DataError as error:
            wrong[case.id] = error.problems[0]
            continue
        labels = {0, 1} if labels <= {0, 255} else labels
        if max(labels) >= _MOST_CLASSES:
            remedy = f"number the classes 0 to K, at most {_MOST_CLASSES - 1}"
            wrong[case.id] = Problem(str(case.mask), f"holds the label {max(labels)}", remedy)
        else:
            found |= labels
    names = ("background", "foreground") if found <= {0, 1} else tuple(str(label) for label in range(max(found) + 1))
    return names, wrong
