from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from acnorm.data.case import Case
from acnorm.data.images import is_image, read_file, read_image
from acnorm.errors import UserError


def test_content_decides_not_the_name(tmp_path: Path):
    path = tmp_path / "really-a-tiff.png"
    tifffile.imwrite(path, np.full((4, 5), 51, np.uint8))
    image = read_image(Case("a", path, 0))
    assert image.shape == (1, 4, 5)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, 0.2)


def test_a_row_of_an_archive(tmp_path: Path):
    path = tmp_path / "eyes.npz"
    np.savez(path, train_images=np.zeros((2, 4, 5), np.uint8), test_images=np.full((1, 4, 5), 255, np.uint8))
    assert read_image(Case("test_0000", path, 0, split="test", index=2)).min() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty (0 bytes); copy or export it again"),
        (b"GIF89a", "the image header cannot be read; export the image again as PNG"),
        (b"BMxxxx", "is a BMP image; convert it to PNG, JPEG, TIFF or DICOM"),
        (b"<html>", "is a web page or XML; convert it to PNG, JPEG, TIFF or DICOM"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "is a Git LFS pointer, not the file it stands for; convert",
        ),
        (b"\x00\x01", "is of no known kind (it starts with b'\\x00\\x01'); convert it to PNG, JPEG, TIFF"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "eye.png"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_file(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(UserError, match=r"a.png: cannot be read \(No such file.*; check the path and"):
        read_file(tmp_path / "a.png")


def test_numbered_dicom_files_are_images_and_notes_are_not(tmp_path: Path):
    scan, other = tmp_path / "IM000001", tmp_path / "README"
    scan.write_bytes(bytes(128) + b"DICM")
    other.write_bytes(b"notes")
    assert is_image(scan)
    assert not is_image(other)
    assert not is_image(tmp_path / "gone")
    assert is_image(Path("1.2.840.TIFF"))


def test_pillow_files_arrive(tmp_path: Path):
    path = tmp_path / "eye.jpg"
    PIL.Image.new("RGB", (6, 4), (255, 255, 255)).save(path)
    assert read_file(path).shape == (3, 4, 6)


def test_a_file_called_dicom_is_tried_as_such(tmp_path: Path):
    path = tmp_path / "scan.dcm"
    path.write_bytes(b"\x00\x01")
    with pytest.raises(UserError, match=r"scan\.dcm: .*DICOM"):
        read_file(path)


def test_the_first_frame_of_a_gif_is_an_image(tmp_path: Path):
    frames = [PIL.Image.new("L", (6, 4), value) for value in (51, 255)]
    frames[0].save(tmp_path / "grey.gif", save_all=True, append_images=frames[1:])
    PIL.Image.new("RGB", (6, 4), (255, 0, 51)).save(tmp_path / "colour.gif")
    np.testing.assert_allclose(read_file(tmp_path / "grey.gif"), np.full((1, 4, 6), 0.2), rtol=1e-6)
    np.testing.assert_allclose(read_file(tmp_path / "colour.gif")[:, 0, 0], [1, 0, 0.2], rtol=1e-6)
    assert is_image(tmp_path / "grey.gif")
