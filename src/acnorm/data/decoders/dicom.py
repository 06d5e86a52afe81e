"""One DICOM file with one frame, shown as a viewer would show it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array

from acnorm.data.decoders.pixels import Image, channels_first
from acnorm.data.problems import DataError, fault


def read_dicom(path: Path) -> Image:
    """Read a single-frame DICOM file as [1 or 3, height, width] in 0..1.

    Greys: the modality transform (rescale slope and intercept), then the first VOI window or lookup table
    (PS3.3 C.11.2) where the file has one, otherwise the range that BitsStored allows; MONOCHROME1 is inverted,
    so that bright is always high. Colours: divided by the range of BitsStored, as RGB.
    Raises `DataError` for several frames, no pixels, a compression without decoder, and damaged files.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata elsewhere in the file does not touch the pixels
        try:
            data = pydicom.dcmread(path, force=path.suffix.lower() in {".dcm", ".dicom"})
            _refuse_unreadable(data, path)
            array = pixel_array(data)
            if data.PhotometricInterpretation == "PALETTE COLOR":
                colours = apply_color_lut(array, data)
                return channels_first((colours / np.iinfo(colours.dtype).max).astype(np.float32), path)
            unit = _grey(array, data, path) if array.ndim == 2 else array / (2.0**data.BitsStored - 1)
        except DataError:
            raise
        except InvalidDicomError:
            raise fault(path, "not a DICOM file", "remove it or give it its proper name") from None
        except Exception as error:  # whatever a damaged file makes the parser trip over
            reason = " ".join(str(error).split())
            raise fault(path, f"the DICOM pixels cannot be decoded ({reason})", "copy or export it again") from None
    return channels_first(np.clip(unit, 0, 1).astype(np.float32), path)


def _refuse_unreadable(data: pydicom.Dataset, path: Path) -> None:
    if len(data) == 0:
        raise fault(path, "not a DICOM file", "remove it or give it its proper name")
    if "PixelData" not in data:
        raise fault(path, "the DICOM file has no pixel data", "remove it: it is a report or a truncated copy")
    frames = int(data.get("NumberOfFrames") or 1)
    if frames > 1:
        raise fault(path, f"the DICOM file has {frames} frames", "save each frame as a file of its own")
    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if syntax is None:
        # bare data sets carry no meta header; this is the syntax that the standard assumes then
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    elif syntax.is_compressed and not _has_decoder(syntax):
        raise fault(path, f"compressed as {syntax.name}, for which no decoder is installed", "save it uncompressed")


def _has_decoder(syntax: pydicom.uid.UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _grey(stored: NDArray[Any], data: pydicom.Dataset, path: Path) -> NDArray[np.float64]:
    values = np.asarray(apply_modality_lut(stored, data), dtype=np.float64)
    if "WindowCenter" in data and "WindowWidth" in data:
        unit = _window(values, data, path)
    elif data.get("VOILUTSequence"):
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        unit = apply_voi(values.astype(np.int64), data).astype(np.float64) / (2.0**bits - 1)
    else:
        low, high = _range(data)
        unit = (values - low) / (high - low)
    return 1 - np.clip(unit, 0, 1) if data.PhotometricInterpretation == "MONOCHROME1" else unit


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)


def _window(values: NDArray[np.float64], data: pydicom.Dataset, path: Path) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1: LINEAR (equation C.11-1), LINEAR_EXACT (C.11.2.1.3.2), SIGMOID (C.11.2.1.3.1)."""
    centre, width = _first(data.WindowCenter), _first(data.WindowWidth)
    shape = str(data.get("VOILUTFunction") or "LINEAR")
    if width <= 0:
        raise fault(path, f"a display window of width {width:g}", "correct or remove WindowWidth")
    if shape == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)))
    if shape == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width <= 1:
        return (values > centre - 0.5).astype(np.float64)
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _range(data: pydicom.Dataset) -> tuple[float, float]:
    """The smallest and largest value that the stored bits can mean after the modality transform."""
    if data.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = int(data.BitsStored)
    signed = int(data.get("PixelRepresentation", 0)) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    ends = (low * slope + intercept, high * slope + intercept)
    return min(ends), max(ends)
