"""The record of one image with its label, and a whole set of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acnorm.data.problems import Problem

SPLITS = ("train", "val", "test")
UNUSED = "unused"  # what a split file says of cases that are left out


@dataclass(frozen=True, slots=True)
class Case:
    """One image and what is known about it.

    `label` counts from 0 and indexes `Collection.classes`; it is 0 where a `mask`, a label map, says what is what.
    `split` is "train", "val", "test" or None (not given); `index` is the row where `image` is an archive of many
    images, and None for a file of its own. `channels` are further files of the same image (nnU-Net's _0001, ...),
    `within` is a map of where labels count (a field of view), and `other` the label map of a second observer.
    `label_values` are the numbers that stand for the classes in the mask, where these are not 0, 1, 2, ...
    `label_slips` are pairs of a wrong number that the mask is known to hold and the one that it stands for.
    `box` is the cube of a volume that is the image, where it is not the whole: its centre, x, y, z in RAS, and its
    side, in millimetres. `labels` are the classes that the case shows, none or several of them, where cases may show
    several; `label` is then the one by which cases are stratified. `phase` is "ED" or "ES", the end of the heart's
    diastole or systole, where the data say which of them the image is.

    Examples:
        >>> Case(id="eye-1", image=Path("eyes/1.png"), label=2).patient is None
        True
    """

    id: str
    image: Path
    label: int
    patient: str | None = None
    split: str | None = None
    index: int | None = None
    mask: Path | None = None
    channels: tuple[Path, ...] = ()
    within: Path | None = None
    other: Path | None = None
    label_values: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    labels: tuple[int, ...] | None = None
    phase: str | None = None
    label_slips: tuple[tuple[int, int], ...] = ()

    @property
    def shown(self) -> tuple[int, ...]:
        """The classes that the case shows: its label, or its labels where it may have several."""
        return (self.label,) if self.labels is None else self.labels

    def where(self) -> str:
        """The file of the case and, where it holds several, its id: what a message to the user names.

        Examples:
            >>> Case(id="train_0007", image=Path("eyes.npz"), label=0, index=7).where()
            'eyes.npz[train_0007]'
        """
        return str(self.image) if self.index is None and self.box is None else f"{self.image}[{self.id}]"


@dataclass(frozen=True)
class Collection:
    """All cases of one data set, the names of its classes in order, and where they were read from.

    Of label maps, class 0 is the background.
    `notes` are the non-fatal things that the reader met, such as files it ignored. `modality` is what the images are,
    such as "CT", where the data set says so.

    Examples:
        >>> eyes = tuple(Case(f"eye-{i}", Path(f"{i}.png"), i % 2, patient="P1") for i in range(4))
        >>> collection = Collection(eyes, classes=("healthy", "ill"), source=Path("eyes"), format="folder")
        >>> collection.patients_known, len(collection), list(collection.by_split())
        (True, 4, [None])
    """

    cases: tuple[Case, ...]
    classes: tuple[str, ...]
    source: Path
    format: str
    notes: tuple[Problem, ...] = ()
    modality: str | None = None

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def task(self) -> str:
        """ "segmentation" where cases have label maps, "multilabel" where they may show several classes each, else
        "classification".
        """
        if any(case.mask is not None for case in self.cases):
            return "segmentation"
        several = any(case.labels is not None for case in self.cases)
        return "multilabel" if several else "classification"

    @property
    def patients_known(self) -> bool:
        """Whether every case names its patient."""
        return all(case.patient is not None for case in self.cases)

    def by_split(self) -> dict[str | None, list[Case]]:
        """The cases of each split that occurs, in the order train, val, test, None."""
        found = {case.split for case in self.cases}
        order: list[str | None] = [*SPLITS, None]
        return {split: [case for case in self.cases if case.split == split] for split in order if split in found}


def named(labels: Sequence[int], classes: Sequence[str]) -> str:
    """The classes that a case shows, in one text: with bars between, and "none" of none.

    Examples:
        >>> named((0, 2), ("edema", "mass", "nodule")), named((), ("edema", "mass"))
        ('edema|nodule', 'none')
    """
    return "|".join(classes[label] for label in labels) or "none"


def patients_across_splits(cases: tuple[Case, ...] | list[Case]) -> dict[str, tuple[str, ...]]:
    """Each patient whose cases lie in more than one split, with those splits.

    Examples:
        >>> left = Case("left", Path("l.png"), 0, patient="P1", split="train")
        >>> right = Case("right", Path("r.png"), 0, patient="P1", split="test")
        >>> patients_across_splits([left, right])
        {'P1': ('train', 'test')}
    """
    splits: dict[str, set[str]] = {}
    for case in cases:
        if case.patient is not None:
            splits.setdefault(case.patient, set()).add(case.split or "no split")
    order = [*SPLITS, "no split"]
    return {
        patient: tuple(sorted(found, key=order.index)) for patient, found in sorted(splits.items()) if len(found) > 1
    }


def duplicate_ids(cases: tuple[Case, ...] | list[Case]) -> dict[str, int]:
    """Each id that more than one case bears, with how many do.

    Examples:
        >>> duplicate_ids([Case("a", Path("1.png"), 0), Case("a", Path("2.png"), 0)])
        {'a': 2}
    """
    counts = Counter(case.id for case in cases)
    return {name: count for name, count in sorted(counts.items()) if count > 1}
