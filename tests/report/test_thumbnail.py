"""Images inside the page: pictures only, from inside the run only, never large."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from acnorm.report.thumbnail import LARGEST, thumbnail


def opened(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_any_kind_of_image_becomes_a_png(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (30, 20)).save(tmp_path / "a.tif" if mode == "CMYK" else tmp_path / "a.png")
    uri, small = thumbnail(tmp_path, "a.tif" if mode == "CMYK" else "a.png")
    assert opened(uri).size == (30, 20)
    assert small


def test_a_large_image_is_reduced_in_its_proportions(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000)).save(tmp_path / "a.jpg")
    uri, small = thumbnail(tmp_path, "a.jpg")
    assert opened(uri).size == (LARGEST, LARGEST // 2)
    assert not small


def test_what_is_no_image_or_lies_outside_the_run_is_left_out(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "outside.png")
    (run / "text.png").write_text("<svg onload='alert(1)'/>")
    assert thumbnail(run, "../outside.png") == (None, False)
    assert thumbnail(run, "text.png") == (None, False)
    assert thumbnail(run, "absent.png") == (None, False)
