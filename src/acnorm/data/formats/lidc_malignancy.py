"""LIDC-IDRI as a classification: benign or malignant nodules, in the layout of its release (as `lidc`).

A case is the cube of 50 mm around a nodule of 3 mm and more that at least half of the readers outlined. Its class is
the median of their ratings of malignancy: below 3 benign, above 3 malignant. Nodules of just 3, indeterminate, are left
out, as is usual (Shen et al., IPMI 2015). The ratings are opinions of radiologists, not pathology. As the layout is
that of `lidc`, this one is read only where it is asked for by name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.decoders.lidc import SHARE
from acnorm.data.decoders.lidc_nodules import Nodule, read_nodules
from acnorm.data.formats import lidc
from acnorm.data.formats.settle import settle
from acnorm.data.problems import DataError, Problem

SIDE = 50.0
INDETERMINATE = 3.0
_CLASSES = ("benign", "malignant")

detect = lidc.detect


def read(data: Path) -> Collection:
    """Read the nodules of all scans; ids are such as `LIDC-IDRI-0001-n1`.

    Raises `DataError` with every scan whose marks cannot be read, and where no nodule is left.
    """
    scans, problems = _scans(data)
    cases: list[Case] = []
    left_out: Counter[str] = Counter()
    for scan, marks in scans:
        try:
            nodules = read_nodules(marks)
        except DataError as error:
            problems += error.problems
            continue
        for number, nodule in enumerate(nodules, start=1):
            label, reason = _class_of(nodule)
            if reason:
                left_out[reason] += 1
            else:
                box = (*nodule.centre, SIDE)
                cases.append(replace(scan, id=f"{scan.id}-n{number}", label=label, mask=None, box=box))
    if not cases and not problems:
        remedy = "add patients, or give a table of images and labels"
        problems.append(Problem(str(data), "holds no nodule that is rated benign or malignant", remedy))
    remedy = "give a table of images and labels to choose them yourself"
    notes = [Problem(str(data), f"nodules left out: {n} that {why}", remedy, False) for why, n in left_out.items()]
    return settle(Collection(tuple(cases), _CLASSES, data, "lidc-malignancy", tuple(notes), "CT"), problems)


def _scans(data: Path) -> tuple[list[tuple[Case, Path]], list[Problem]]:
    """The scans with their files of marks, and what is wrong with others."""
    try:
        scans, problems = lidc.read(data), []
    except DataError as error:
        if error.sound is None:
            raise
        scans, problems = error.sound, list(error.problems)
    return [(scan, scan.mask) for scan in scans.cases if scan.mask is not None], problems


def _class_of(nodule: Nodule) -> tuple[int, str]:
    """The class of a nodule, or why it has none."""
    if nodule.readers < SHARE * nodule.of:
        return -1, "fewer than half of the readers outlined"
    if nodule.malignancy is None:
        return -1, "no reader rated"
    if nodule.malignancy == INDETERMINATE:
        return -1, "have the median rating 3, indeterminate"
    return int(nodule.malignancy > INDETERMINATE), ""
