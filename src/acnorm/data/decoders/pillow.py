"""PNG, JPEG, GIF and PPM, and the compressed TIFFs that tifffile alone does not unpack, through Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from acnorm.data.decoders.pixels import Image, channels_first, to_unit
from acnorm.data.problems import DataError, fault

# modes whose numbers are intensities already; every other mode is a way to write colour
_GREY = {"1", "L", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"}


def read_with_pillow(path: Path) -> Image:
    """Read an 8 or 16 bit image, upright as its EXIF orientation says, as [1 or 3, height, width] in 0..1.

    Palettes, CMYK and other colour spaces become RGB; alpha is dropped; greys keep one channel; of a GIF the first
    frame counts, grey where none has colour. Pillow keeps 16 bits for greys alone: a 16-bit RGB PNG arrives with
    8. Raises `DataError` for damaged files.
    """
    with warnings.catch_warnings():
        # a large photograph is no attack, and what Pillow says of odd metadata does not touch the pixels
        warnings.simplefilter("ignore")
        try:
            with PillowImage.open(path, formats=("PNG", "JPEG", "TIFF", "PPM", "GIF")) as opened:
                opened.load()
                found = _to_array(_upright(opened), path)
                # a GIF has a palette even of greys
                return found[:1] if opened.format == "GIF" and (found == found[:1]).all() else found
        except DataError:
            raise
        except PillowImage.DecompressionBombError:
            limit = 2 * (PillowImage.MAX_IMAGE_PIXELS or 0)
            raise fault(path, f"more than {limit:,} pixels", "shrink the image") from None
        except UnidentifiedImageError:
            raise fault(path, "the image header cannot be read", "export the image again as PNG") from None
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
            raise fault(path, f"the file is truncated or damaged ({error})", "copy or export it again") from None


def is_cmyk(path: Path) -> bool:
    """Whether a file is a JPEG or TIFF in the colours of printing.

    Examples:
        >>> is_cmyk(Path("volume.nii.gz"))
        False
    """
    if path.suffix.lower() not in {".jpg", ".jpeg", ".tif", ".tiff"}:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PillowImage.open(path, formats=("JPEG", "TIFF")) as image:
                return bool(image.mode == "CMYK")
    except (OSError, SyntaxError, ValueError):
        return False


def _upright(image: PillowImage.Image) -> PillowImage.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):  # an EXIF block that is no EXIF
        return image


def _to_array(image: PillowImage.Image, path: Path) -> Image:
    if image.mode == "LA":
        image = image.convert("L")
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA").convert("RGB")
    elif image.mode not in _GREY:
        image = image.convert("RGB")
    array = np.asarray(image)
    if image.mode.startswith("I"):
        # 16-bit greys come as "I;16" or, widened to 32 bits, as "I"
        if array.min() < 0 or array.max() > 65535:
            raise fault(path, f"grey values up to {array.max()}", "save it with 8 or 16 bits")
        array = array.astype(np.uint16)
    return channels_first(to_unit(array, path), path)
