from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.training import segmentation_examples
from acnorm.training.segmentation_examples import SLICES, shown_slices


def test_an_image_is_shown_as_it_is():
    assert shown_slices(np.zeros((4, 5), int), np.zeros((4, 5), int)) == [None]


@pytest.mark.parametrize("levels", [1, 5, 40])
def test_the_fullest_slice_comes_first_and_others_are_spread_over_all_that_is_labelled(levels: int):
    truth, found = np.zeros((2, 6, 6, 50), int)
    truth[0, 0, 5 : 5 + levels] = 1
    found[:2, :2, 5] = 1
    first, *others = shown_slices(truth, found)
    assert first == 5
    assert others == sorted(set(others))
    assert len(others) <= SLICES
    assert {first, *others} <= set(range(5, 5 + levels))
    assert max([first, *others]) == 4 + levels


def test_an_empty_volume_shows_one_slice():
    assert shown_slices(np.zeros((4, 5, 6), int), np.zeros((4, 5, 6), int)) == [0]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_outlines_are_the_only_colours(tmp_path: Path, channels: int):
    image = np.random.default_rng(0).random((channels, 40, 40), dtype=np.float32)
    image[0] *= 3  # an orange eye
    truth, found = np.zeros((40, 40), int), np.zeros((40, 40), int)
    truth[5:20, 5:20], found[10:30, 10:30] = 1, 2
    segmentation_examples._draw(tmp_path / "eye.png", image, truth, found)
    drawn = np.asarray(Image.open(tmp_path / "eye.png"))
    grey = (drawn == drawn[..., :1]).all(-1)
    outlines = {segmentation_examples._TRUTH, segmentation_examples._FOUND}
    assert set(map(tuple, drawn[~grey].tolist())) == outlines
    assert grey.mean() > 0.8
    assert len(np.unique(drawn[grey])) > 100


def test_shown_slices_are_spread_evenly_over_those_with_labels():
    truth, found = np.zeros((6, 6, 40), int), np.zeros((6, 6, 40), int)
    truth[:2, :2, 3:30], found[2:, 2:, 35] = 1, 1
    shown = shown_slices(truth, found)
    assert shown[0] == 35
    assert sorted(shown) == [3, 6, 10, 13, 17, 20, 23, 27, 35]
