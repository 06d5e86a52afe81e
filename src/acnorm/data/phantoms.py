"""Generated fundus photographs with graded lesions, for demos and tests: no data needed, none given away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from acnorm.data.atomic import replacing
from acnorm.data.fundus import CAMERAS, GRADES, LESIONS, Domain, paint_fundus
from acnorm.errors import UserError

Task = Literal["grade", "disc_side", "lesion_type"]

_SHARES = (("train", 0.6), ("val", 0.2), ("test", 0.2))
_SMALLEST = 16  # below this the lesions are smaller than a pixel


@dataclass(frozen=True)
class _Question:
    """What a task asks of an image: how many answers there are, and how an image with a given answer is made."""

    classes: int
    paint: Callable[[int, Domain, int, np.random.Generator], NDArray[np.uint8]]


def fundus_image(grade: int, domain: Domain, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint the photograph of an eye with retinopathy of a grade, 0 (none) to 4, as uint8 [size, size, 3].

    The number of microaneurysms, haemorrhages and exudates is drawn from Poisson distributions whose means rise
    with the grade. The side of the disc is drawn too. Domain "target" sees the same eyes through a camera with a
    colour cast, less contrast, uneven light, blur, more noise and fainter lesions.
    Raises `UserError` for a grade, domain or size outside these.

    Examples:
        >>> image = fundus_image(3, "source", 64, np.random.default_rng(0))
        >>> image.shape, image.dtype
        ((64, 64, 3), dtype('uint8'))
    """
    if not 0 <= grade <= 4:
        raise UserError(f"grade {grade}; give 0, 1, 2, 3 or 4")
    _refuse_unknown(domain, size)
    counts = {kind: int(rng.poisson(means[grade])) for kind, means in GRADES.items()}
    return paint_fundus(counts, domain, size, rng, disc_side=int(rng.choice((-1, 1))))


def _disc_side_image(side: int, domain: Domain, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    grade = int(rng.integers(5))
    counts = {kind: int(rng.poisson(means[grade])) for kind, means in GRADES.items()}
    return paint_fundus(counts, domain, size, rng, disc_side=2 * side - 1)


def _lesion_type_image(kind: int, domain: Domain, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    number = 2 + int(rng.poisson(3))
    counts = {list(LESIONS)[kind - 1]: number} if kind else {}
    return paint_fundus(counts, domain, size, rng, disc_side=int(rng.choice((-1, 1))))


_QUESTIONS: dict[Task, _Question] = {
    "grade": _Question(5, fundus_image),
    "disc_side": _Question(2, _disc_side_image),
    "lesion_type": _Question(1 + len(LESIONS), _lesion_type_image),
}


def fundus_phantoms(out: Path, *, domain: Domain, cases: int, size: int = 64, seed: int, task: Task = "grade") -> Path:
    """Write generated fundus photographs as a MedMNIST-style .npz, 60 % train, 20 % val, 20 % test; returns `out`.

    Classes are as even as they can be in each split. Tasks: "grade", 0 to 4; "disc_side", 0 left and 1 right;
    "lesion_type", 0 none, 1 microaneurysms, 2 haemorrhages, 3 exudates. Equal arguments give equal images.
    Raises `UserError` for an unknown domain or task, and for too few cases or pixels.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = fundus_phantoms(Path(folder) / "eyes.npz", domain="source", cases=30, size=32, seed=0)
        ...     with np.load(path) as file:
        ...         shapes = {name: file[name].shape for name in ("train_images", "val_labels")}
        >>> shapes
        {'train_images': (18, 32, 32, 3), 'val_labels': (6, 1)}
    """
    _refuse_unknown(domain, size)
    if task not in _QUESTIONS:
        raise UserError(f"unknown phantom task '{task}'; allowed are {', '.join(_QUESTIONS)}")
    question = _QUESTIONS[task]
    if cases < 5 * question.classes:
        raise UserError(
            f"{cases} phantoms of {question.classes} classes leave a split without one of them; "
            f"ask for {5 * question.classes} or more"
        )
    arrays: dict[str, NDArray[np.uint8]] = {}
    start = 0
    for split, count in _split_sizes(cases).items():
        labels = _generator(seed, domain, task, start).permutation(np.arange(count) % question.classes)
        arrays[f"{split}_images"] = np.stack(
            [
                question.paint(int(label), domain, size, _generator(seed, domain, task, 1 + start + row))
                for row, label in enumerate(labels)
            ]
        )
        arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
        start += 1 + count
    with replacing(out) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return out


def _split_sizes(cases: int) -> dict[str, int]:
    sizes = {split: round(share * cases) for split, share in _SHARES}
    sizes["train"] = cases - sizes["val"] - sizes["test"]
    return sizes


def _generator(seed: int, domain: Domain, task: Task, number: int) -> np.random.Generator:
    """One stream for each image, so that no image depends on how many came before it."""
    place = (list(CAMERAS).index(domain), list(_QUESTIONS).index(task))
    return np.random.default_rng([seed, *place, number])


def _refuse_unknown(domain: str, size: int) -> None:
    if domain not in get_args(Domain):
        raise UserError(f"unknown phantom domain '{domain}'; allowed are {' and '.join(get_args(Domain))}")
    if size < _SMALLEST:
        raise UserError(f"phantoms of {size} pixels; ask for {_SMALLEST} or more")
