from __future__ import annotations

import numpy as np
import pytest

from acnorm.data.decoders.pixels import channels_first, to_unit
from acnorm.errors import UserError


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535), (">u2", 65535)])
def test_integers_are_scaled_by_the_range_of_their_type(dtype: type | str, largest: int):
    assert to_unit(np.array([[0, largest]], dtype), "a").tolist() == [[0.0, 1.0]]


def test_bits_in_use_take_the_place_of_the_type():
    assert to_unit(np.array([[15]], np.uint8), "a", bits=4).tolist() == [[1.0]]


def test_floats_and_booleans_stay_as_they_are():
    assert to_unit(np.array([[0.25, 1.0]]), "a").tolist() == [[0.25, 1.0]]
    assert to_unit(np.array([[False, True]]), "a").tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[np.nan, np.inf, 1]]), "a: 2 pixels are NaN or infinite; replace them by a value in 0..1"),
        (np.array([[-1.0, 40.5]]), "a: floating-point values from -1 to 40.5; scale them to 0..1"),
        (
            np.array([[1]], np.int16),
            "a: pixels of type int16; save them as 8 or 16 bit unsigned, or as floats in 0..1",
        ),
    ],
)
def test_values_without_a_range_are_refused(array: np.ndarray, message: str):
    with pytest.raises(UserError) as error:
        to_unit(array, "a")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 5), (1, 4, 5)),
        ((4, 5, 1), (1, 4, 5)),
        ((4, 5, 2), (1, 4, 5)),
        ((4, 5, 3), (3, 4, 5)),
        ((4, 5, 4), (3, 4, 5)),
    ],
)
def test_channels_come_first_and_alpha_goes(shape: tuple[int, ...], expected: tuple[int, ...]):
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    moved = channels_first(array, "a")
    assert moved.shape == expected
    np.testing.assert_array_equal(moved[0], array if array.ndim == 2 else array[..., 0])


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"a: 5 channels; save it as grey \(1 channel\) or RGB \(3 channels\)"):
        channels_first(np.zeros((4, 5, 5), np.float32), "a")
    with pytest.raises(UserError, match=r"a: 4 axes, of lengths \(2, 4, 5, 3\); save each 2D image as a file"):
        channels_first(np.zeros((2, 4, 5, 3), np.float32), "a")
