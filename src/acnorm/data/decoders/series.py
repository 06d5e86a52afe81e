"""The slices of a DICOM series through SimpleITK: found, put in order, and refused where they make no volume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from acnorm.data.problems import fault

_UNEVEN = 0.01  # share by which the distances of a series' slices may differ
_TILT = 1.0  # degrees by which the way from slice to slice may lean
_FRAMES = "0028|0008"
_PLACED = {
    "0028|0030": "PixelSpacing",
    "0020|0032": "ImagePositionPatient",
    "0020|0037": "ImageOrientationPatient",
}


def read_series(folder: Path) -> sitk.Image:
    """Read the one DICOM series in a folder, in HU where it is CT.

    Raises `DataError` for a folder that holds no series, several, or one that lacks a slice or its geometry.
    """
    files = series_files(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    try:
        return reader.Execute()
    except RuntimeError:
        raise fault(folder, "its DICOM series cannot be read", "copy or export it again") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK's own warnings, several lines on stderr, from what is told in one."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def series_files(folder: Path) -> tuple[str, ...]:
    """The files of the one DICOM series in a folder, from the first slice to the last.

    Raises `DataError` as ``read_series``.
    """
    with _quiet():
        names = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not names:
        raise fault(folder, "holds no DICOM series", "give the folder that holds the files of one series")
    if len(names) > 1:
        raise fault(folder, f"holds {len(names)} DICOM series", "give each series a folder of its own")
    files: tuple[str, ...] = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), names[0])
    _check_slices(folder, files)
    return files


def _check_slices(folder: Path, files: tuple[str, ...]) -> None:
    origins, places = [], []
    for file in files:
        reader = sitk.ImageFileReader()
        reader.SetFileName(file)
        reader.ReadImageInformation()
        _refuse_unplaced(folder, file, reader)
        across = np.array(reader.GetDirection()).reshape(3, 3)[:, 2]
        origins.append(np.array(reader.GetOrigin()))
        places.append(float(origins[-1] @ across))
    steps = np.abs(np.diff(places))
    if len(steps) and not np.allclose(steps, np.median(steps), rtol=_UNEVEN, atol=1e-3):
        at = int(np.abs(steps - np.median(steps)).argmax())
        raise fault(
            folder,
            f"a slice is missing or double after {Path(files[at]).name} ({steps[at]:g} mm to the next, "
            f"{np.median(steps):g} mm elsewhere)",
            "export the whole series again",
        )
    whole = origins[-1] - origins[0]
    tilt = np.degrees(np.arctan2(np.linalg.norm(np.cross(whole, across)), abs(whole @ across)))
    if tilt > _TILT:
        what = f"its slices are shifted against each other, by {tilt:.0f}° (a tilted gantry)"
        raise fault(folder, what, "resample it upright, as dcm2niix does, and give that file")


def _refuse_unplaced(folder: Path, file: str, reader: sitk.ImageFileReader) -> None:
    """Refuse a slice that does not tell its size or place, which ITK makes up then."""
    if reader.HasMetaDataKey(_FRAMES) and int(reader.GetMetaData(_FRAMES)) > 1:
        return  # which tells them frame by frame
    told = {name: reader.GetMetaData(key) for key, name in _PLACED.items() if reader.HasMetaDataKey(key)}
    lacks = [name for name in _PLACED.values() if not told.get(name, "").strip()]
    if "PixelSpacing" in told and not all(float(part or 0) > 0 for part in told["PixelSpacing"].split("\\")):
        lacks.append("PixelSpacing")
    if lacks:
        what = f"its slices do not tell their {' and '.join(dict.fromkeys(lacks))} (first {Path(file).name})"
        raise fault(folder, what, "export the series again with it")
