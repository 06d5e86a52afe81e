"""Is the data sound? Every case is read, and everything found wrong is told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.data.case import Case, Collection, duplicate_ids, named, patients_across_splits
from acnorm.data.decoders.pillow import is_cmyk
from acnorm.data.fitting import Outline, odd_ones, outline_of, same
from acnorm.data.formats import read_cases
from acnorm.data.images import read_image
from acnorm.data.problems import DataError, Problem
from acnorm.data.volumes import read_labelled

Progress = Callable[[Sequence[Case]], Iterable[Case]]

_UNSPLIT = "no split"


@dataclass(frozen=True)
class CheckReport:
    """What a data set holds and what is wrong with it.

    `counts` goes from split to class name to number of cases (for label maps: of cases that hold the class), `sizes`
    from "height×width" or "x×y×z" and `channels` from "1" or "3" to the number of images read, and `spacings` from
    millimetres an axis where files tell them; `patients` is their number, or None where some case names none.
    """

    source: str
    format: str
    cases: int
    classes: tuple[str, ...]
    patients: int | None
    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    channels: dict[str, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    task: str = "classification"
    spacings: dict[str, int] = field(default_factory=dict)

    @property
    def fatal(self) -> bool:
        """Whether some problem must be mended before training."""
        return any(problem.fatal for problem in self.problems)

    def lines(self) -> list[str]:
        """Each problem as one line, "FILE: what; remedy", the fatal ones first."""
        return [problem.line() for problem in sorted(self.problems, key=lambda problem: not problem.fatal)]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {
            "source": self.source,
            "format": self.format,
            "task": self.task,
            "cases": self.cases,
            "classes": list(self.classes),
            "patients": self.patients,
            "counts": self.counts,
            "sizes": self.sizes,
            "channels": self.channels,
            "spacings": self.spacings,
            "fatal": self.fatal,
            "problems": [problem.to_dict() for problem in self.problems],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of an image once it has been read."""

    outline: Outline
    size: str
    spacing: str = ""
    labels: tuple[int, ...] = ()

    @property
    def case(self) -> Case:
        return self.outline.case


def check(data: Path | str, format: str | None = None, *, progress: Progress = iter) -> CheckReport:
    """Read every case of a data set and report what it holds and all that is wrong with it.

    Fatal: what the reader of the format refuses, unreadable images, the same pixels or the same patient in two
    splits, ids that occur twice, a class without training case, 2D images among volumes; of segmentation, label maps
    that do not fit their images or hold other labels, label maps that are all empty, and colour among greys. Warnings:
    the same pixels twice in a split, images of one colour or in colours of printing, a class missing from another
    split, empty label maps, volumes of one slice, files ignored. `progress` wraps the loop over the cases. Raises
    nothing for bad data: the report is for that.

    Examples:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "eyes.npz"
        ...     pixels = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
        ...     np.savez(path, train_images=pixels, train_labels=np.array([0, 1, 0, 1]))
        ...     report = check(path)
        >>> report.counts, report.sizes, report.fatal, report.lines()
        ({'train': {'0': 2, '1': 2}}, {'8×8': 4}, False, [])
    """
    found: list[Problem] = []
    try:
        collection = read_cases(data, format)
    except DataError as error:
        found += error.problems
        if error.sound is None or not error.sound.cases:
            return _report(Collection((), (), Path(data), format or "unknown"), [], found)
        collection = error.sound
    seen: list[_Seen] = []
    for case in progress(collection.cases):
        try:
            seen.append(_see(case) if case.mask is None else _see_labelled(case, len(collection.classes)))
        except DataError as error:
            found += error.problems
    counts = _counts(collection, seen)
    found += _ids(collection, found) + _patients(collection) + _empty_classes(collection, counts)
    found += [_duplicate(cases, collection) for cases in same(image.outline for image in seen)]
    found += _constants(seen) + _volumes(seen, collection) + _inks(seen)
    found += collection.notes
    return _report(collection, seen, found)


def _see(case: Case) -> _Seen:
    image = read_image(case)
    return _Seen(outline_of(case, image), _size(image))


def _see_labelled(case: Case, classes: int) -> _Seen:
    read = read_labelled(case, classes)
    image, spacing = read.image.values, read.image.spacing
    return _Seen(
        outline_of(case, image),
        _size(image),
        spacing="" if spacing is None else "×".join(f"{length:g}" for length in spacing),
        labels=tuple(int(label) for label in np.unique(read.mask)),
    )


def _size(image: NDArray[np.float32]) -> str:
    return "×".join(map(str, image.shape[1:]))


def _report(collection: Collection, seen: list[_Seen], problems: list[Problem]) -> CheckReport:
    patients = len({case.patient for case in collection.cases}) if collection.patients_known else None
    sizes = dict(Counter(image.size for image in seen).most_common())
    channels = dict(Counter(str(image.outline.channels) for image in seen).most_common())
    notes = []
    if len(sizes) > 1:
        notes.append(f"images differ in size: {_most_common(sizes)}")
    if len(channels) > 1:
        notes.append(f"images differ in channels: {_most_common(channels)}")
    spacings = dict(Counter(image.spacing for image in seen if image.spacing).most_common())
    if len(spacings) > 1:
        notes.append(f"volumes differ in spacing (mm): {_most_common(spacings)}")
    return CheckReport(
        source=str(collection.source),
        format=collection.format,
        cases=len(collection),
        classes=collection.classes,
        patients=patients if collection.cases else None,
        counts=_counts(collection, seen),
        sizes=sizes,
        channels=channels,
        problems=tuple(problems),
        notes=tuple(notes),
        task=collection.task,
        spacings=spacings,
    )


def _most_common(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{count} of {value}" for value, count in list(counts.items())[:5])
    return shown + (f", and {len(counts) - 5} more kinds" if len(counts) > 5 else "")


def _counts(collection: Collection, seen: list[_Seen]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    held = {image.case.id: image.labels for image in seen}
    for split, cases in collection.by_split().items():
        if collection.task == "segmentation":
            by_label = Counter(label for case in cases for label in held.get(case.id, ()))
        else:
            by_label = Counter(label for case in cases for label in case.shown)
        counts[split or _UNSPLIT] = {name: by_label[label] for label, name in enumerate(collection.classes)}
    return counts


def _ids(collection: Collection, found: list[Problem]) -> list[Problem]:
    problems = [
        Problem(str(collection.source), f"{count} cases have the id '{name}'", "give every case an id of its own")
        for name, count in duplicate_ids(collection.cases).items()
    ]
    return [problem for problem in problems if problem not in found]


def _patients(collection: Collection) -> list[Problem]:
    return [
        Problem(
            str(collection.source),
            f"patient '{patient}' is in {' and '.join(splits)}",
            "move all cases of the patient into one split",
        )
        for patient, splits in patients_across_splits(collection.cases).items()
    ]


def _empty_classes(collection: Collection, counts: dict[str, dict[str, int]]) -> list[Problem]:
    """A class without training case cannot be learnt; without test case it cannot be judged."""
    # cases without split are training cases until some of them are held out
    pools = {"train": [split for split in ("train", _UNSPLIT) if split in counts]}
    pools |= {split: [split] for split in ("val", "test") if split in counts}
    problems = []
    for split, members in pools.items():
        fatal = split == "train"
        remedy = "add cases or remove the class" if fatal else "add cases, or read its figures with that in mind"
        place = "" if members == [_UNSPLIT] else f" in {split}"
        problems += [
            Problem(str(collection.source), f"class '{name}' has no case{place}", remedy, fatal)
            for name in collection.classes
            if not sum(counts[member][name] for member in members)
        ]
    return problems


def _duplicate(cases: list[Case], collection: Collection) -> Problem:
    first, *others = cases
    shown = ", ".join(case.where() for case in others[:3]) + (", ..." if len(others) > 3 else "")
    splits = list(dict.fromkeys(case.split or _UNSPLIT for case in cases))
    labels = list(dict.fromkeys(case.shown for case in cases))  # one, 0, where label maps say what is what
    what = f"the same pixels as {shown}"
    if len(splits) > 1:
        what += f", in {' and '.join(splits)}"
    if len(labels) > 1:
        what += f", labelled {' and '.join(named(shown, collection.classes) for shown in labels)}"
    remedy = "keep one of them" if len(labels) == 1 else "find out which label is right and keep that one"
    return Problem(first.where(), what, remedy, fatal=len(splits) > 1)


def _volumes(seen: list[_Seen], collection: Collection) -> list[Problem]:
    """What only label maps, and volumes, can have wrong."""
    labelled = [image for image in seen if image.case.mask is not None]
    problems = []
    if labelled and all(image.labels == (0,) for image in labelled):
        what = "every label map is empty"
        problems.append(Problem(str(collection.source), what, "check that these are the label maps you meant"))
    else:
        problems += [
            Problem(str(image.case.mask), "the label map is empty", "look whether that is right", fatal=False)
            for image in labelled
            if image.labels == (0,)
        ]
    told = labelled == seen  # colour among greys is brought to as many channels where whole images have classes
    problems += odd_ones([image.outline if told else replace(image.outline, channels=1) for image in seen]).values()
    problems += [
        Problem(image.case.where(), "the volume has one slice", "look whether that is right", fatal=False)
        for image in seen
        if image.outline.axes == 3 and "1" in image.size.split("×")
    ]
    return problems


def _inks(seen: list[_Seen]) -> list[Problem]:
    what, remedy = "is CMYK, made for printing, and read as RGB", "look whether the colours are right"
    return [
        Problem(image.case.where(), what, remedy, fatal=False)
        for image in seen
        if image.case.index is None and is_cmyk(image.case.image)
    ]


def _constants(seen: list[_Seen]) -> list[Problem]:
    return [
        Problem(image.case.where(), "every pixel has the same value", "look at it, export it again", fatal=False)
        for image in seen
        if image.outline.content is None
    ]
