"""Small volumes for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Points = Sequence[tuple[int, int]]


def nifti(path: Path, values: np.ndarray) -> Path:
    """Write whole numbers as NIfTI with voxels of 1 × 1 × 2 mm."""
    nibabel.Nifti1Image(np.asarray(values, dtype=np.int16), np.diag([1.0, 1.0, 2.0, 1.0])).to_filename(path)
    return path


def luna16(
    folder: Path, candidates: Sequence[tuple[str, tuple[float, float, float], int]], values: np.ndarray | None = None
) -> Path:
    """Write the layout of LUNA16: one scan 1.2.3 of 0.5 × 0.5 × 2 mm voxels from (−10, −10, −10), and a table."""
    values = np.zeros((40, 40, 10), np.int16) if values is None else values
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing((0.5, 0.5, 2.0))
    image.SetOrigin((-10.0, -10.0, -10.0))
    (folder / "subset0").mkdir()
    sitk.WriteImage(image, str(folder / "subset0" / "1.2.3.mhd"))
    rows = [f"{scan},{x},{y},{z},{kind}" for scan, (x, y, z), kind in candidates]
    (folder / "candidates_V2.csv").write_text("\n".join(["seriesuid,coordX,coordY,coordZ,class", *rows]) + "\n")
    return folder


def dicom_series(folder: Path, values: np.ndarray, uids: Sequence[str]) -> Path:
    """Write whole numbers [slice, row, column] as a CT series with slices of 2 mm, the first the lowest."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for at, (pixels, uid) in enumerate(zip(values.astype(np.int16), uids, strict=True)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = pydicom.Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = CTImageStorage, uid, "CT"
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = series, study, frame
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation, data.InstanceNumber = 1, "MONOCHROME2", at + 1
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept = "1", "0"
        data.PixelSpacing, data.SliceThickness = ["0.7", "0.7"], "2"
        data.ImagePositionPatient, data.ImageOrientationPatient = (
            ["0", "0", str(2 * at)],
            ["1", "0", "0", "0", "1", "0"],
        )
        data.PixelData = pixels.tobytes()
        # numbered against the anatomy, as many releases are
        data.save_as(folder / f"1-{len(uids) - at:03}.dcm", enforce_file_format=True)
    return folder


def lidc_scan(
    folder: Path,
    readers: Sequence[Sequence[tuple[str, bool, Points]]],
    shape: tuple[int, int, int] = (3, 12, 10),
    ratings: Sequence[Sequence[int | None]] | None = None,
) -> Path:
    """Write a series whose slices are called 1.9.0, 1.9.1, …, and the XML of what each reader outlined in (x, y).

    Each outline is a nodule of its own; ratings are those of its malignancy.
    """
    uids = [f"1.9.{at}" for at in range(shape[0])]
    dicom_series(folder, np.zeros(shape), uids)
    sessions = []
    for reader, outlines in enumerate(readers):
        nodules = []
        for at, (uid, inside, points) in enumerate(outlines):
            edge = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
            height = 2.0 * int(uid.rpartition(".")[2])
            roi = f"<imageZposition>{height}</imageZposition><imageSOP_UID>{uid}</imageSOP_UID>"
            roi += f"<inclusion>{str(inside).upper()}</inclusion>{edge}"
            rating = ratings[reader][at] if ratings is not None else None
            about = f"<subtlety>4</subtlety><malignancy>{rating}</malignancy>" if rating is not None else ""
            about = f"<characteristics>{about}</characteristics>" if about else ""
            nodules.append(f"<unblindedReadNodule><noduleID>1</noduleID>{about}<roi>{roi}</roi></unblindedReadNodule>")
        sessions.append(f"<readingSession>{''.join(nodules)}</readingSession>")
    text = f'<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov">{"".join(sessions)}</LidcReadMessage>'
    (folder / "069.xml").write_text(text)
    return folder / "069.xml"
