"""Generated patches of lung nodules and of what is none, in 2D and 3D, for demos and tests: no data needed.

A nodule is a ball, a little uneven; the other class shows nothing but vessels, tubes of the same brightness, which
nodules have around them too. Domain "target" is another scanner: less contrast, another level, more noise, and a gain
that rises across the patch.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from acnorm.data.atomic import replacing
from acnorm.data.fundus import Domain
from acnorm.errors import UserError

CLASSES = ("other", "nodule")
_AIR, _TISSUE = -850.0, 20.0  # Hounsfield units
_LOW, _HIGH = -1000.0, 400.0  # that become 0 and 255
_SHARES = (("val", 0.2), ("test", 0.2))
_SMALLEST = 16
_FEWEST = 10

Grid = list[NDArray[np.float64]]


def nodule_phantoms(out: Path, *, domain: Domain, cases: int, size: int = 32, dimensions: int = 2, seed: int) -> Path:
    """Write generated patches as a MedMNIST-style .npz, 60 % train, 20 % val, 20 % test; returns `out`.

    Labels are 0, vessels or nothing, and 1, a nodule, as even as they can be in each split. Equal arguments give equal
    patches; both domains see the same nodules.

    Args:
        out: the file.
        domain: "source" or "target".
        cases: patches; at least 10.
        size: pixels or voxels of every side, of a patch of 50 mm; at least 16.
        dimensions: 2 or 3.
        seed: of all that is random.

    Raises:
        UserError: an unknown domain, other dimensions, too few cases or voxels.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.formats import read_cases
        >>> file = Path(tempfile.mkdtemp()) / "nodules.npz"
        >>> found = read_cases(nodule_phantoms(file, domain="source", cases=20, size=16, dimensions=3, seed=0))
        >>> found.classes, {split: len(cases) for split, cases in found.by_split().items()}
        (('0', '1'), {'train': 12, 'val': 4, 'test': 4})
    """
    if domain not in get_args(Domain):
        raise UserError(f"unknown phantom domain '{domain}'; allowed are {' and '.join(get_args(Domain))}")
    if dimensions not in (2, 3):
        raise UserError(f"phantoms of {dimensions} dimensions; give 2 or 3")
    if cases < _FEWEST or size < _SMALLEST:
        raise UserError(f"{cases} phantoms of {size} voxels; ask for {_FEWEST} or more of {_SMALLEST} or more")
    sizes = {split: round(share * cases) for split, share in _SHARES}
    arrays: dict[str, NDArray[np.uint8]] = {}
    start = 0
    for split, count in {"train": cases - sum(sizes.values()), **sizes}.items():
        labels = np.random.default_rng([seed, dimensions, 0, start]).permutation(np.arange(count) % 2)
        arrays[f"{split}_images"] = np.stack(
            [nodule_patch(int(label), domain, size, dimensions, seed, start + at) for at, label in enumerate(labels)]
        )
        arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
        start += count
    with replacing(out) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return out


def nodule_patch(label: int, domain: Domain, size: int, dimensions: int, seed: int, number: int) -> NDArray[np.uint8]:
    """Paint one patch of a label, uint8 with `dimensions` sides of `size`; `number` tells it from others of a seed.

    Examples:
        >>> nodule_patch(1, "target", 16, 3, seed=0, number=0).shape
        (16, 16, 16)
    """
    rng = np.random.default_rng([seed, dimensions, 1, number])
    grid = list(np.meshgrid(*[np.linspace(-1, 1, size)] * dimensions, indexing="ij"))
    values = np.full(grid[0].shape, _AIR)
    for _ in range(int(rng.integers(2, 5))):
        values = np.maximum(values, _soft(_outside_of_tube(grid, rng), size))
    ball = _soft(_outside_of_ball(grid, rng), size)
    if label:
        values = np.maximum(values, ball)
    return _scanned(values, domain, np.random.default_rng([seed, dimensions, 2, number]), grid[0])


def _outside_of_ball(grid: Grid, rng: np.random.Generator) -> NDArray[np.float64]:
    """How far each voxel lies outside an uneven ball near the middle; negative inside."""
    centre, radius = rng.uniform(-0.2, 0.2, len(grid)), rng.uniform(0.2, 0.4)
    stretch = rng.uniform(0.85, 1.15, len(grid))
    parts = [((axis - at) / by) ** 2 for axis, at, by in zip(grid, centre, stretch, strict=True)]
    return np.asarray(np.sqrt(sum(parts)) - radius)


def _outside_of_tube(grid: Grid, rng: np.random.Generator) -> NDArray[np.float64]:
    """How far each voxel lies outside a straight tube; negative inside."""
    direction = rng.normal(size=len(grid))
    direction /= np.linalg.norm(direction)
    away = np.stack(grid, axis=-1) - rng.uniform(-0.7, 0.7, len(grid))
    across = away - (away @ direction)[..., None] * direction
    return np.asarray(np.linalg.norm(across, axis=-1) - rng.uniform(0.04, 0.1))


def _soft(outside: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Tissue inside, air outside, and between them a slope of a voxel."""
    inside = 1 / (1 + np.exp(np.clip(outside * 2 * size, -50, 50)))
    return np.asarray(_AIR + (_TISSUE - _AIR) * inside)


def _scanned(
    values: NDArray[np.float64], domain: Domain, rng: np.random.Generator, across: NDArray[np.float64]
) -> NDArray[np.uint8]:
    noise = 40.0
    if domain == "target":
        values, noise = _AIR + 120 + 0.6 * (1 + 0.25 * across) * (values - _AIR), 90.0
    seen = values + noise * rng.normal(size=values.shape)
    unit = ((seen - _LOW) / (_HIGH - _LOW)).clip(0, 1)
    return np.asarray((255 * unit).round(), dtype=np.uint8)
