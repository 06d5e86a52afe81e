"""TIFF of 1, 8 or 16 bits or floats, through tifffile, and through Pillow for what tifffile cannot unpack."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from acnorm.data.decoders.pillow import read_with_pillow
from acnorm.data.decoders.pixels import Image, channels_first, to_unit
from acnorm.data.problems import DataError, fault

_TURNED_BY_PILLOW = {tifffile.PHOTOMETRIC.YCBCR, tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.CIELAB}


class _NeedsPillow(Exception):
    """The pixels are packed or coloured in a way that only Pillow undoes here."""


def read_tiff(path: Path) -> Image:
    """Read a TIFF of one page as [1 or 3, height, width] in 0..1, upright as its orientation tag says.

    Greys where 0 is white are inverted, palettes become RGB, alpha is dropped, reduced-resolution copies are
    skipped. Raises `DataError` for several pages, for floats outside 0..1 and for damaged files.
    """
    try:
        with _silent(), tifffile.TiffFile(path) as file:
            page = _only_page(file, path)
            array, bits = _pixels(page, path)
            grey_or_colour = _oriented(to_unit(array, path, bits=bits), page)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                grey_or_colour = 1 - grey_or_colour
    except _NeedsPillow:
        return read_with_pillow(path)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes the parser trip over
        raise fault(path, f"the TIFF is truncated or damaged ({error})", "copy or export it again") from None
    return channels_first(grey_or_colour, path)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Damage is raised as an error here; tifffile's log lines would only repeat it."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _only_page(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPage:
    pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage) and not page.is_reduced]
    if not pages:
        raise fault(path, "the TIFF holds no image", "copy or export it again")
    if len(pages) > 1:
        raise fault(path, f"the TIFF has {len(pages)} pages", "save each page as a file of its own")
    return pages[0]


def _pixels(page: tifffile.TiffPage, path: Path) -> tuple[NDArray[Any], int | None]:
    """The values as stored, samples last, and the bits in use where the type is wider."""
    if page.photometric in _TURNED_BY_PILLOW:
        raise _NeedsPillow
    _refuse_missing_bytes(page, path)
    try:
        array = page.asarray()
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise _NeedsPillow from None
        raise
    if page.axes.startswith("S") and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        return np.moveaxis(np.asarray(page.colormap)[:, array], 0, -1).astype(np.uint16), None
    bits = int(page.bitspersample)
    return (array.astype(bool), None) if bits == 1 else (array, bits)


def _refuse_missing_bytes(page: tifffile.TiffPage, path: Path) -> None:
    """tifffile fills strips that lie beyond the end of the file with zeros, in silence."""
    size = path.stat().st_size
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size:
        raise fault(
            path,
            f"the TIFF is truncated ({size} bytes of {max(ends, default=0)})",
            "copy or export it again",
        )


def _oriented(array: NDArray[np.float32], page: tifffile.TiffPage) -> NDArray[np.float32]:
    """Turned so that row 0 is the top and column 0 the left: tag 274, values 1 to 8."""
    tag = page.tags.get(274)
    orientation = int(tag.value) if tag is not None else 1
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
