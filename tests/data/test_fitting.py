from __future__ import annotations

import gzip
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.data.case import Case
from acnorm.data.fitting import outline
from acnorm.data.problems import DataError
from acnorm.data.segmentation import load_segmentation
from volume_files import nifti

GREY, COLOUR = (12, 10), (12, 10, 3)


def photograph(root: Path, name: str, shape: tuple[int, ...] = GREY, seed: int = 0) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(root / "images" / f"{name}.png")
    Image.fromarray((np.arange(120).reshape(12, 10) % 2).astype(np.uint8)).save(root / "masks" / f"{name}.png")


def volume(root: Path, name: str, seed: int = 0) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    nifti(root / "images" / f"{name}.nii.gz", np.random.default_rng(seed).integers(0, 500, (12, 10, 3)))
    nifti(root / "masks" / f"{name}.nii.gz", np.arange(360).reshape(12, 10, 3) % 2)


def splits(root: Path, make) -> Path:
    for at, split in enumerate(("train", "val", "test")):
        for number in range(3):
            make(root / split, f"c{number}", seed=10 * at + number)
    return root


def loaded(root: Path, **settings):
    return load_segmentation(root, patch_size=4, **settings)


def refusal(root: Path, **settings) -> str:
    with pytest.raises(DataError) as caught:
        loaded(root, **settings)
    return str(caught.value)


def without(root: Path, name: str, caplog: pytest.LogCaptureFixture, **settings) -> str:
    """The one warning with which a case is left out."""
    with caplog.at_level(logging.WARNING, "acnorm"):
        data = loaded(root, skip_bad=True, **settings)
    assert name not in [case.id for case in data.collection.cases]
    (warning,) = data.warnings
    assert [record.getMessage() for record in caplog.records] == [warning]
    return warning


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_colour_among_greys_is_named_in_every_split(tmp_path: Path, split: str, caplog: pytest.LogCaptureFixture):
    photograph(splits(tmp_path, photograph) / split, "c1", COLOUR)
    told = f"{tmp_path}/{split}/images/c1.png: has 3 channels, most have 1; convert it, or keep it in a data set of its own"
    assert refusal(tmp_path) == f"{told}, or give --skip-bad"
    assert without(tmp_path, f"{split}/c1", caplog) == told.replace("has 3", "left out: has 3")


@pytest.mark.parametrize("slices", [False, True])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_image_among_volumes_is_named_in_every_split(
    tmp_path: Path, split: str, slices: bool, caplog: pytest.LogCaptureFixture
):
    photograph(splits(tmp_path, volume) / split, "c9")
    told = (
        f"{tmp_path}/{split}/images/c9.png: has 2 axes, most have 3; keep images and volumes in data sets of their own"
    )
    assert refusal(tmp_path, slices=slices) == f"{told}, or give --skip-bad"
    assert without(tmp_path, f"{split}/c9", caplog, slices=slices) == told.replace("has 2", "left out: has 2")


def test_an_image_in_two_given_splits_is_refused_or_kept_where_it_judges(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    splits(tmp_path, photograph)
    Image.open(tmp_path / "test/images/c0.png").save(tmp_path / "train/images/c1.png", compress_level=0)
    told = (
        f"{tmp_path}/train/images/c1.png: the same pixels as {tmp_path}/test/images/c0.png, in train and test; keep one"
    )
    assert refusal(tmp_path) == f"{told} of them, or give --skip-bad"
    warning = without(tmp_path, "train/c1", caplog)
    assert warning == told.replace("the same", "left out: the same") + " of them"


def test_a_volume_in_two_given_splits_is_refused(tmp_path: Path):
    splits(tmp_path, volume)
    shutil.copy(tmp_path / "train/images/c0.nii.gz", tmp_path / "val/images/c2.nii.gz")
    assert "train/images/c0.nii.gz: the same pixels as" in refusal(tmp_path)


def test_blank_images_and_twins_on_one_side_do_no_harm(tmp_path: Path):
    splits(tmp_path, photograph)
    for split in ("train", "test"):
        Image.new("L", (10, 12)).save(tmp_path / split / "images/c0.png")
    shutil.copy(tmp_path / "train/images/c1.png", tmp_path / "train/images/c2.png")
    assert loaded(tmp_path).warnings == ()


def test_an_image_in_two_splits_that_were_made_is_told(tmp_path: Path):
    for at in range(10):
        photograph(tmp_path, f"c{at}", seed=at % 9)
    told = [loaded(tmp_path, seed=seed).warnings for seed in range(8)]
    assert {len(lines) for lines in told} == {0, 1}
    assert "the same image lies in train and val: c0 (train), c9 (val); keep one of them" in {*sum(told, ())}


def test_the_voxels_beside_a_header_count(tmp_path: Path):
    contents = []
    for name, voxels in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / f"{name}.mhd").write_text("header")
        (tmp_path / f"{name}.raw").write_bytes(voxels)
        contents.append(outline(Case(name, tmp_path / f"{name}.mhd", 0)).content)
    assert contents[0] == contents[2] != contents[1]


def test_classes_that_no_training_case_has_are_refused_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    splits(tmp_path, volume)
    values = np.arange(360).reshape(12, 10, 3) % 2
    values[0, 0, 0] = 4
    stray = nifti(tmp_path / "train/masks/c1.nii.gz", values)
    told = f"{tmp_path}: no training case of the classes '2', '3' (only {stray} has '4'); correct the label maps, or add cases"
    assert refusal(tmp_path) == f"{told}, or give --skip-bad to go on"
    with caplog.at_level(logging.WARNING, "acnorm"):
        assert loaded(tmp_path, skip_bad=True).warnings == (told,)
    nifti(tmp_path / "train/masks/c1.nii.gz", values.clip(0, 1))
    nifti(tmp_path / "test/masks/c1.nii.gz", values.clip(0, 2))
    assert "no training case of the class '2'; correct" in refusal(tmp_path)


def test_a_broken_volume_is_told_as_such(tmp_path: Path):
    splits(tmp_path, volume)
    (tmp_path / "train/images/c1.nii.gz").write_bytes(gzip.compress(b"nothing"))
    assert "train/images/c1.nii.gz: is no NIfTI file that can be read" in refusal(tmp_path)
