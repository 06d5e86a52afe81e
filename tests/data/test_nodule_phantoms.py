"""Generated nodules: sound data, a seed that repeats, another domain, and classes that can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from acnorm.data.check import check
from acnorm.data.nodule_phantoms import nodule_phantoms
from acnorm.errors import UserError


def arrays(path: Path, **options: object) -> dict[str, np.ndarray]:
    with np.load(nodule_phantoms(path, **{"domain": "source", "cases": 20, "size": 16, "seed": 0, **options})) as file:
        return dict(file)


DIMENSIONS = pytest.mark.parametrize("dimensions", [2, 3])


@DIMENSIONS
def test_nodules_are_a_sound_data_set(tmp_path: Path, dimensions: int):
    file = nodule_phantoms(tmp_path / "a.npz", domain="target", cases=30, size=16, dimensions=dimensions, seed=0)
    report = check(file)
    assert report.lines() == []
    assert report.sizes == {"×".join(["16"] * dimensions): 30}
    assert report.counts == {"train": {"0": 9, "1": 9}, "val": {"0": 3, "1": 3}, "test": {"0": 3, "1": 3}}


@DIMENSIONS
def test_a_seed_repeats_and_another_does_not(tmp_path: Path, dimensions: int):
    first, again = (arrays(tmp_path / f"{at}.npz", dimensions=dimensions) for at in (1, 2))
    other = arrays(tmp_path / "3.npz", dimensions=dimensions, seed=1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["train_images"], other["train_images"])


@DIMENSIONS
def test_another_scanner_sees_the_same_nodules_otherwise(tmp_path: Path, dimensions: int):
    source, target = (
        arrays(tmp_path / f"{name}.npz", domain=name, dimensions=dimensions, size=24) for name in ("source", "target")
    )
    assert np.array_equal(source["train_labels"], target["train_labels"])
    one, two = (found["train_images"].astype(float) for found in (source, target))
    assert two.mean() - one.mean() > 5
    assert np.quantile(two, 0.99) < np.quantile(one, 0.99)
    each = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, two, strict=True)]
    assert min(each) > 0.4


@DIMENSIONS
@pytest.mark.parametrize("domain", ["source", "target"])
def test_nodules_can_be_learnt_but_not_from_a_glance(tmp_path: Path, dimensions: int, domain: str):
    """Brightness that stays under a blur tells nodules from vessels; the brightest voxel does not."""
    data = arrays(tmp_path / "a.npz", domain=domain, cases=200, size=24, dimensions=dimensions)
    images, labels = data["train_images"].astype(float), data["train_labels"].ravel()
    blurred = images
    for axis in range(1, images.ndim):
        blurred = sum(np.roll(blurred, step, axis) for step in range(-3, 4)) / 7
    space = tuple(range(1, images.ndim))
    told = roc_auc_score(labels, blurred.max(axis=space))
    assert told > 0.8
    assert abs(roc_auc_score(labels, images.max(axis=space)) - 0.5) < told - 0.55


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": "mars"}, r"^unknown phantom domain 'mars'; allowed are source and target$"),
        ({"dimensions": 4}, r"^phantoms of 4 dimensions; give 2 or 3$"),
        ({"cases": 9}, r"^9 phantoms of 16 voxels; ask for 10 or more of 16 or more$"),
        ({"size": 8}, r"^20 phantoms of 8 voxels; ask for 10 or more of 16 or more$"),
    ],
)
def test_what_cannot_be_made_is_told(tmp_path: Path, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        arrays(tmp_path / "a.npz", **options)
    assert list(tmp_path.iterdir()) == []
