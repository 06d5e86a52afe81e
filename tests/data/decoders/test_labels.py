"""Label maps of two axes: the numbers that were meant, whatever the file makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labels


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 1, 2), (0, 128, 255), (0, 1, 2, 3, 7)])
def test_a_gif_that_leaves_out_unused_greys_keeps_its_numbers(tmp_path: Path, values: tuple[int, ...]):
    labels = np.array(values, np.uint8)[np.random.default_rng(0).integers(0, len(values), (20, 30))]
    Image.fromarray(labels).save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.gif"), labels)


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_colours_of_a_palette_stand_for_their_places(tmp_path: Path, suffix: str):
    labels = np.arange(60, dtype=np.uint8).reshape(6, 10) % 3
    image = Image.fromarray(labels)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_labels(tmp_path / f"a{suffix}"), labels)


def turned(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(path, exif=exif)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_the_file_says_is_turned_is_turned_as_images_are(tmp_path: Path, suffix: str):
    turned(tmp_path / f"a{suffix}", 3)
    assert read_labels(tmp_path / f"a{suffix}").tolist() == [[5, 4, 3], [2, 1, 0]]
    turned(tmp_path / "side.png", 6)
    assert read_labels(tmp_path / "side.png").tolist() == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: turned(path, 6), "says that it lies on its side (TIFF orientation); save it upright"),
        (lambda path: tifffile.imwrite(path, np.zeros((2, 6, 5), np.uint8), photometric="minisblack"), "has 2 pages; save each page as a file of its own"),
        (lambda path: tifffile.imwrite(path, np.full((6, 5), 1.25, np.float32)), "holds fractions, negative values or NaN, which are no labels; save whole numbers from 0"),
    ],
)  # fmt: skip
def test_tiffs_that_would_be_read_wrong_are_told_in_one_line(
    tmp_path: Path, make: Callable[[Path], object], message: str
):
    make(tmp_path / "a.tif")
    with pytest.raises(DataError) as told:
        read_labels(tmp_path / "a.tif")
    assert str(told.value) == f"{tmp_path}/a.tif: {message}"


def test_whole_numbers_stored_as_floats_are_labels(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((6, 5), 2, np.float32))
    assert read_labels(tmp_path / "a.tif").max() == 2
