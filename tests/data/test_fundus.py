from __future__ import annotations

import numpy as np
import pytest

from acnorm.data.fundus import LESIONS, paint_fundus


def painted(counts: dict[str, int], domain: str = "source", side: int = 1, size: int = 64) -> np.ndarray:
    return paint_fundus(counts, domain, size, np.random.default_rng(3), disc_side=side).astype(float)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_outside_the_field_of_view_is_black(size: int):
    image = painted({}, size=size)
    assert image.shape == (size, size, 3)
    assert image[0, 0].max() == 0
    assert image[size // 2, size // 2].max() > 50


@pytest.mark.parametrize("side", [-1, 1])
def test_the_disc_is_the_brightest_place_on_its_side(side: int):
    bright = painted({}, side=side)[..., 1]
    column = np.unravel_index(bright.argmax(), bright.shape)[1]
    assert (column > 32) == (side == 1)


@pytest.mark.parametrize(("kind", "sign"), [("microaneurysm", -1), ("haemorrhage", -1), ("exudate", 1)])
def test_lesions_darken_or_brighten(kind: str, sign: int):
    assert kind in LESIONS
    assert sign * (painted({kind: 12}) - painted({kind: 0}))[..., 1].mean() > 0.1


def test_the_target_camera_is_bluer():
    def blue(image: np.ndarray) -> float:
        return float(image[..., 2].sum() / image[..., 0].sum())

    assert blue(painted({}, "target")) > 1.3 * blue(painted({}, "source"))
