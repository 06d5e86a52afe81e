"""How data lies on disk, one file for each way. A new format is a new file with `detect` and `read`, and a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from acnorm.data.case import Collection
from acnorm.data.formats import (
    acdc,
    drive,
    folder,
    idrid,
    lidc,
    lidc_malignancy,
    lits,
    luna16,
    medmnist,
    mmwhs,
    msd,
    nnunet,
    pairs,
    retinopathy,
    table,
    vessels,
)
from acnorm.data.problems import fault


@dataclass(frozen=True)
class Format:
    """A way for data to lie on disk: how to know it, how to read it, and what to call it in one line."""

    detect: Callable[[Path], bool]
    read: Callable[[Path], Collection]
    description: str


# the first that recognises the data reads it, so the particular stand before the general
FORMATS: dict[str, Format] = {
    "medmnist": Format(medmnist.detect, medmnist.read, ".npz with train_images, train_labels, ..."),
    "table": Format(table.detect, table.read, "CSV or Parquet with the columns image and label, or image and mask"),
    "idrid": Format(idrid.detect, idrid.read, "the folder of the IDRiD release (disease grading)"),
    "drive": Format(drive.detect, drive.read, "the folder of the DRIVE release (vessel segmentation)"),
    "nnunet": Format(nnunet.detect, nnunet.read, "nnU-Net's raw layout: dataset.json, imagesTr, labelsTr"),
    "msd": Format(msd.detect, msd.read, "the Decathlon's layout: dataset.json that lists images and labels"),
    "acdc": Format(acdc.detect, acdc.read, "the folder of the ACDC release (cardiac segmentation)"),
    "lits": Format(lits.detect, lits.read, "the folder of the LiTS release (liver tumours)"),
    "luna16": Format(luna16.detect, luna16.read, "the folder of LUNA16 (lung nodule candidates)"),
    "lidc": Format(lidc.detect, lidc.read, "the folder of LIDC-IDRI (lung nodules outlined by four readers)"),
    "lidc-malignancy": Format(
        lidc_malignancy.detect, lidc_malignancy.read, "LIDC-IDRI's nodules, benign or malignant (by this name alone)"
    ),
    "mmwhs": Format(mmwhs.detect, mmwhs.read, "the folder ct_train or mr_train of MM-WHS (whole hearts)"),
    "aptos": Format(retinopathy.detect_aptos, retinopathy.read_aptos, "the folder of APTOS 2019 (DR grading)"),
    "eyepacs": Format(retinopathy.detect_eyepacs, retinopathy.read_eyepacs, "the folder of EyePACS (DR grading)"),
    "chase": Format(vessels.detect_chase, vessels.read_chase, "the folder of CHASE_DB1 (vessel segmentation)"),
    "stare": Format(vessels.detect_stare, vessels.read_stare, "the folder of STARE's vessels"),
    "hrf": Format(vessels.detect_hrf, vessels.read_hrf, "the folder of HRF (vessel segmentation)"),
    "pairs": Format(pairs.detect, pairs.read, "a folder images beside a folder masks or labels, equal names"),
    "folder": Format(folder.detect, folder.read, "a folder for each class, also inside train, val, test"),
}


def read_cases(data: Path | str, format: str | None = None) -> Collection:
    """Read the cases of a data set, in the format named or, without a name, the one it is found to have.

    Raises `DataError` where nothing is there, no format fits, or the format's reader finds faults; then its
    `problems` are all that were found and its `sound` the cases without.

    Examples:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "eyes.npz"
        ...     np.savez(path, train_images=np.zeros((3, 8, 8), np.uint8), train_labels=np.array([0, 1, 1]))
        ...     collection = read_cases(path)
        >>> collection.format, collection.classes, [case.id for case in collection.cases]
        ('medmnist', ('0', '1'), ['train_0000', 'train_0001', 'train_0002'])
    """
    path = Path(data)
    if format is not None and format not in FORMATS:
        raise fault(path, f"unknown format '{format}'", f"allowed are {', '.join(FORMATS)}")
    if not path.exists():
        raise fault(path, "no such file or folder", "check the path")
    candidates = FORMATS if format is None else {format: FORMATS[format]}
    for candidate in candidates.values():
        if candidate.detect(path):
            return candidate.read(path)
    if format is not None:
        raise fault(
            path,
            f"not in the format {format} ({FORMATS[format].description})",
            "leave the format out to have it found",
        )
    raise fault(path, "no known format", _what_would_do(path))


def _what_would_do(path: Path) -> str:
    tables = sorted(child for child in path.iterdir() if table.detect(child)) if path.is_dir() else []
    archives = sorted(child for child in path.iterdir() if medmnist.detect(child)) if path.is_dir() else []
    if tables or archives:
        return f"give the file itself: {(tables + archives)[0]}"
    return "give " + "; or ".join(f"{name}: {row.description}" for name, row in FORMATS.items())
