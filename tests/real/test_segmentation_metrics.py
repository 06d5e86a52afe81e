"""Segmentation metrics on real label maps: published figures come out, and hearts beat as hearts do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats import read_cases
from acnorm.data.volumes import read_labelled
from acnorm.training.segmentation_metrics import centreline_dice, ejection_fraction, lesions, region_scores

pytestmark = pytest.mark.real


def test_the_second_observer_of_drive_is_as_good_as_published(real_data: Path):
    """Sensitivity 0.776 and specificity 0.972 within the field of view, over the twenty test images."""
    scores, lines = [], []
    for case in read_cases(real_data / "vessels/DRIVE").cases:
        if case.other is not None:
            first, second = read_labelled(case, 2), read_labelled(replace(case, mask=case.other), 2).mask > 0
            scores.append(region_scores(first.mask > 0, second, within=first.within))
            lines.append(centreline_dice((first.mask > 0) & first.within, second & first.within))
    means = {name: np.mean([score[name] for score in scores]) for name in ("dice", "sensitivity", "specificity")}
    assert means == pytest.approx({"dice": 0.788, "sensitivity": 0.776, "specificity": 0.972}, abs=0.002)
    assert np.mean(lines) == pytest.approx(0.763, abs=0.005)


def test_ejection_fractions_are_those_of_sick_and_healthy_hearts(real_data: Path):
    volumes: dict[str, dict[str, int]] = {}
    for case in read_cases(real_data / "cardiac").cases:
        blood = int((read_labelled(case, 4).mask == 3).sum())
        volumes.setdefault(str(case.patient), {})[case.id.rpartition("_")[2]] = blood
    fractions = [ejection_fraction(frames["frame01"], frames["frame02"]) for frames in volumes.values()]
    assert len(fractions) == 32
    assert 0.05 < min(fractions) < 0.35 < 0.6 < max(fractions) < 0.9


def test_livers_without_tumour_have_no_lesion(real_data: Path):
    counts = [
        lesions(mask, mask).true
        for mask in (read_labelled(case, 3).mask == 2 for case in read_cases(real_data / "liver").cases)
    ]
    assert counts.count(0) == 3
    assert max(counts) > 5
