"""Cases that do not fit the others: of other axes or channels, or in two splits at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from acnorm.data.case import SPLITS, Case, Collection, named
from acnorm.data.fingerprint import content_of
from acnorm.data.images import is_volume, read_image
from acnorm.data.problems import Problem, faults
from acnorm.data.skipping import without, without_broken
from acnorm.data.volumes import read_labelled


@dataclass(frozen=True, slots=True)
class Outline:
    """What an image is, told without reading volumes: `content` is equal for equal images, None of a blank one."""

    case: Case
    axes: int
    channels: int
    content: bytes | None = None


def outline(case: Case) -> Outline:
    """Return what the image of a case is; images of two axes are read, of volumes the bytes of the file count.

    Raises `DataError` for an image of two axes that cannot be read.

    Examples:
        >>> from pathlib import Path
        >>> outline(Case("a", Path("gone.nii.gz"), 0, channels=(Path("b.nii.gz"),)))  # doctest: +ELLIPSIS
        Outline(case=..., axes=3, channels=2, content=None)
    """
    channels = 1 + len(case.channels)
    if is_volume(case.image):
        return Outline(case, 3, channels, content_of(case.image) if case.image.exists() else None)
    found = outline_of(case, read_image(case))
    return replace(found, channels=found.channels - 1 + channels)


def outline_of(case: Case, image: NDArray[np.float32]) -> Outline:
    """Return what the image of a case is, read as [channel, *space].

    Examples:
        >>> from pathlib import Path
        >>> outline_of(Case("a", Path("a.png"), 0), np.zeros((3, 8, 8), np.float32)).channels
        3
    """
    blank = image.min() == image.max()
    content = None if blank else hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest()
    return Outline(case, image.ndim - 1, len(image), content)


def odd_ones(outlines: Sequence[Outline]) -> dict[str, Problem]:
    """Return what is wrong with the cases, by their ids, that have other axes or channels than most.

    Examples:
        >>> from pathlib import Path
        >>> kinds = [Outline(Case(str(at), Path(f"{at}.png"), 0), 2, 3 if at == 1 else 1) for at in range(3)]
        >>> [problem.line() for problem in odd_ones(kinds).values()]
        ['1.png: has 3 channels, most have 1; convert it, or keep it in a data set of its own']
    """
    axes, channels = _usual(each.axes for each in outlines) if outlines else 0, {}
    for count in {each.axes for each in outlines}:
        channels[count] = _usual(each.channels for each in outlines if each.axes == count)
    found = {}
    for each in outlines:
        where, usual = each.case.where(), channels[each.axes]
        if each.axes != axes:
            what, remedy = (
                f"has {each.axes} axes, most have {axes}",
                "keep images and volumes in data sets of their own",
            )
            found[each.case.id] = Problem(where, what, remedy)
        elif each.channels != usual:
            what = f"has {each.channels} channel{'s' * (each.channels > 1)}, most have {usual}"
            found[each.case.id] = Problem(where, what, "convert it, or keep it in a data set of its own")
    return found


def same(outlines: Iterable[Outline]) -> list[list[Case]]:
    """Return the cases of each image that several hold; blank images are all alike, and are no such cases.

    Examples:
        >>> from pathlib import Path
        >>> cases = [Case(name, Path(f"{name}.png"), 0) for name in "abc"]
        >>> found = same([Outline(case, 2, 1, content) for case, content in zip(cases, (b"1", b"2", b"1"))])
        >>> [[case.id for case in group] for group in found]
        [['a', 'c']]
    """
    groups: dict[bytes, list[Case]] = {}
    for each in outlines:
        if each.content is not None:
            groups.setdefault(each.content, []).append(each.case)
    return [cases for cases in groups.values() if len(cases) > 1]


def shared(outlines: Iterable[Outline]) -> dict[str, Problem]:
    """Return what is wrong with the cases, by their ids, whose image lies in another given split as well.

    Of each group the case that judges, in test before val before train, is the one to keep and is not named.

    Examples:
        >>> from pathlib import Path
        >>> cases = [Case(split, Path(f"{split}.png"), 0, split=split) for split in ("train", "test")]
        >>> [problem.line() for problem in shared([Outline(case, 2, 1, b"same") for case in cases]).values()]
        ['train.png: the same pixels as test.png, in train and test; keep one of them']
    """
    found = {}
    for cases in same(each for each in outlines if each.case.split is not None):
        kept = max(cases, key=lambda case: SPLITS.index(str(case.split)))
        for case in cases:
            if case.split != kept.split:
                what = f"the same pixels as {kept.where()}, in {case.split} and {kept.split}"
                found[case.id] = Problem(case.where(), what, "keep one of them")
    return found


def told_shared(outlines: Iterable[Outline], collection: Collection) -> list[str]:
    """Return a line for each image that lies in several splits, given by the collection or made.

    Examples:
        >>> from pathlib import Path
        >>> cases = tuple(Case(split, Path(f"{split}.png"), 0, split=split) for split in ("train", "test"))
        >>> eyes = Collection(cases, ("healthy", "ill"), Path("eyes"), "folder")
        >>> told_shared([Outline(case, 2, 1, b"same") for case in cases], eyes)[0].partition("; ")[2]
        'keep one of them, or give --skip-bad to keep that in test'
    """
    given = {case.id: case.split for case in collection.cases}
    lines = []
    for cases in same(outlines):
        places = sorted({str(case.split) for case in cases}, key=SPLITS.index)
        if len(places) > 1:
            names = [f"{case.id} ({case.split}{_label(case, collection)})" for case in cases]
            apart = len({given[case.id] for case in cases} - {None}) > 1
            remedy = f", or give --skip-bad to keep that in {places[-1]}" if apart else ""
            what = f"the same image lies in {' and '.join(places)}: {', '.join(names)}"
            lines.append(f"{what}; keep one of them{remedy}")
    return lines


def _label(case: Case, collection: Collection) -> str:
    return "" if case.mask is not None else f", {named(case.shown, collection.classes)}"


def only_fitting(collection: Collection, *, skip_bad: bool) -> Collection:
    """Return the collection where all of its cases fit; otherwise refuse it, or leave out and note those that do not.

    With label maps, neither other axes, other channels nor the same image in two given splits fit. With classes, files
    must be images or volumes alone, by their names; what lies in two given splits is left to be told, since releases
    have such images, but is left out of training all the same where cases may be. Then cases that cannot be read are
    left out as well.

    Raises `DataError`, naming the file, where some case does not fit and none may be left out.

    Examples:
        >>> from pathlib import Path
        >>> cases = tuple(Case(name, Path(name), 0) for name in ("a.nii", "b.nii", "c.png"))
        >>> only_fitting(Collection(cases, ("0", "1"), Path("lungs"), "table"), skip_bad=False)
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: c.png: has 2 axes, most have 3; keep images and volumes in data sets of their own, or give --skip-bad
    """  # noqa: E501
    if collection.task == "segmentation":
        return fitting_label_maps(collection, skip_bad=skip_bad)[0]
    if skip_bad:
        found: list[Outline] = []
        collection = without_broken(collection, lambda case: found.append(outline_of(case, read_image(case))))
        collection = without(collection, shared(found))
    files = [case for case in collection.cases if case.index is None and case.box is None]
    by_name = [Outline(case, 3 if is_volume(case.image) else 2, 1) for case in files]
    return _without(collection, odd_ones(by_name), skip_bad=skip_bad)


def fitting_label_maps(collection: Collection, *, skip_bad: bool) -> tuple[Collection, dict[str, Outline]]:
    """Return what ``only_fitting`` does of label maps, and by their ids what its cases are.

    Examples:
        >>> from pathlib import Path
        >>> case = Case("a", Path("gone.nii.gz"), 0, mask=Path("mask.nii.gz"))
        >>> fitting_label_maps(Collection((case,), ("0", "1"), Path("hearts"), "pairs"), skip_bad=False)[1]["a"].axes
        3
    """
    if skip_bad:
        classes = len(collection.classes)
        collection = without_broken(collection, lambda case: read_labelled(case, classes))
    outlines = {case.id: outline(case) for case in collection.cases}
    problems = shared(outlines.values()) | odd_ones(list(outlines.values()))
    return _without(collection, problems, skip_bad=skip_bad), outlines


def _without(collection: Collection, problems: Mapping[str, Problem], *, skip_bad: bool) -> Collection:
    if problems and not skip_bad:
        raise faults([replace(each, remedy=f"{each.remedy}, or give --skip-bad") for each in problems.values()])
    return without(collection, problems)


def _usual(counts: Iterable[int]) -> int:
    return Counter(counts).most_common(1)[0][0]
