from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.phantoms import fundus_image, fundus_phantoms
from acnorm.data.splits import split_cases
from acnorm.errors import UserError


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize(("task", "classes"), [("grade", 5), ("disc_side", 2), ("lesion_type", 4)])
def test_phantoms_are_a_sound_data_set(tmp_path: Path, task: str, classes: int):
    path = fundus_phantoms(tmp_path / "a.npz", domain="source", cases=60, size=32, seed=0, task=task)
    report = check(path)
    assert report.lines() == []
    assert {split: sum(counts.values()) for split, counts in report.counts.items()} == {
        "train": 36,
        "val": 12,
        "test": 12,
    }
    assert len(report.classes) == classes
    assert all(min(counts.values()) > 0 for counts in report.counts.values())
    assert split_cases(read_cases(path)).origin == "given by the data"


def test_a_seed_repeats_and_another_does_not(tmp_path: Path):
    options = {"domain": "target", "cases": 25, "size": 16}
    first, again, other = (
        arrays(fundus_phantoms(tmp_path / f"{i}.npz", seed=seed, **options)) for i, seed in enumerate((1, 1, 2))
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["train_images"], other["train_images"])


def test_domains_show_different_photographs(tmp_path: Path):
    source, target = (
        arrays(fundus_phantoms(tmp_path / f"{d}.npz", domain=d, cases=25, size=16, seed=0))["train_images"]
        for d in ("source", "target")
    )
    assert abs(source[..., 0].mean() / source[..., 2].mean() - target[..., 0].mean() / target[..., 2].mean()) > 0.5


def test_grades_can_be_learnt_but_not_from_a_glance(tmp_path: Path):
    """Sharp spots tell grades 2 to 4 from 0 and 1, though not always; the mean intensity tells less."""
    data = arrays(fundus_phantoms(tmp_path / "a.npz", domain="source", cases=300, seed=0))
    green = data["train_images"][..., 1] / 255.0
    severe = data["train_labels"].ravel() >= 2
    curvature = 4 * green - sum(np.roll(green, step, axis) for step in (-3, 3) for axis in (1, 2))
    inside = curvature[:, 14:50, 14:50].reshape(len(green), -1)
    spots = roc_auc_score(severe, np.quantile(inside, 0.98, axis=1) - np.quantile(inside, 0.02, axis=1))
    glance = roc_auc_score(severe, -green.mean((1, 2)))
    assert 0.75 < spots < 0.99
    assert glance < spots - 0.05


def test_an_existing_file_is_replaced_and_nothing_else_left(tmp_path: Path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    fundus_phantoms(path, domain="source", cases=25, size=16, seed=0)
    assert list(tmp_path.iterdir()) == [path]
    assert len(arrays(path)["train_images"]) == 15


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domain": "mars"}, "unknown phantom domain 'mars'; allowed are source and target"),
        ({"task": "age"}, "unknown phantom task 'age'; allowed are grade, disc_side, lesion_type"),
        (
            {"cases": 24},
            "24 phantoms of 5 classes leave a split without one of them; ask for 25 or more",
        ),
        ({"size": 8}, "phantoms of 8 pixels; ask for 16 or more"),
    ],
)
def test_what_cannot_be_painted(tmp_path: Path, changes: dict[str, object], message: str):
    options = {"domain": "source", "cases": 25, "size": 16, "seed": 0} | changes
    with pytest.raises(UserError) as error:
        fundus_phantoms(tmp_path / "a.npz", **options)
    assert str(error.value) == message


def test_a_grade_that_does_not_exist():
    with pytest.raises(UserError, match=r"grade 5; give 0, 1, 2, 3 or 4"):
        fundus_image(5, "source", 32, np.random.default_rng(0))
