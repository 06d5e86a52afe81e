"""Small volumes for tests."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np


def nifti(path: Path, values: np.ndarray) -> Path:
    """Write whole numbers as NIfTI with voxels of 1 × 1 × 2 mm."""
    nibabel.Nifti1Image(np.asarray(values, dtype=np.int16), np.diag([1.0, 1.0, 2.0, 1.0])).to_filename(path)
    return path
