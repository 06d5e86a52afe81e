from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.formats.drive import read
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled


def release(root: Path) -> Path:
    pixels = np.zeros((6, 5), np.uint8)
    for part, name in (("training", "21"), ("test", "01")):
        for folder in ("images", "1st_manual", "2nd_manual", "mask"):
            (root / part / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(root / part / "images" / f"{name}_{part}.tif")
        vessels, within = pixels.copy(), pixels.copy()
        vessels[2], within[1:5] = 255, 255
        Image.fromarray(vessels).save(root / part / "1st_manual" / f"{name}_manual1.gif")
        Image.fromarray(within).save(root / part / "mask" / f"{name}_{part}_mask.gif")
    Image.fromarray(vessels).save(root / "test" / "2nd_manual" / "01_manual2.gif")
    return root


def test_images_have_vessels_field_of_view_and_second_observer(tmp_path: Path):
    collection = read_cases(release(tmp_path))
    assert (collection.format, collection.classes) == ("drive", ("background", "vessel"))
    assert [(case.id, case.split, case.other is not None) for case in collection.cases] == [
        ("21_training", "train", False),
        ("01_test", "test", True),
    ]
    found = read_labelled(collection.cases[0], 2)
    assert found.mask[2].tolist() == [1] * 5
    assert found.mask.sum() == 5
    assert found.within.sum() == 20
    assert found.image.values.shape == (3, 6, 5)


@pytest.mark.parametrize("file", ["training/1st_manual/21_manual1.gif", "test/mask/01_test_mask.gif"])
def test_what_lacks_is_named(tmp_path: Path, file: str):
    (release(tmp_path) / file).unlink()
    with pytest.raises(DataError, match=rf"{file}: no such file; unpack the release again$"):
        read(tmp_path)


def test_the_test_images_of_todays_release_have_no_vessels_and_are_left_out(tmp_path: Path):
    release(tmp_path)
    for folder in ("1st_manual", "2nd_manual"):
        shutil.rmtree(tmp_path / "test" / folder)
    collection = read_cases(tmp_path)
    assert (collection.format, [(case.id, case.split) for case in collection.cases]) == (
        "drive",
        [("21_training", None)],
    )
    assert [note.line() for note in collection.notes] == [
        f"{tmp_path}/test: 1 case has no label (first 01_test) and is left out; add their labels to test on them"
    ]


def test_a_second_observer_of_another_size_is_told_before_training(tmp_path: Path):
    file = release(tmp_path) / "test/2nd_manual/01_manual2.gif"
    assert read_labelled(read(tmp_path).cases[1], 2).other[2].tolist() == [1] * 5
    Image.new("L", (4, 6)).save(file)
    (line,) = [line for line in check(tmp_path).lines() if "2nd_manual" in line]
    assert line == f"{file}: is of 6 × 4 voxels, 01_test.tif of 6 × 5; resample it to the image's grid"
