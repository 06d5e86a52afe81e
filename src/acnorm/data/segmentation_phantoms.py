"""Generated label maps with their images, one kind a task, for demos and tests: no data needed, none given away.

Each kind comes in two domains, as two scanners would see the same anatomy: "target" has other grey values, less
contrast, more noise and a slow gain across the image. Written in the layouts that releases have.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from acnorm.data.atomic import replacing
from acnorm.data.fundus import Domain
from acnorm.errors import UserError

_SMALLEST = 24
_TEST_SHARE = 0.25

Values = NDArray[np.float32]
Labels = NDArray[np.uint8]
Painted = tuple[Values, Labels]


@dataclass(frozen=True)
class _Scanner:
    """What a domain does to true values: times contrast, plus offset, noise, and a gain that rises across the image."""

    contrast: float
    offset: float
    noise: float
    gain: float


_SCANNERS: dict[Domain, _Scanner] = {"source": _Scanner(1.0, 0.0, 1.0, 0.0), "target": _Scanner(0.6, 30.0, 1.6, 0.25)}


def segmentation_phantoms(out: Path, *, task: str, domain: Domain, cases: int, size: int = 32, seed: int) -> Path:
    """Write generated images with label maps into the folder `out`, a quarter of them as the test split; returns `out`.

    Tasks: "vessel", images in DRIVE's layout; "nodule", "liver" (1 liver, 2 tumour, some livers without) and "cardiac"
    (1 RV, 2 MYO, 3 LV; two frames a patient, the second contracted), volumes in nnU-Net's raw layout. Equal arguments
    give equal files, and a case does not depend on how many there are.

    Args:
        out: a new folder.
        task: one of these.
        domain: "source" or "target".
        cases: images, or patients of "cardiac"; at least 4.
        size: voxels along an image's side; at least 24. Volumes have a quarter to the whole of it as slices.
        seed: of all that is random.

    Raises:
        UserError: an unknown task or domain, too few cases or voxels, or a folder that is there.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.formats import read_cases
        >>> out = Path(tempfile.mkdtemp()) / "livers"
        >>> found = read_cases(segmentation_phantoms(out, task="liver", domain="source", cases=4, size=24, seed=0))
        >>> found.classes, len(found)
        (('background', 'liver', 'tumour'), 4)
    """
    if task not in _TASKS:
        raise UserError(f"unknown phantom task '{task}'; allowed are {', '.join(_TASKS)}")
    if domain not in get_args(Domain):
        raise UserError(f"unknown phantom domain '{domain}'; allowed are {' and '.join(get_args(Domain))}")
    if cases < 4 or size < _SMALLEST:
        raise UserError(f"{cases} phantoms of {size} voxels; ask for 4 or more of {_SMALLEST} or more")
    if out.exists():
        raise UserError(f"{out}: exists; give a new folder")
    kind = _TASKS[task]
    tested = round(_TEST_SHARE * cases)
    with replacing(out) as draft:
        for number in range(cases):
            split = "test" if number >= cases - tested else "train"
            rng = np.random.default_rng([seed, list(_TASKS).index(task), number])
            kind.write(draft, number, split, domain, kind.paint(size, rng), rng)
        if kind.about is not None:
            (draft / "dataset.json").write_text(json.dumps(kind.about, indent=1), encoding="utf-8")
    return out


def _nodule(size: int, rng: np.random.Generator) -> list[Painted]:
    grid = _grid((size, size, size))
    values = np.full(grid[0].shape, -850.0)
    for _ in range(int(rng.integers(3, 7))):  # vessels, as bright as nodules and longer
        centre, direction = rng.uniform(-0.7, 0.7, 3), rng.normal(size=3)
        values[_tube(grid, centre, direction, rng.uniform(0.03, 0.07))] = rng.uniform(-100, 50)
    radius = rng.uniform(0.15, 0.35)
    nodule = _ellipsoid(grid, rng.uniform(-0.15, 0.15, 3), radius * rng.uniform(0.8, 1.2, 3))
    values[nodule] = rng.uniform(-50, 80)
    return [_noisy(values, nodule.astype(np.uint8), 60.0, rng)]


def _liver(size: int, rng: np.random.Generator) -> list[Painted]:
    grid = _grid((size, size, max(8, size // 2)))
    values = np.full(grid[0].shape, -150.0)
    values[_ellipsoid(grid, np.zeros(3), np.array([0.95, 0.8, 1.5]))] = 30.0
    centre = np.array([-0.3, 0.05, 0.0]) + rng.uniform(-0.08, 0.08, 3)
    liver = _ellipsoid(grid, centre, np.array([0.5, 0.45, 0.75]) * rng.uniform(0.85, 1.15, 3))
    values[liver] = 105.0
    labels = liver.astype(np.uint8)
    for _ in range(int(rng.choice([0, 1, 2, 3]))):
        place = centre + rng.uniform(-0.25, 0.25, 3)
        tumour = _ellipsoid(grid, place, rng.uniform(0.1, 0.2) * rng.uniform(0.8, 1.2, 3)) & liver
        values[tumour], labels[tumour] = 60.0, 2
    return [_noisy(values, labels, 15.0, rng)]


def _cardiac(size: int, rng: np.random.Generator) -> list[Painted]:
    grid = _grid((size, size, max(6, size // 4)))
    centre = np.array([0.1, 0.0, 0.0]) + rng.uniform(-0.08, 0.08, 3)
    cavity, wall = rng.uniform(0.25, 0.38), rng.uniform(0.1, 0.15)
    ejected = rng.uniform(0.15, 0.7)
    frames = []
    for share in (1.0, (1 - ejected) ** 0.5):  # a beat narrows the cavity and thickens its wall
        inner = cavity * share
        outer = np.sqrt(inner**2 + (cavity + wall) ** 2 - cavity**2)
        blood = _ellipsoid(grid, centre, np.array([inner, inner, 0.9]))
        heart = _ellipsoid(grid, centre, np.array([outer, outer, 1.0]))
        right = _ellipsoid(grid, centre - np.array([outer + 0.1, 0, 0]), np.array([0.35, 0.45, 0.85])) & ~heart
        labels = np.select([blood, heart, right], [3, 2, 1], 0).astype(np.uint8)
        values = np.select([blood, heart, right], [230.0, 110.0, 210.0], 60.0)
        frames.append(_noisy(values, labels, 12.0, rng))
    return frames


def _vessel(size: int, rng: np.random.Generator) -> list[Painted]:
    """A tree that branches, darker than the retina it lies on; outside the field of view all is black."""
    x, y = _grid((size, size))
    vessels = np.zeros((size, size), dtype=bool)
    twigs = [(np.array([rng.uniform(-0.7, -0.5), rng.uniform(-0.1, 0.1)]), angle, 0.05) for angle in (-0.7, 0.0, 0.7)]
    while twigs:
        place, angle, width = twigs.pop()
        for _ in range(6):
            angle += rng.normal(0, 0.25)
            step = place + 0.16 * np.array([np.cos(angle), np.sin(angle)])
            vessels |= _segment(x, y, place, step, width)
            place = step
        if width > 0.025:
            twigs += [(place, angle + side * rng.uniform(0.3, 0.7), width * 0.7) for side in (-1, 1)]
    within = x**2 + y**2 <= 0.95**2
    vessels &= within
    values = (
        150 + 20 * (x * rng.normal() + y * rng.normal()) - 45.0 * ndimage.gaussian_filter(vessels.astype(float), 0.6)
    )
    image, labels = _noisy(values, vessels.astype(np.uint8), 5.0, rng)
    return [(np.where(within, image, 0), labels)]


def _noisy(values: NDArray[np.floating], labels: Labels, noise: float, rng: np.random.Generator) -> Painted:
    smooth = ndimage.gaussian_filter(values, 0.5)
    return (smooth + noise * rng.normal(size=values.shape)).astype(np.float32), labels


def _scanned(values: Values, domain: Domain, rng: np.random.Generator) -> Values:
    scanner = _SCANNERS[domain]
    middle = float(np.median(values))
    rise = np.linspace(-1, 1, values.shape[0]).reshape(-1, *(1,) * (values.ndim - 1))
    changed = (values - middle) * scanner.contrast * (1 + scanner.gain * rise) + middle + scanner.offset
    extra = np.sqrt(max(0.0, scanner.noise**2 - 1)) * 0.05 * float(values.std())
    return np.asarray(changed + extra * rng.normal(size=values.shape), dtype=np.float32)


def _write_volumes(
    out: Path, number: int, split: str, domain: Domain, painted: list[Painted], rng: np.random.Generator
) -> None:
    for frame, (values, labels) in enumerate(painted, start=1):
        name = f"patient{number:03}" + (f"_frame{frame:02}" if len(painted) > 1 else "")
        part = "Tr" if split == "train" else "Ts"
        stored = _scanned(values, domain, rng).round().astype(np.int16)
        for folder, array, suffix in ((f"images{part}", stored, "_0000"), (f"labels{part}", labels, "")):
            (out / folder).mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(array, np.diag([1.5, 1.5, 4.0, 1.0]))
            image.to_filename(out / folder / f"{name}{suffix}.nii.gz")


def _write_fundus(
    out: Path, number: int, split: str, domain: Domain, painted: list[Painted], rng: np.random.Generator
) -> None:
    ((values, labels),) = painted
    part = "training" if split == "train" else "test"
    name, folder = f"{number + 1:02}", out / part
    for kind in ("images", "1st_manual", "mask"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    within = values > 0
    grey = np.where(within, _scanned(values, domain, rng), 0).clip(0, 255)
    colours = (grey[..., None] * np.array([1.0, 0.6, 0.35])).astype(np.uint8)
    Image.fromarray(colours).save(folder / "images" / f"{name}_{part}.tif")
    Image.fromarray(labels * 255).save(folder / "1st_manual" / f"{name}_manual1.gif")
    Image.fromarray(within.astype(np.uint8) * 255).save(folder / "mask" / f"{name}_{part}_mask.gif")
    if part == "test":  # a second observer, who draws a pixel lower
        (folder / "2nd_manual").mkdir(exist_ok=True)
        Image.fromarray(np.roll(labels, 1, axis=0) * 255).save(folder / "2nd_manual" / f"{name}_manual2.gif")


def _about(modality: str, *classes: str) -> dict[str, object]:
    labels = {name: label for label, name in enumerate(("background", *classes))}
    return {"channel_names": {"0": modality}, "labels": labels, "file_ending": ".nii.gz"}


@dataclass(frozen=True)
class _Kind:
    """How the cases of a task are painted and written, and what dataset.json says of them."""

    paint: Callable[[int, np.random.Generator], list[Painted]]
    write: Callable[[Path, int, str, Domain, list[Painted], np.random.Generator], None]
    about: dict[str, object] | None = None


_TASKS = {
    "vessel": _Kind(_vessel, _write_fundus),
    "nodule": _Kind(_nodule, _write_volumes, _about("CT", "nodule")),
    "liver": _Kind(_liver, _write_volumes, _about("CT", "liver", "tumour")),
    "cardiac": _Kind(_cardiac, _write_volumes, _about("MRI", "RV", "MYO", "LV")),
}


def _grid(shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Coordinates from -1 to 1 along each axis."""
    return list(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))


def _ellipsoid(
    grid: list[NDArray[np.float64]], centre: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.bool_]:
    terms = [((axis - at) / radius) ** 2 for axis, at, radius in zip(grid, centre, radii, strict=True)]
    return np.asarray(sum(terms) <= 1)


def _tube(
    grid: list[NDArray[np.float64]], centre: NDArray[np.float64], direction: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Voxels within a radius of a straight line."""
    away = np.stack(grid, axis=-1) - centre
    unit = direction / np.linalg.norm(direction)
    across = away - (away @ unit)[..., None] * unit
    return np.asarray((across**2).sum(axis=-1) <= radius**2)


def _segment(
    x: NDArray[np.float64], y: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64], width: float
) -> NDArray[np.bool_]:
    """Pixels within half a width of a line from start to end."""
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along)
    share = share.clip(0, 1)
    distance = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    return np.asarray(distance <= width / 2)
