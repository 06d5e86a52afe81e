"""Images without labels: a folder of them, or a table with the column image alone."""

from __future__ import annotations

import logging
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats import FORMATS, table
from acnorm.data.formats.settle import split_name
from acnorm.data.images import is_dicom, is_image
from acnorm.data.skipping import read_sound
from acnorm.errors import UserError

logger = logging.getLogger("acnorm")


def read_with_or_without_labels(data: Path | str, format: str | None = None, *, skip_bad: bool = False) -> Collection:
    """Read a data set as ``read_sound``; of images without labels, all cases are of one class, "unlabelled".

    Raises:
        UserError: nothing is there, or it holds no images.

    Examples:
        >>> import tempfile, numpy as np
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "eye.png")
        >>> read_with_or_without_labels(folder).classes
        ('unlabelled',)
    """
    path = Path(data)
    cases: tuple[Case, ...] | None = None
    if format is None and path.is_dir() and _tells_no_classes(path):
        cases = images_below(path)
    elif format in (None, "table") and path.is_file() and table.detect(path):
        cases = table.read_unlabelled(path)
    if cases is None:
        return read_sound(data, format, skip_bad=skip_bad)
    return Collection(cases, ("unlabelled",), path, "unlabelled")


def _tells_no_classes(folder: Path) -> bool:
    """Whether a folder is in no known layout, or holds images beside or in a single folder."""
    layout = next((name for name, row in FORMATS.items() if row.detect(folder)), None)
    if layout != "folder":
        return layout is None
    if any(is_image(file) for file in folder.iterdir() if file.is_file()):
        return True
    folders = [child for child in folder.iterdir() if child.is_dir()]
    return len(folders) == 1 and split_name(folders[0].name) is None


def images_below(folder: Path, *, series: bool = False) -> tuple[Case, ...]:
    """Return the images in a folder and in those below it, by their paths; what else is there is told.

    Args:
        folder: of images.
        series: take DICOM files as the slices of volumes, one in each folder that holds some, and not as images.

    Raises:
        UserError: there is none.

    Examples:
        >>> images_below(Path("src/acnorm/data"))  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: src/acnorm/data: holds no image and no volume; give a folder that does.
    """
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    images = [file for file in files if is_image(file)]
    if not images:
        raise UserError(f"{folder}: holds no image and no volume; give a folder that does.")
    others = [file.relative_to(folder).as_posix() for file in files if file not in set(images)]
    if others:
        named = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        logger.warning("%s: left out %d that are no images (%s)", folder, len(others), named)
    if series:
        images = sorted({file.parent if is_dicom(file) else file for file in images})
    return tuple(
        Case(id=folder.name if image == folder else image.relative_to(folder).as_posix(), image=image, label=0)
        for image in images
    )
