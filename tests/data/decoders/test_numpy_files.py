"""Arrays of NumPy as images, volumes and label maps: what their axes mean, and one line for what is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.data.case import Case
from acnorm.data.decoders.numpy_files import is_array_volume
from acnorm.data.formats import read_cases
from acnorm.data.images import read_file, read_image
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled, read_labels, read_volume, write_mask

SUFFIXES = pytest.mark.parametrize("suffix", [".npy", ".npz"])


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.save if path.suffix == ".npy" else np.savez)(path, array)
    return path


@SUFFIXES
@pytest.mark.parametrize(
    ("shape", "read"), [((4, 5), (1, 4, 5)), ((4, 5, 1), (1, 4, 5)), ((4, 5, 3), (3, 4, 5)), ((4, 5, 4), (3, 4, 5))]
)
def test_arrays_of_images(tmp_path: Path, suffix: str, shape: tuple[int, ...], read: tuple[int, ...]):
    image = read_image(Case("a", save(tmp_path / f"a{suffix}", np.full(shape, 51, np.uint8)), 0))
    assert image.shape == read
    np.testing.assert_allclose(image, 0.2, rtol=1e-6)


@SUFFIXES
def test_arrays_of_volumes_are_as_stored_in_voxels_of_a_millimetre(tmp_path: Path, suffix: str):
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 1000
    volume = read_volume(save(tmp_path / f"a{suffix}", values))
    np.testing.assert_array_equal(volume.values[0], values)
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert np.array_equal(volume.affine, np.eye(4))
    np.testing.assert_array_equal(read_image(Case("a", tmp_path / f"a{suffix}", 0))[0], values)


@SUFFIXES
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 7)])
def test_pairs_of_arrays_and_their_predictions(tmp_path: Path, suffix: str, shape: tuple[int, ...]):
    labels = np.arange(np.prod(shape)).reshape(shape) % 3
    save(tmp_path / f"images/a{suffix}", labels.astype(np.uint8))
    save(tmp_path / f"masks/a{suffix}", labels)
    collection = read_cases(tmp_path)
    assert (collection.format, collection.classes) == ("pairs", ("0", "1", "2"))
    np.testing.assert_array_equal(read_labelled(collection.cases[0], 3).mask, labels)
    out = tmp_path / ("found.png" if len(shape) == 2 else "found.npy")
    write_mask(labels.astype(np.uint8), tmp_path / f"images/a{suffix}", out)
    np.testing.assert_array_equal(read_labels(out), labels)


def test_arrays_are_cases_of_folders_and_tables(tmp_path: Path):
    for at in range(4):
        save(tmp_path / f"data/{at % 2}/{at}.npy", np.full((4, 4), at, np.uint8))
        Image.new("L", (4, 4), at).save(tmp_path / f"data/{at % 2}/{at}.gif")
    assert len(read_cases(tmp_path / "data")) == 8
    (tmp_path / "t.csv").write_text("image,label\ndata/0/0.npy,0\ndata/1/1.npy,1\n")
    assert len(read_cases(tmp_path / "t.csv")) == 2


def test_of_several_arrays_the_one_called_image_is_read(tmp_path: Path):
    np.savez(tmp_path / "a.npz", spacing=np.ones(3), image=np.full((4, 5), 255, np.uint8))
    assert read_file(tmp_path / "a.npz").tolist() == np.ones((1, 4, 5)).tolist()


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("a.npz", {"x": np.ones((4, 5)), "y": np.ones((4, 5))}, "holds x, y; keep one array, or call it image, data or arr_0"),
        ("a.npz", {}, "holds nothing; keep one array, or call it image, data or arr_0"),
        ("a.npy", np.array([{}]), "is no NumPy file that can be read (Object arrays cannot be loaded"),
        ("a.npy", np.array(["text"]), "holds values of type <U4; save numbers"),
        ("a.npy", b"\x93NUMPY", "is no NumPy file that can be read ("),
        ("a.npz", b"PK\x03\x04", "is no NumPy file that can be read ("),
        ("a.npy", b"\x93NUMPY\x01\x00\x02\x00{(", "is no NumPy file that can be read ("),
        ("a.npy", b"", "is no NumPy file that can be read ("),
        ("a.npy", np.ones((2, 3, 4, 5)), "has 4 axes, three are needed; give a volume of three axes"),
        ("a.npy", np.ones((0, 5)), "holds no value (its shape is (0, 5)); save it again"),
        ("a.npy", np.ones((2, 0, 5)), "holds no value (its shape is (2, 0, 5)); save it again"),
        ("a.npy", np.ones(3), "1 axes, of lengths (3,); save each 2D image as a file of its own"),
        ("a.npy", np.ones((4, 5), np.int16), "pixels of type int16; save them as 8 or 16 bit unsigned, or as floats in 0..1"),
        ("a.npy", np.full((4, 5, 6), np.nan), "120 voxels are NaN or infinite; export it again, or set them"),
        ("gone.npy", None, "no such file; check the path"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_told_in_one_line(tmp_path: Path, name: str, arrays: object, message: str):
    path = tmp_path / name
    if isinstance(arrays, dict):
        np.savez(path, **arrays)
    elif isinstance(arrays, bytes):
        path.write_bytes(arrays)
    elif arrays is not None:
        np.save(path, arrays, allow_pickle=True)
    with pytest.raises(DataError) as error:
        read_image(Case("a", path, 0))
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("save_as", [np.save, np.savez, np.savez_compressed])
@pytest.mark.parametrize(("shape", "volume"), [((4, 5), False), ((4, 5, 3), False), ((4, 5, 6), True)])
def test_a_volume_is_told_by_the_header_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_as: Callable[..., None], shape: tuple[int, ...], volume: bool
):
    path = tmp_path / ("a.npy" if save_as is np.save else "a.npz")
    save_as(path, np.asfortranarray(np.zeros(shape)))
    monkeypatch.setattr(np, "load", None)
    assert is_array_volume(path) is volume


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x02\x00{}", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_file_is_no_volume(tmp_path: Path, content: bytes):
    for suffix in (".npy", ".npz"):
        (tmp_path / f"a{suffix}").write_bytes(content)
        assert not is_array_volume(tmp_path / f"a{suffix}")
    assert not is_array_volume(tmp_path / "gone.npz")
