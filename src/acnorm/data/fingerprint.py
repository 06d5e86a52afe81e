"""One short text that tells a data set from a changed one, so that a run is not resumed on other data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from acnorm.data.case import Case


def fingerprint(cases: Iterable[Case]) -> str:
    """Return a SHA-256 over what the cases are and over their files, whatever their order and their folder.

    Ids, labels, patients, file names and the content of every file count. A file that was read before in this process
    is not read again, unless its size or time of change is another.

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
        whole.update(repr(what if case.phase is None else (*what, case.phase)).encode())
    files = [
        file for case in cases for file in (case.image, *case.channels, case.mask, case.within) if file is not None
    ]
    for file in dict.fromkeys(files):
        for content in _contents(file):
            whole.update(content)
    return whole.hexdigest()


def content_of(file: Path) -> bytes:
    """The SHA-256 of a file, with its voxels where they lie beside it, or of the files of a folder.

    Examples:
        >>> import tempfile
        >>> eye = Path(tempfile.mkdtemp()) / "eye.png"
        >>> _ = eye.write_bytes(b"pixels")
        >>> content_of(eye) == content_of(eye.parent)
        True
    """
    return hashlib.sha256(b"".join(_contents(file))).digest()


def _contents(file: Path) -> list[bytes]:
    return [_of_file(part) for part in (sorted(file.iterdir()) if file.is_dir() else (file, *_voxels_of(file)))]


def _voxels_of(file: Path) -> list[Path]:
    """The file beside a MetaImage header that holds its voxels."""
    beside = [file.with_suffix(suffix) for suffix in (".raw", ".zraw") if file.suffix.lower() == ".mhd"]
    return [path for path in beside if path.is_file()]


def _of_file(file: Path) -> bytes:
    now = file.stat()
    return _content(file, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _content(file: Path, size: int, changed: int) -> bytes:  # noqa: ARG001
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
