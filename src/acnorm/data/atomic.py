"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place once the block has ended without an exception.

    The folder is made where it does not exist. An exception leaves an existing `path` as it was.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "new" / "notes.txt") as draft:
        ...         _ = draft.write_text("done")
        ...     (Path(folder) / "new" / "notes.txt").read_text()
        'done'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # a folder, not a file of mkstemp: what is written into it gets the permissions that the umask asks for
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        yield draft
        os.replace(draft, path)
