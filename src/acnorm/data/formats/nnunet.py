"""nnU-Net's raw layout: dataset.json, imagesTr/CASE_0000.nii.gz (a file a channel), labelsTr/CASE.nii.gz; also …Ts.

A natural image may hold all its channels in one file: CASE_0000.png. Hidden files, such as macOS's, are skipped.

The cases of imagesTr are for training; those of imagesTs that have a label in labelsTs are the test split, and those
without are left out with a note. Patients are told apart where names end in a frame, as patient001_frame01.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import left_out, settle
from acnorm.data.images import is_volume, read_file
from acnorm.data.problems import DataError, Problem, fault

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_FRAME = re.compile(r"(.+?)_?frame\d+", re.IGNORECASE)


def detect(data: Path) -> bool:
    """Whether this is a folder with dataset.json that names channels, and imagesTr."""
    table = data / "dataset.json"
    return table.is_file() and (data / "imagesTr").is_dir() and "channel_names" in read_about(table)


def read(data: Path) -> Collection:
    """Read training and test cases; the id of a case is its name without channel and suffix.

    Raises `DataError` with every file at fault: a case without label or without one of its channels, a label without
    image; and for a dataset.json that lacks something.
    """
    about = read_about(data / "dataset.json")
    ending, channels, classes = str(about.get("file_ending", "")), about["channel_names"], label_names(data, about)
    if not ending:
        raise fault(data / "dataset.json", "has no file_ending", 'add it, such as ".nii.gz"')
    cases: list[Case] = []
    problems: list[Problem] = []
    for split, images, labels in (("train", "imagesTr", "labelsTr"), ("test", "imagesTs", "labelsTs")):
        found, wrong = _part(data / images, data / labels, ending, len(channels), split)
        cases += found
        problems += wrong
    if not any(case.split == "test" for case in cases):
        cases = [replace(case, split=None) for case in cases]
    fatal = [problem for problem in problems if problem.fatal]
    notes = tuple(problem for problem in problems if not problem.fatal)
    modality = str(channels.get("0")) if isinstance(channels, dict) else None
    return settle(Collection(tuple(cases), classes, data, "nnunet", notes, modality), fatal)


def label_names(data: Path, about: dict[str, Any]) -> tuple[str, ...]:
    """The classes of dataset.json by their label, which must be 0 to K, in nnU-Net's form or MSD's.

    Raises `DataError` for labels that are not.
    """
    given = about.get("labels")
    if not isinstance(given, dict) or not given:
        raise fault(data / "dataset.json", "has no labels", 'add them, such as {"background": 0, "liver": 1}')
    pairs = {str(label): str(name) for label, name in given.items()} if "0" in given else {}
    names = pairs or {str(label): str(name) for name, label in given.items()}
    order = [str(number) for number in range(len(names))]
    if sorted(names, key=lambda label: (len(label), label)) != order:
        remedy = "number the labels 0 to K, without regions and without ignore"
        raise fault(data / "dataset.json", f"has the labels {', '.join(names)}", remedy)
    return tuple(names[label] for label in order)


def patient_of(name: str) -> str | None:
    """The patient in a case's name, where the rest of it numbers a frame.

    Examples:
        >>> patient_of("patient001_frame01"), patient_of("liver_7")
        ('patient001', None)
    """
    match = _FRAME.fullmatch(name)
    return match[1] if match else None


def _part(images: Path, labels: Path, ending: str, channels: int, split: str) -> tuple[list[Case], list[Problem]]:
    files: dict[str, dict[int, Path]] = defaultdict(dict)
    problems: list[Problem] = []
    for path in _files(images, ending):
        match = _CHANNEL.fullmatch(path.name.removesuffix(ending))
        if match is None:
            problems.append(
                Problem(str(path), "names no channel", f"call it {path.name.removesuffix(ending)}_0000{ending}")
            )
        else:
            files[match[1]][int(match[2])] = path
    cases = []
    unlabelled = []
    for name, by_channel in files.items():
        mask = labels / f"{name}{ending}"
        own = 1 if by_channel.keys() == {0} and channels > 1 and _in_one_file(by_channel[0], channels) else channels
        absent = [number for number in range(own) if number not in by_channel]
        if absent:
            missing = images / f"{name}_{absent[0]:04}{ending}"
            problems.append(Problem(str(missing), "no such file", f"add it, or remove the case {name}"))
        elif mask.is_file():
            first, *others = (by_channel[number] for number in range(own))
            cases.append(Case(name, first, 0, patient=patient_of(name), split=split, mask=mask, channels=tuple(others)))
        elif split == "train":
            problems.append(Problem(str(mask), "no such file", f"add the label, or remove the case {name}"))
        else:
            unlabelled.append(name)
    if unlabelled:
        problems.append(left_out(images, unlabelled))
    for path in _files(labels, ending):
        if path.name.removesuffix(ending) not in files:
            problems.append(Problem(str(path), "a label without image", "add the image, or remove the label"))
    return cases, problems


def _files(folder: Path, ending: str) -> list[Path]:
    found = folder.glob(f"*{ending}") if folder.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith("."))


def _in_one_file(path: Path, channels: int) -> bool:
    """Whether a 2D image holds all channels; what cannot be read does not."""
    if is_volume(path):
        return False
    try:
        return len(read_file(path)) == channels
    except DataError:
        return False


def read_about(path: Path) -> dict[str, Any]:
    """The content of a dataset.json.

    Raises `DataError` where it is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise fault(path, f"is no JSON ({' '.join(str(error).split())})", "correct it") from None
    if not isinstance(content, dict):
        raise fault(path, "is no JSON object", "take the one of the data set")
    return content
