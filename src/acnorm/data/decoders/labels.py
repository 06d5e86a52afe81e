"""Label maps of two axes: PNG, GIF, TIFF and BMP through Pillow, their stored numbers and not their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from acnorm.data.atomic import replacing
from acnorm.data.problems import fault


def read_label_image(path: Path) -> Int[NDArray[np.int64], "height width"]:
    """Read the number of each pixel: grey values, or places in the palette; of colour images with equal channels one.

    Raises `DataError` for a file that cannot be read, and for colours, which are no labels.
    """
    try:
        with Image.open(path) as image:
            image.load()
            values = np.asarray(image)
    except FileNotFoundError:
        raise fault(path, "no such file", "check the path") from None
    except UnidentifiedImageError:
        raise fault(path, "is no label map of a known kind", "save it as PNG with one number a class") from None
    except (OSError, SyntaxError, ValueError):
        raise fault(path, "is cut short or damaged", "copy or export it again") from None
    if values.ndim == 3:
        colours = values[..., : 3 if values.shape[-1] > 2 else 1]
        if (colours != colours[..., :1]).any():
            raise fault(path, "shows labels as colours", "save it as PNG with one number a class")
        values = colours[..., 0]
    return values.astype(np.int64)


def write_label_image(mask: Int[NDArray[np.uint8], "height width"], like: Path, out: Path) -> None:  # noqa: ARG001
    """Write a PNG with one number a class."""
    if out.suffix.lower() != ".png":
        raise fault(out, "label maps of images are written as PNG", "give a name that ends in .png")
    with replacing(out) as draft:
        Image.fromarray(mask.astype(np.uint8)).save(draft)
