from __future__ import annotations

import numpy as np
import pytest

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
