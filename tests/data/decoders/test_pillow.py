from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from acnorm.data.decoders.pillow import read_with_pillow
from acnorm.errors import UserError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
RED = (255, 0, 0)


def saved(path: Path, image: PIL.Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_eight_bit_grey(tmp_path: Path):
    image = read_with_pillow(saved(tmp_path / "a.png", PIL.Image.fromarray(GREY)))
    np.testing.assert_allclose(image[0], GREY / 255, atol=1e-7)


def test_sixteen_bit_grey_is_divided_by_65535(tmp_path: Path):
    array = np.array([[0, 256, 65535]], np.uint16)
    image = read_with_pillow(saved(tmp_path / "a.png", PIL.Image.fromarray(array)))
    np.testing.assert_allclose(image[0], array / 65535, atol=1e-7)


def test_wide_integers_count_as_sixteen_bits_or_are_refused(tmp_path: Path):
    array = np.array([[0, 65535]], np.int32)
    path = saved(tmp_path / "a.tif", PIL.Image.fromarray(array))
    assert read_with_pillow(path).max() == 1
    saved(path, PIL.Image.fromarray(array + 1))
    with pytest.raises(UserError, match=r"grey values up to 65536; save it with 8 or 16 bits"):
        read_with_pillow(path)


def test_one_bit(tmp_path: Path):
    array = GREY > 100
    image = read_with_pillow(saved(tmp_path / "a.png", PIL.Image.fromarray(array)))
    np.testing.assert_array_equal(image[0], array)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_become_rgb(tmp_path: Path, mode: str):
    image = read_with_pillow(saved(tmp_path / "a.png", PIL.Image.new("RGB", (5, 4), RED).convert(mode)))
    assert image.shape == (3, 4, 5)
    assert image[:, 1, 1].tolist() == [1, 0, 0]


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path):
    path = saved(tmp_path / "a.jpg", PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)))
    image = read_with_pillow(path)
    assert image.shape == (3, 16, 16)
    assert image[0].mean() > 0.9
    assert image[1:].mean() < 0.1


def test_palette_with_transparency_and_grey_with_alpha(tmp_path: Path):
    palette = PIL.Image.new("RGB", (5, 4), RED).convert("P")
    path = saved(tmp_path / "a.png", palette, transparency=bytes([0] * 256))
    assert read_with_pillow(path)[:, 0, 0].tolist() == [1, 0, 0]
    assert read_with_pillow(saved(path, PIL.Image.new("LA", (5, 4), (51, 0)))).shape == (1, 4, 5)


def test_exif_orientation_is_applied(tmp_path: Path):
    exif = PIL.Image.Exif()
    exif[274] = 6  # to be turned a quarter clockwise
    path = saved(tmp_path / "a.png", PIL.Image.fromarray(GREY), exif=exif)
    np.testing.assert_allclose(read_with_pillow(path)[0], np.rot90(GREY, -1) / 255, atol=1e-7)


def test_an_exif_block_that_is_none_does_not_matter(tmp_path: Path):
    path = saved(tmp_path / "a.jpg", PIL.Image.new("L", (8, 8), 255), exif=b"Exif\x00\x00no such thing")
    assert read_with_pillow(path).shape == (1, 8, 8)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_file(tmp_path: Path, suffix: str):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a{suffix}", PIL.Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"the file is truncated or damaged \(.*\); copy or export it again"):
        read_with_pillow(path)


def test_a_file_that_is_a_header_only(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"a\.png: .*; (copy or export it again|export the image again as PNG)"):
        read_with_pillow(path)
    path.write_bytes(b"nothing like it")
    with pytest.raises(UserError, match=r"the image header cannot be read; export the image again as PNG"):
        read_with_pillow(path)


def test_large_images_pass_and_absurd_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = saved(tmp_path / "a.png", PIL.Image.fromarray(GREY))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 15)
    assert read_with_pillow(path).shape == (1, 4, 5)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(UserError, match=r"more than 10 pixels; shrink the image"):
        read_with_pillow(path)
