"""LIDC-IDRI (lung nodules in CT, outlined by four radiologists) in the layout of its release.

    LIDC-IDRI-0001/STUDY/SERIES/1-001.dcm …, 069.xml       one CT series, and what its readers marked
    LIDC-IDRI-0001/STUDY/SERIES/000001.dcm, 000002.dcm     chest radiographs, not read

The label map of a scan is the consensus of its readers (`acnorm.data.decoders.lidc`).
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.decoders.lidc import is_of_ct
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem

_CLASSES = ("background", "nodule")


def detect(data: Path) -> bool:
    """Whether folders called LIDC-IDRI-0001, ... lie here or in a folder LIDC-IDRI."""
    return data.is_dir() and any(next(root.glob("LIDC-IDRI-[0-9]*/"), None) for root in (data, data / "LIDC-IDRI"))


def read(data: Path) -> Collection:
    """Read the CT scans with their readers' marks; ids are those of the patients, with -2, ... for further scans.

    Raises `DataError` with every patient that has no CT series with marks.
    """
    root = data if next(data.glob("LIDC-IDRI-[0-9]*/"), None) else data / "LIDC-IDRI"
    cases: list[Case] = []
    problems: list[Problem] = []
    for folder in sorted(root.glob("LIDC-IDRI-[0-9]*/")):
        marks = [path for path in sorted(folder.rglob("*.xml")) if is_of_ct(path)]
        for number, path in enumerate(marks, start=1):
            name = folder.name if number == 1 else f"{folder.name}-{number}"
            cases.append(Case(name, path.parent, 0, patient=folder.name, mask=path))
        if not marks:
            what, remedy = (
                "holds no XML file with the marks of a CT",
                "download the patient again, or remove the folder",
            )
            problems.append(Problem(str(folder), what, remedy))
    return settle(Collection(tuple(cases), _CLASSES, data, "lidc", (), "CT"), problems)
