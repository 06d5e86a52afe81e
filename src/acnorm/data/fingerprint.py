"""One short text that tells a data set from a changed one, so that a run is not resumed on other data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from acnorm.data.case import Case

_SAMPLE = 2**20  # bytes read at either end of a file


def fingerprint(cases: Iterable[Case]) -> str:
    """Return a SHA-256 over what the cases are and over their files, whatever their order and their folder.

    Ids, labels, patients and file names count, and of each file its size and its first and last mebibyte: all of it
    for small images, and for larger ones the header and, in archives, the checksums at the end.

    Args:
        cases: those of a data set; several may lie in one file.

    Examples:
        >>> import tempfile
        >>> eye = Path(tempfile.mkdtemp()) / "eye.png"
        >>> _ = eye.write_bytes(b"pixels")
        >>> before = fingerprint([Case("eye", eye, 0)])
        >>> _ = eye.write_bytes(b"Pixels")
        >>> before == fingerprint([Case("eye", eye, 0)]), before == fingerprint([Case("eye", eye, 1)])
        (False, False)
    """
    cases = sorted(cases, key=lambda case: case.id)
    whole = hashlib.sha256()
    for case in cases:
        what = (case.id, case.label, case.labels, case.patient, case.image.name, case.index, case.box)
        whole.update(repr(what).encode())
    files = [
        file for case in cases for file in (case.image, *case.channels, case.mask, case.within) if file is not None
    ]
    for file in dict.fromkeys(files):
        for part in sorted(file.iterdir()) if file.is_dir() else (file, *_voxels_of(file)):
            whole.update(_of_file(part))
    return whole.hexdigest()


def _voxels_of(file: Path) -> list[Path]:
    """The file beside a MetaImage header that holds its voxels."""
    beside = [file.with_suffix(suffix) for suffix in (".raw", ".zraw") if file.suffix.lower() == ".mhd"]
    return [path for path in beside if path.is_file()]


def _of_file(file: Path) -> bytes:
    size, part = file.stat().st_size, hashlib.sha256()
    part.update(str(size).encode())
    with file.open("rb") as content:
        part.update(content.read(_SAMPLE))
        content.seek(max(_SAMPLE, size - _SAMPLE))
        part.update(content.read(_SAMPLE))
    return part.digest()
