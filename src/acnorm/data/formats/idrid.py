"""IDRiD (Indian Diabetic Retinopathy Image Dataset), disease grading, in the layout of its release.

    1. Original Images/a. Training Set/IDRiD_001.jpg
    1. Original Images/b. Testing Set/IDRiD_001.jpg
    2. Groundtruths/a. IDRiD_Disease Grading_Training Labels.csv
    2. Groundtruths/b. IDRiD_Disease Grading_Testing Labels.csv

Image numbers start anew in the test set, so ids carry the split. Patients are not published.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.rows import read_rows
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem, fault

_IMAGES, _LABELS = "1. Original Images", "2. Groundtruths"
_PARTS = {
    "train": ("a. Training Set", "a. IDRiD_Disease Grading_Training Labels.csv"),
    "test": ("b. Testing Set", "b. IDRiD_Disease Grading_Testing Labels.csv"),
}
_GRADES = ("0", "1", "2", "3", "4")


def detect(data: Path) -> bool:
    """Whether this is the folder of the release, or the folder that holds its "B. Disease Grading"."""
    return (_root(data) / _IMAGES).is_dir() and (_root(data) / _LABELS).is_dir()


def read(data: Path) -> Collection:
    """Read the grades 0 to 4 of the training and test set; ids are such as `train_IDRiD_001`.

    Raises `DataError` with every row and image at fault: a grade without image, an image without grade.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for split, (folder, table) in _PARTS.items():
        found, wrong = _part(split, images=_root(data) / _IMAGES / folder, table=_root(data) / _LABELS / table)
        cases += found
        problems += wrong
    return settle(Collection(tuple(cases), _GRADES, data, "idrid"), problems)


def _root(data: Path) -> Path:
    nested = data / "B. Disease Grading"
    return nested if nested.is_dir() else data


def _part(split: str, *, images: Path, table: Path) -> tuple[list[Case], list[Problem]]:
    for path in (images, table):
        if not path.exists():
            raise fault(path, "missing from the IDRiD release", "unpack the release again")
    rows = read_rows(table)
    rows.require(("image name", "retinopathy grade"), "take the table of the release")
    files = {path.stem: path for path in sorted(images.iterdir()) if path.suffix.lower() == ".jpg"}
    cases: list[Case] = []
    problems: list[Problem] = []
    for row, cells in rows.rows:
        name, grade = cells["image name"], cells["retinopathy grade"]
        if grade not in _GRADES:
            problems.append(Problem(str(table), f"row {row} has the grade '{grade}'", "allowed are 0, 1, 2, 3 and 4"))
        elif name not in files:
            problems.append(
                Problem(str(images / f"{name}.jpg"), "no such file", f"unpack it again, or remove row {row}")
            )
        else:
            cases.append(Case(f"{split}_{name}", files[name], int(grade), split=split))
    graded = {cells["image name"] for _, cells in rows.rows}
    problems += [
        Problem(str(path), f"no grade in {table.name}", "add a row or remove the image")
        for name, path in files.items()
        if name not in graded
    ]
    return cases, problems
