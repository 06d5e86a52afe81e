from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from acnorm.data.decoders.archive import open_archive, read_row
from acnorm.errors import UserError


def test_rows_count_through_the_splits(tmp_path: Path):
    path = tmp_path / "a.npz"
    arrays = {f"{split}_images": np.full((2, 4, 4), 51 * i, np.uint8) for i, split in enumerate("ab")}
    np.savez(path, train_images=arrays["a_images"], val_images=arrays["b_images"])
    assert [round(float(read_row(path, row).max()), 3) for row in range(4)] == [0, 0, 0.2, 0.2]
    with pytest.raises(UserError, match=r"a\.npz: no row 4 among 4; read the cases of this archive again"):
        read_row(path, 4)


def test_an_archive_is_read_once_until_it_changes(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=np.zeros((1, 4, 4), np.uint8))
    first = open_archive(path)
    assert open_archive(path) is first
    np.savez(path, train_images=np.ones((1, 4, 4), np.uint8))
    os.utime(path, ns=(1, 1))
    assert open_archive(path).row(0).max() == 1


def test_sixteen_bit_and_float_rows(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=np.full((1, 4, 4), 65535, np.uint16), val_images=np.full((1, 4, 4, 3), 7.0))
    assert read_row(path, 0).max() == 1
    with pytest.raises(UserError, match=r"a\.npz\[row 1\]: floating-point values from 7 to 7; scale them to"):
        read_row(path, 1)


def test_pickles_are_refused(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(UserError, match=r"holds pickled Python objects, which may run code; save plain number"):
        open_archive(path)


def test_damaged_archives(tmp_path: Path):
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match=r"a\.npz: cannot be read \(No such file.*\); check the path"):
        open_archive(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.npz: the file is empty \(0 bytes\); copy or download it again"):
        open_archive(path)
    path.write_bytes(b"some text")
    with pytest.raises(UserError, match=r"not an \.npz archive, or a truncated one; copy or download it again"):
        open_archive(path)
    np.savez_compressed(path, train_images=np.random.default_rng(0).integers(0, 255, (9, 30, 30)))
    content = bytearray(path.read_bytes())
    content[200:900] = bytes(700)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz: the archive is damaged \(.*\); copy or download it again"):
        open_archive(path)


def test_a_member_that_is_no_array(tmp_path: Path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("train_images.npy", b"\x93NUMPY\x01\x00\x04\x00{xx\n")
    with pytest.raises(UserError, match=r"the archive is damaged \(.*\); copy or download it again"):
        open_archive(path)


def test_members_that_are_no_arrays_are_left_out(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=np.zeros((1, 4, 4), np.uint8))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("README.txt", "hello")
    assert list(open_archive(path).arrays) == ["train_images"]
