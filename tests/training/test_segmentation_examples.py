"""Pictures of segmented cases: which slices of a volume, and outlines that are seen on any image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.training import segmentation_examples as pictures


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_outlines_are_the_only_colours(tmp_path: Path, channels: int):
    image = np.random.default_rng(0).random((channels, 40, 40), dtype=np.float32)
    image[0] *= 3  # an orange eye
    truth, found = np.zeros((40, 40), int), np.zeros((40, 40), int)
    truth[5:20, 5:20], found[10:30, 10:30] = 1, 2
    pictures._draw(tmp_path / "eye.png", image, truth, found)
    drawn = np.asarray(Image.open(tmp_path / "eye.png"))
    grey = (drawn == drawn[..., :1]).all(-1)
    assert set(map(tuple, drawn[~grey].tolist())) == {pictures._TRUTH, pictures._FOUND}
    assert grey.mean() > 0.8
    assert len(np.unique(drawn[grey])) > 100


def test_slices_with_labels_are_shown_the_fullest_first_and_no_more_than_fit():
    truth, found = np.zeros((6, 6, 40), int), np.zeros((6, 6, 40), int)
    truth[:2, :2, 3:30], found[2:, 2:, 35] = 1, 1
    shown = pictures.shown_slices(truth, found)
    assert shown[0] == 35
    assert sorted(shown) == [3, 6, 10, 13, 17, 20, 23, 27, 35]
    assert pictures.shown_slices(truth * 0, found * 0) == [0]
    assert pictures.shown_slices(truth[..., 3], found[..., 3]) == [None]
