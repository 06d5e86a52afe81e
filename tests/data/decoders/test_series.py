"""DICOM series whose slices make no volume, or do not say which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from acnorm.data.problems import DataError
from acnorm.data.volumes import read_volume
from volume_files import dicom_series

Change = Callable[[pydicom.Dataset, int], object]


def series(folder: Path, change: Change) -> Path:
    """Six slices of 2 mm, each changed by what is given."""
    values = np.random.default_rng(0).integers(-1000, 1000, (6, 8, 10))
    dicom_series(folder, values, [generate_uid() for _ in range(6)])
    for file in folder.iterdir():
        data = pydicom.dcmread(file)
        change(data, int(data.InstanceNumber) - 1)
        data.save_as(file)
    return folder


def leaning(data: pydicom.Dataset, at: int) -> None:
    data.ImagePositionPatient = ["0", f"{0.4 * at:.1f}", str(2 * at)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data, _: delattr(data, "PixelSpacing"), "its slices do not tell their PixelSpacing (first 1-006.dcm); export the series again with it"),
        (lambda data, _: setattr(data, "PixelSpacing", ["0", "0.7"]), "its slices do not tell their PixelSpacing (first 1-006.dcm); export the series again with it"),
        (lambda data, at: at == 3 and delattr(data, "ImagePositionPatient"), "its slices do not tell their ImagePositionPatient (first 1-003.dcm); export the series again with it"),
        (lambda data, _: (delattr(data, "ImageOrientationPatient"), delattr(data, "PixelSpacing")), "its slices do not tell their PixelSpacing and ImageOrientationPatient (first 1-006.dcm); export the series again with it"),
        (leaning, "its slices are shifted against each other, by 11° (a tilted gantry); resample it upright, as dcm2niix does, and give that file"),
    ],
)  # fmt: skip
def test_slices_without_size_or_place_are_told_in_one_line(tmp_path: Path, change: Change, message: str):
    with pytest.raises(DataError) as told:
        read_volume(series(tmp_path / "ct", change))
    assert str(told.value) == f"{tmp_path}/ct: {message}"


def test_every_slice_has_its_own_rescaling(tmp_path: Path):
    plain = read_volume(series(tmp_path / "plain", lambda *_: None)).values
    steep = series(tmp_path / "steep", lambda data, at: setattr(data, "RescaleSlope", str(1 + at)))
    np.testing.assert_allclose(read_volume(steep).values, plain * np.arange(1, 7))
