"""Intensities as a segmentation network takes them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from acnorm.data.intensities import IntensityPreprocessing


def test_a_constant_channel_stays_finite():
    prepare = IntensityPreprocessing(2, (8, 8))
    image = np.stack((np.full((3, 3), 7.0), np.arange(9.0).reshape(3, 3))).astype(np.float32)
    assert torch.equal(prepare(image)[0], torch.zeros(3, 3))


@pytest.mark.parametrize(
    "made",
    [
        IntensityPreprocessing(2, (8, 8)),
        IntensityPreprocessing(1, (4, 4, 4), (0.0,), (9.0,), (1.0,), (2.0,), (2.0, 1.0, 0.0), flips=True),
    ],
)
def test_a_preprocessing_is_the_same_after_json(made: IntensityPreprocessing):
    assert IntensityPreprocessing.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_what_older_runs_did_not_write_is_left_out():
    old = {"channels": 1, "patch": [8, 8], "low": None, "high": None, "mean": None, "deviation": None}
    assert IntensityPreprocessing.from_dict(old) == IntensityPreprocessing(1, (8, 8))
