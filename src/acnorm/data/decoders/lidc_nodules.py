"""The nodules that an XML file of LIDC-IDRI marks: where each lies, how many readers saw it, how malignant it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

import numpy as np
import pydicom
from numpy.typing import NDArray

from acnorm.data.decoders.lidc import children, cut_short, sessions_of, text_of
from acnorm.data.problems import fault

LEAST = 3.0  # millimetres, of the nodules that were outlined; marks in slices that far apart may be of the same


@dataclass(frozen=True)
class Nodule:
    """One nodule as its readers marked it.

    centre: x, y, z in millimetres of RAS. readers: that outlined it, of so many `of`. malignancy: the median of their
    ratings from 1, highly unlikely, to 5, highly suspicious; None where no one rated it.
    """

    centre: tuple[float, float, float]
    readers: int
    of: int
    malignancy: float | None


@dataclass(frozen=True, eq=False)
class _Mark:
    """What one reader outlined: the box around it, low and high corners in pixels and millimetres of z."""

    reader: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    malignancy: int | None

    @property
    def centre(self) -> NDArray[np.float64]:
        return (self.low + self.high) / 2

    def holds(self, other: _Mark) -> bool:
        beyond = np.array([0.0, 0.0, LEAST])  # some nodules are outlined in one slice, by each reader in another
        return bool(((self.low - beyond <= other.centre) & (other.centre <= self.high + beyond)).all())


def read_nodules(path: Path) -> list[Nodule]:
    """Read the nodules of 3 mm and more; marks of which one's middle lies within the other are of one nodule.

    The release does not say which marks of several readers are of one nodule. Heights are those that the marks tell;
    where pixels lie is read from one file of the series beside them.

    Raises `DataError` for a file that cannot be read, and for a folder without DICOM files.
    """
    try:
        sessions = sessions_of(path)
        marks = [mark for reader, session in enumerate(sessions) for mark in _marks(reader, session)]
    except (ElementTree.ParseError, OSError, ValueError):
        raise cut_short(path) from None
    groups = _together(marks)
    if not groups:
        return []
    origin, spacing = _pixels(path.parent)
    found = []
    for group in groups:
        column, row, height = np.mean([mark.centre for mark in group], axis=0).tolist()
        ratings = [mark.malignancy for mark in group if mark.malignancy is not None]
        found.append(
            Nodule(
                (-(origin[0] + column * spacing[1]), -(origin[1] + row * spacing[0]), height),
                len({mark.reader for mark in group}),
                len(sessions),
                median(ratings) if ratings else None,
            )
        )
    return found


def _marks(reader: int, session: ElementTree.Element) -> list[_Mark]:
    found = []
    for nodule in children(session, "unblindedReadNodule"):
        points = [
            (float(text_of(edge, "xCoord")), float(text_of(edge, "yCoord")), float(text_of(roi, "imageZposition")))
            for roi in children(nodule, "roi")
            for edge in children(roi, "edgeMap")
        ]
        if len(points) > 1:
            ratings = [text_of(about, "malignancy") for about in children(nodule, "characteristics")]
            rating = next((int(text) for text in ratings if text), None)
            found.append(_Mark(reader, np.min(points, axis=0), np.max(points, axis=0), rating))
    return found


def _together(marks: Sequence[_Mark]) -> list[list[_Mark]]:
    """Marks that are of one nodule, through any number of others; in the order of the first of each."""
    groups: list[list[_Mark]] = []
    for mark in marks:
        near = [group for group in groups if any(one.holds(mark) or mark.holds(one) for one in group)]
        groups = [group for group in groups if group not in near] + [[*(one for group in near for one in group), mark]]
    return sorted(groups, key=lambda group: min(map(marks.index, group)))


def _pixels(folder: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the first pixel lies, x and y of DICOM's world, and the distances of rows and of columns."""
    for file in sorted(folder.glob("*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        x, y, _ = map(float, header.ImagePositionPatient)
        down, across = map(float, header.PixelSpacing)
        return (x, y), (down, across)
    raise fault(folder, "holds no DICOM files beside the marks", "download the series as well")
