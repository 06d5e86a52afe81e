"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acnorm.errors import UserError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place once the block has ended without an exception.

    The folder is made where it does not exist. An exception leaves an existing `path` as it was.

    Raises:
        UserError: nothing can be written there, or there is no room.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "new" / "notes.txt") as draft:
        ...         _ = draft.write_text("done")
        ...     (Path(folder) / "new" / "notes.txt").read_text()
        'done'
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a folder, not a file of mkstemp: what is written into it gets the permissions that the umask asks for
        beside = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _cannot(path, error) from None
    with beside as folder:
        draft = Path(folder) / path.name
        try:
            yield draft
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise _cannot(path, error) from None
            raise
        try:
            os.replace(draft, path)
        except IsADirectoryError as error:
            raise _cannot(path, error) from None


def check_writable(path: Path) -> None:
    """Refuse a `path` under which nothing can be written; nothing is left behind.

    Raises:
        UserError: its folder, or the nearest one above it that exists, takes no files.

    Examples:
        >>> check_writable(Path("/proc/none/splits.json"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: /proc/none/splits.json: cannot be written (...); give another place.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryDirectory(dir=above, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written ({error.strerror}); give another place.")
