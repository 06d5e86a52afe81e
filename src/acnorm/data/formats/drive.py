"""DRIVE (Digital Retinal Images for Vessel Extraction) in the layout of its release.

    training/images/21_training.tif    training/1st_manual/21_manual1.gif    training/mask/21_training_mask.gif
    test/images/01_test.tif            test/1st_manual/01_manual1.gif        test/mask/01_test_mask.gif
                                       test/2nd_manual/01_manual2.gif

The first observer's vessels are the labels, the masks are the field of view, and the second observer's are kept beside.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem

_PARTS = {"training": "train", "test": "test"}


def detect(data: Path) -> bool:
    """Whether this is the folder of the release."""
    return all((data / part / "images").is_dir() and (data / part / "1st_manual").is_dir() for part in _PARTS)


def read(data: Path) -> Collection:
    """Read training and test images; ids are such as `21_training`.

    Raises `DataError` with every image that lacks vessels or field of view.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for part, split in _PARTS.items():
        for image in sorted((data / part / "images").glob("*.tif")):
            number = image.stem.partition("_")[0]
            mask = data / part / "1st_manual" / f"{number}_manual1.gif"
            within = data / part / "mask" / f"{image.stem}_mask.gif"
            other = data / part / "2nd_manual" / f"{number}_manual2.gif"
            absent = [path for path in (mask, within) if not path.is_file()]
            problems += [Problem(str(path), "no such file", "unpack the release again") for path in absent]
            if not absent:
                second = other if other.is_file() else None
                cases.append(Case(image.stem, image, 0, split=split, mask=mask, within=within, other=second))
    return settle(Collection(tuple(cases), ("background", "vessel"), data, "drive"), problems)
