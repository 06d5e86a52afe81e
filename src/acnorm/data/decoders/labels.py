"""Label maps of two axes: PNG, GIF, TIFF and BMP through Pillow, their stored numbers and not their colours.

A GIF has a palette even of greys, whose unused places programs leave out: where all of its colours are greys, these are
the numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from acnorm.data.atomic import replacing
from acnorm.data.problems import fault

_ORIENTATION = 274


def read_label_image(path: Path) -> Shaped[NDArray[Any], "height width"]:
    """Read the number of each pixel: grey values, or places in the palette; of colour images with equal channels one.

    Upright, as the image is read, where the file says that it is turned. Raises `DataError` for a file that cannot be
    read, for several pages, and for colours, which are no labels.
    """
    try:
        with Image.open(path) as image:
            pages, is_gif = getattr(image, "n_frames", 1), image.format == "GIF"
            garbled = image.format == "TIFF" and image.getexif().get(_ORIENTATION, 1) > 4  # by Pillow
            image.load()
            values = np.asarray(ImageOps.exif_transpose(image))
            if is_gif and image.mode == "P":
                shown = np.asarray(image.convert("RGB"))
                values = shown[..., 0] if (shown == shown[..., :1]).all() else values
    except FileNotFoundError:
        raise fault(path, "no such file", "check the path") from None
    except UnidentifiedImageError:
        raise fault(path, "is no label map of a known kind", "save it as PNG with one number a class") from None
    except (OSError, SyntaxError, ValueError):
        raise fault(path, "is cut short or damaged", "copy or export it again") from None
    if garbled:
        raise fault(path, "says that it lies on its side (TIFF orientation)", "save it upright")
    if pages > 1 and not is_gif:
        raise fault(path, f"has {pages} pages", "save each page as a file of its own")
    if values.ndim == 3:
        colours = values[..., : 3 if values.shape[-1] > 2 else 1]
        if (colours != colours[..., :1]).any():
            raise fault(path, "shows labels as colours", "save it as PNG with one number a class")
        values = colours[..., 0]
    return values


def write_label_image(mask: Int[NDArray[np.uint8], "height width"], like: Path, out: Path) -> None:  # noqa: ARG001
    """Write a PNG with one number a class."""
    if out.suffix.lower() != ".png":
        raise fault(out, "label maps of images are written as PNG", "give a name that ends in .png")
    with replacing(out) as draft:
        Image.fromarray(mask.astype(np.uint8)).save(draft)
