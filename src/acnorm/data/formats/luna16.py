"""LUNA16 (lung nodule candidates in CT) in the layout of its release.

    subset0/SERIESUID.mhd, SERIESUID.raw … subset9/        the scans
    candidates_V2.csv or candidates.csv                    seriesuid, coordX, coordY, coordZ, class (1 is a nodule)

The table lies beside the folders or in CSVFILES. Coordinates are millimetres in the scanner's world (x to the left, y
to the back, as DICOM). A case is the cube of 50 mm around a candidate (Setio et al., IEEE TMI 2016), and each scan is a
patient's. The release has several hundred candidates for each nodule: of those that are none, three for each nodule
are taken, the same ones at every reading.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.rows import Rows, read_rows
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem, fault

SIDE = 50.0
NEGATIVES = 3  # for each nodule
_CLASSES = ("other", "nodule")
_COLUMNS = ("seriesuid", "coordx", "coordy", "coordz", "class")


def detect(data: Path) -> bool:
    """Whether a table of candidates lies here, and scans in folders called subset0, subset1, ..."""
    return data.is_dir() and _table(data) is not None and next(data.glob("subset*/*.mhd"), None) is not None


def read(data: Path) -> Collection:
    """Read the candidates of the scans that are there; ids are such as `1.3.6.1.4…-17`, with the row of the table.

    Raises `DataError` with every row at fault: a coordinate that is no number, a class other than 0 and 1.
    """
    table = _table(data)
    if table is None:
        raise fault(data, "holds no candidates_V2.csv or candidates.csv", "put the table beside the subsets")
    rows = read_rows(table)
    rows.require(_COLUMNS, "take the table of the release")
    scans = {path.stem: path for path in sorted(data.glob("subset*/*.mhd"))}
    cases: list[Case] = []
    problems: list[Problem] = []
    absent = set()
    for row, cells in rows.rows:
        if cells["class"] not in ("0", "1"):
            problems.append(Problem(str(table), f"row {row} has the class '{cells['class']}'", "allowed are 0 and 1"))
            continue
        centre = _centre(rows, row, cells, problems)
        if cells["seriesuid"] not in scans:
            absent.add(cells["seriesuid"])
        elif centre is not None:
            name, scan = f"{cells['seriesuid']}-{row}", cells["seriesuid"]
            cases.append(Case(name, scans[scan], int(cells["class"]), patient=scan, box=(*centre, SIDE)))
    if not cases and not problems:
        raise fault(table, "names none of the scans in the subsets", "take table and subsets of one release")
    kept = _fewer(cases)
    notes = []
    if absent:
        notes.append(Problem(str(table), f"{len(absent)} of its scans are not there", "add subsets to use them", False))
    if len(kept) < len(cases):
        what = f"{len(cases) - len(kept)} of {len(cases)} candidates left out, {NEGATIVES} others kept for each nodule"
        notes.append(Problem(str(table), what, "shorten the table to choose them yourself", False))
    return settle(Collection(tuple(kept), _CLASSES, data, "luna16", tuple(notes), "CT"), problems)


def _table(data: Path) -> Path | None:
    places = (root / f"{name}.csv" for name in ("candidates_V2", "candidates") for root in (data, data / "CSVFILES"))
    return next((path for path in places if path.is_file()), None)


def _centre(rows: Rows, row: int, cells: dict[str, str], problems: list[Problem]) -> tuple[float, float, float] | None:
    try:
        x, y, z = (float(cells[column]) for column in _COLUMNS[1:4])
    except ValueError:
        problems.append(Problem(str(rows.path), f"row {row} has no number for a coordinate", "correct or remove it"))
        return None
    return -x, -y, z


def _fewer(cases: list[Case]) -> list[Case]:
    others = [case for case in cases if case.label == 0]
    wanted = NEGATIVES * (len(cases) - len(others))
    if not wanted or len(others) <= wanted:
        return cases
    kept = {case.id for case in sorted(others, key=lambda case: hashlib.sha256(case.id.encode()).digest())[:wanted]}
    return [case for case in cases if case.label == 1 or case.id in kept]
