"""DRIVE (Digital Retinal Images for Vessel Extraction) in the layout of its release.

    training/images/21_training.tif    training/1st_manual/21_manual1.gif    training/mask/21_training_mask.gif
    test/images/01_test.tif            test/1st_manual/01_manual1.gif        test/mask/01_test_mask.gif
                                       test/2nd_manual/01_manual2.gif

As now distributed there is no test/1st_manual: test images are then left out with a note, and training has no split.

The first observer's vessels are the labels, the masks are the field of view, and the second observer's are kept beside.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import left_out, settle
from acnorm.data.problems import Problem

_PARTS = {"training": "train", "test": "test"}


def detect(data: Path) -> bool:
    """Whether this is the folder of the release."""
    return (data / "training" / "1st_manual").is_dir() and all((data / part / "images").is_dir() for part in _PARTS)


def read(data: Path) -> Collection:
    """Read training and test images; ids are such as `21_training`.

    Raises `DataError` with every image that lacks vessels or field of view.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    notes: list[Problem] = []
    for part, split in _PARTS.items():
        images = sorted((data / part / "images").glob("*.tif"))
        if part == "test" and images and not (data / part / "1st_manual").is_dir():
            notes.append(left_out(data / part, [image.stem for image in images]))
            continue
        for image in images:
            number = image.stem.partition("_")[0]
            mask = data / part / "1st_manual" / f"{number}_manual1.gif"
            within = data / part / "mask" / f"{image.stem}_mask.gif"
            other = data / part / "2nd_manual" / f"{number}_manual2.gif"
            absent = [path for path in (mask, within) if not path.is_file()]
            problems += [Problem(str(path), "no such file", "unpack the release again") for path in absent]
            if not absent:
                second = other if other.is_file() else None
                cases.append(Case(image.stem, image, 0, split=split, mask=mask, within=within, other=second))
    if notes:
        cases = [replace(case, split=None) for case in cases]
    return settle(Collection(tuple(cases), ("background", "vessel"), data, "drive", tuple(notes)), problems)
