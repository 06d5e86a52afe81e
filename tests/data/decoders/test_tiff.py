from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from acnorm.data.decoders.tiff import read_tiff
from acnorm.errors import UserError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
COLOUR = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_grey(tmp_path: Path, dtype: type, compression: str | None):
    array = GREY.astype(dtype) * (257 if dtype is np.uint16 else 1)
    path = saved(tmp_path / "a.tif", array, compression=compression)
    np.testing.assert_allclose(read_tiff(path)[0], GREY / 255, atol=1e-7)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bit_colour_keeps_its_bits(tmp_path: Path, planar: str):
    array = COLOUR.astype(np.uint16) * 200 + 1
    stored = array if planar == "contig" else np.moveaxis(array, 2, 0)
    path = saved(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    np.testing.assert_allclose(read_tiff(path), np.moveaxis(array, 2, 0) / 65535, atol=1e-7)


def test_lzw_goes_through_pillow(tmp_path: Path):
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(COLOUR).save(path, compression="tiff_lzw")
    np.testing.assert_allclose(read_tiff(path), np.moveaxis(COLOUR, 2, 0) / 255, atol=1e-7)


def test_cmyk_becomes_rgb(tmp_path: Path):
    path = tmp_path / "a.tif"
    PIL.Image.new("CMYK", (5, 4), (0, 255, 255, 0)).save(path)
    assert read_tiff(path)[:, 0, 0].tolist() == [1, 0, 0]


def test_palette_becomes_rgb(tmp_path: Path):
    table = np.zeros((3, 256), np.uint16)
    table[0] = np.arange(256) * 257
    path = saved(tmp_path / "a.tif", GREY, photometric="palette", colormap=table)
    image = read_tiff(path)
    np.testing.assert_allclose(image[0], GREY / 255, atol=1e-7)
    assert image.shape == (3, 4, 5)
    assert image[1:].max() == 0


def test_white_is_zero(tmp_path: Path):
    path = saved(tmp_path / "a.tif", GREY, photometric="miniswhite")
    np.testing.assert_allclose(read_tiff(path)[0], 1 - GREY / 255, atol=1e-7)


def test_one_bit(tmp_path: Path):
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(GREY > 100).save(path)
    np.testing.assert_array_equal(read_tiff(path)[0], GREY > 100)


def test_alpha_is_dropped(tmp_path: Path):
    array = np.dstack([COLOUR, GREY])
    path = saved(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_allclose(read_tiff(path), np.moveaxis(COLOUR, 2, 0) / 255, atol=1e-7)


def test_floats(tmp_path: Path):
    path = saved(tmp_path / "a.tif", (GREY / 255).astype(np.float32))
    np.testing.assert_allclose(read_tiff(path)[0], GREY / 255, atol=1e-7)
    saved(path, GREY.astype(np.float32))
    with pytest.raises(UserError, match=r"a\.tif: floating-point values from 0 to 228; scale them to 0\.\.1"):
        read_tiff(path)
    saved(path, np.full((4, 5), np.nan, np.float32))
    with pytest.raises(UserError, match=r"a\.tif: 20 pixels are NaN or infinite; replace them"):
        read_tiff(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_orientation_as_pillow_applies_it(tmp_path: Path, orientation: int, compression: str | None):
    turns = {
        1: GREY,
        2: np.fliplr(GREY),
        3: np.rot90(GREY, 2),
        4: np.flipud(GREY),
        5: GREY.T,
        6: np.rot90(GREY, -1),
        7: np.rot90(GREY, 2).T,
        8: np.rot90(GREY),
    }
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(GREY).save(path, tiffinfo={274: orientation}, compression=compression)
    np.testing.assert_allclose(read_tiff(path)[0], turns[orientation] / 255, atol=1e-7)


def test_several_pages_are_refused_but_a_thumbnail_is_none(tmp_path: Path):
    path = saved(tmp_path / "a.tif", np.stack([GREY] * 3), photometric="minisblack")
    with pytest.raises(UserError, match=r"a\.tif: the TIFF has 3 pages; save each page as a file of its own"):
        read_tiff(path)
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY)
        writer.write(GREY[::2, ::2], subfiletype=1)
    assert read_tiff(path).shape == (1, 4, 5)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_truncated_file(tmp_path: Path, compression: str | None):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = tmp_path / "a.tif"
    if compression == "lzw":
        PIL.Image.fromarray(noise).save(path, compression="tiff_lzw")
    else:
        saved(path, noise, compression=compression)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"a\.tif: .*(truncated|damaged|no image).*; copy or export it again"):
        read_tiff(path)


def test_a_header_without_pages(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\x00\x00\x00\x00\x00")
    with pytest.raises(UserError, match=r"a\.tif: the TIFF .*; copy or export it again"):
        read_tiff(path)


def test_signed_values_are_refused(tmp_path: Path):
    path = saved(tmp_path / "a.tif", GREY.astype(np.int16))
    with pytest.raises(UserError, match=r"pixels of type int16; save them as 8 or 16 bit unsigned"):
        read_tiff(path)


def test_damaged_pixels(tmp_path: Path):
    path = saved(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), compression="zlib")
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"damaged!"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tif: the TIFF is truncated or damaged \(.*\); copy or export it again"):
        read_tiff(path)
