from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage, generate_uid

from acnorm.data.decoders.dicom import read_dicom
from acnorm.errors import UserError

RAMP = np.array([[0, 1024, 2048, 4095]], np.uint16)


def dicom(path: Path, array: np.ndarray = RAMP, **tags: object) -> Path:
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = generate_uid()
    frames = tags.pop("NumberOfFrames", None)
    data.Rows, data.Columns = array.shape[-3:-1] if array.shape[-1] == 3 else array.shape[-2:]
    data.SamplesPerPixel = 3 if array.shape[-1] == 3 else 1
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = "RGB" if data.SamplesPerPixel == 3 else "MONOCHROME2"
    data.BitsAllocated = 8 * array.dtype.itemsize
    data.BitsStored = 8 if array.dtype.itemsize == 1 else 12
    data.PixelRepresentation = int(array.dtype.kind == "i")
    for name, value in tags.items():
        setattr(data, name, value)
    data.HighBit = data.BitsStored - 1
    if frames:
        data.NumberOfFrames = frames
    data.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)
    data.save_as(path, enforce_file_format=True)
    return path


def test_without_window_the_range_of_the_stored_bits_counts(tmp_path: Path):
    image = read_dicom(dicom(tmp_path / "a.dcm"))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], RAMP / 4095, atol=1e-6)


def test_signed_values_and_rescaling(tmp_path: Path):
    array = np.array([[-2048, -1, 0, 2047]], np.int16)
    image = read_dicom(dicom(tmp_path / "a.dcm", array, RescaleSlope=2, RescaleIntercept=-1024))
    np.testing.assert_allclose(image[0], (array + 2048) / 4095, atol=1e-6)


def test_a_window_is_applied_after_rescaling(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm", RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=[40, 9], WindowWidth=[400, 9])
    values = RAMP.astype(float) - 1024
    expected = np.clip((values - 39.5) / 399 + 0.5, 0, 1)
    np.testing.assert_allclose(read_dicom(path)[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"VOILUTFunction": "LINEAR_EXACT"}, lambda v: np.clip((v - 2048) / 1000 + 0.5, 0, 1)),
        ({"VOILUTFunction": "SIGMOID"}, lambda v: 1 / (1 + np.exp(-4 * (v - 2048) / 1000))),
        ({"WindowWidth": 1}, lambda v: v > 2047.5),
    ],
)
def test_shapes_of_windows(tmp_path: Path, tags: dict[str, object], expected: object):
    path = dicom(tmp_path / "a.dcm", **{"WindowCenter": 2048, "WindowWidth": 1000, **tags})
    np.testing.assert_allclose(read_dicom(path)[0], expected(RAMP.astype(float)), atol=1e-6)


def test_lookup_tables(tmp_path: Path):
    table = pydicom.Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.LUTData = np.array([0, 51, 102, 255], np.uint16).tobytes()
    array = np.array([[0, 1, 2, 3]], np.uint16)
    path = dicom(tmp_path / "a.dcm", array, VOILUTSequence=Sequence([table]))
    np.testing.assert_allclose(read_dicom(path)[0], [[0, 0.2, 0.4, 1]], atol=1e-6)
    table.ModalityLUTType = "US"
    path = dicom(tmp_path / "b.dcm", array, ModalityLUTSequence=Sequence([table]))
    np.testing.assert_allclose(read_dicom(path)[0], [[0, 0.2, 0.4, 1]], atol=1e-6)


def test_monochrome1_is_inverted(tmp_path: Path):
    image = read_dicom(dicom(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(image[0], 1 - RAMP / 4095, atol=1e-6)


def test_colour(tmp_path: Path):
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_allclose(read_dicom(dicom(tmp_path / "a.dcm", array)), np.moveaxis(array, 2, 0) / 255)


def test_palette(tmp_path: Path):
    tables = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour, data in {"Red": [0, 65535], "Green": [0, 0], "Blue": [65535, 0]}.items()
        for part, value in {
            "Descriptor": [2, 0, 16],
            "Data": np.array(data, np.uint16).tobytes(),
        }.items()
    }
    array = np.array([[0, 1]], np.uint8)
    path = dicom(tmp_path / "a.dcm", array, PhotometricInterpretation="PALETTE COLOR", **tables)
    assert read_dicom(path)[:, 0].tolist() == [[0, 1], [0, 0], [1, 0]]


def test_a_bare_data_set_without_header(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm")
    data = pydicom.dcmread(path)
    data.PixelData = RAMP.tobytes()
    bare = pydicom.Dataset(data)
    bare.save_as(tmp_path / "b.dcm", implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_allclose(read_dicom(tmp_path / "b.dcm")[0], RAMP / 4095, atol=1e-6)


def test_several_frames_are_refused(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm", np.zeros((2, 4, 4), np.uint16), NumberOfFrames=2)
    with pytest.raises(UserError, match=r"the DICOM file has 2 frames; save each frame as a file of its own"):
        read_dicom(path)


def test_what_is_no_image(tmp_path: Path):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a\.dcm: .*(not a DICOM file|cannot be decoded|no pixel data).*; "):
        read_dicom(path)
    other = tmp_path / "IM0001"
    other.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"IM0001: not a DICOM file; remove it or give it its proper name"):
        read_dicom(other)
    data = pydicom.dcmread(dicom(path))
    del data.PixelData
    data.save_as(path)
    with pytest.raises(UserError, match=r"has no pixel data; remove it: it is a report or a truncated copy"):
        read_dicom(path)


def test_truncated_pixels(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm", np.zeros((64, 64), np.uint16))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(UserError, match=r"the DICOM pixels cannot be decoded \(.*\); copy or export it again"):
        read_dicom(path)


def test_a_compression_without_decoder_is_named(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm")
    data = pydicom.dcmread(path)
    data.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = MPEG2MPML
    data.save_as(path)
    with pytest.raises(
        UserError,
        match=r"compressed as MPEG2 Main Profile .*, for which no decoder is installed; save it uncompressed",
    ):
        read_dicom(path)


def test_run_length_encoding_is_decoded(tmp_path: Path):
    data = pydicom.dcmread(dicom(tmp_path / "a.dcm"))
    data.compress(RLELossless)
    data.save_as(tmp_path / "b.dcm")
    np.testing.assert_allclose(read_dicom(tmp_path / "b.dcm")[0], RAMP / 4095, atol=1e-6)


def test_a_window_without_width(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm", WindowCenter=40, WindowWidth=0)
    with pytest.raises(UserError, match=r"a display window of width 0; correct or remove WindowWidth"):
        read_dicom(path)
