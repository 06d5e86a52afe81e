"""Diabetic retinopathy as released on Kaggle: APTOS 2019 and EyePACS. Grades are 0 to 4.

    APTOS 2019   train.csv (id_code, diagnosis)      train_images/ID.png
    EyePACS      trainLabels.csv (image, level)      train/10_left.jpeg

The test labels were never released in these folders, so a test set is made from the training cases. EyePACS names a
patient by the number before _left and _right; APTOS 2019 names none.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.rows import read_rows
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem, fault

_GRADES = ("0", "1", "2", "3", "4")
_SUFFIXES = (".png", ".jpg", ".jpeg")


def detect_aptos(data: Path) -> bool:
    """Whether this is the folder of APTOS 2019."""
    return (data / "train.csv").is_file() and (data / "train_images").is_dir()


def read_aptos(data: Path) -> Collection:
    """Read the graded images; ids are those of the table.

    Raises `DataError` with every row and image at fault.
    """
    return _read(data, "aptos", table="train.csv", folder="train_images", columns=("id_code", "diagnosis"))


def detect_eyepacs(data: Path) -> bool:
    """Whether this is the folder of EyePACS (Kaggle's diabetic retinopathy detection)."""
    return (data / "trainLabels.csv").is_file() and (data / "train").is_dir()


def read_eyepacs(data: Path) -> Collection:
    """Read the graded images; ids are those of the table, such as `10_left`, patients the numbers in them.

    Raises `DataError` with every row and image at fault.
    """
    return _read(data, "eyepacs", table="trainLabels.csv", folder="train", columns=("image", "level"))


def _read(data: Path, format: str, *, table: str, folder: str, columns: tuple[str, str]) -> Collection:
    rows = read_rows(data / table)
    rows.require(columns, "take the table of the release")
    files = {path.stem: path for path in sorted((data / folder).iterdir()) if path.suffix.lower() in _SUFFIXES}
    if not files:
        raise fault(data / folder, "holds no image", "unpack the release again")
    cases: list[Case] = []
    problems: list[Problem] = []
    for row, cells in rows.rows:
        name, grade = (cells[column] for column in columns)
        if grade not in _GRADES:
            what = f"row {row} has the grade '{grade}'"
            problems.append(Problem(str(data / table), what, "allowed are 0, 1, 2, 3 and 4"))
        elif name not in files:
            remedy = f"unpack it again, or remove row {row}"
            problems.append(Problem(str(data / folder / name), "no such image", remedy))
        else:
            patient = name.partition("_")[0] if format == "eyepacs" else None
            cases.append(Case(name, files[name], int(grade), patient=patient))
    graded = {cells[columns[0]] for _, cells in rows.rows}
    problems += [
        Problem(str(path), f"no grade in {table}", "add a row or remove the image")
        for name, path in files.items()
        if name not in graded
    ]
    return settle(Collection(tuple(cases), _GRADES, data, format), problems)
