"""An image file made small and put into the page itself."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

SMALL = 128  # pixels: below this an image is enlarged without smoothing
LARGEST = 320  # pixels: above this an image is reduced, to keep the page light


def thumbnail(folder: Path, name: str, largest: int = LARGEST) -> tuple[str | None, bool]:
    """The image as a `data:` URI and whether it is small; None where it is no image or lies outside the folder.

    Examples:
        >>> thumbnail(Path("."), "no-such-image.png")
        (None, False)
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None, False
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, False
    small = max(image.size) < SMALL
    image.thumbnail((largest, largest))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), small
