from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats.medmnist import detect, is_array_of_one, read
from acnorm.data.images import read_image
from acnorm.errors import UserError


def archive(path: Path, **changes: object) -> Path:
    arrays = {
        f"{split}_{kind}": array
        for split, count in {"train": 6, "val": 3, "test": 3}.items()
        for kind, array in {
            "images": np.arange(count * 16, dtype=np.uint8).reshape(count, 4, 4),
            "labels": (np.arange(count) % 3).astype(np.uint8)[:, None],
        }.items()
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_cases_bear_split_label_and_row(tmp_path: Path):
    path = archive(tmp_path / "eyes.npz")
    collection = read(path)
    assert detect(path)
    assert not detect(tmp_path)
    assert collection.classes == ("0", "1", "2")
    assert [case.id for case in collection.cases][5:8] == ["train_0005", "val_0000", "val_0001"]
    assert [case.index for case in collection.cases] == list(range(12))
    assert {case.split for case in collection.cases} == {"train", "val", "test"}
    with np.load(path) as file:
        np.testing.assert_allclose(read_image(collection.cases[7])[0], file["val_images"][1] / 255)


def test_a_source_archive_has_a_training_set_only_and_may_be_coloured(tmp_path: Path):
    only = dict.fromkeys(("val_images", "val_labels", "test_images", "test_labels"))
    path = archive(tmp_path / "a.npz", train_images=np.zeros((6, 4, 4, 3), np.uint8), train_labels=np.arange(6), **only)
    collection = read(path)
    assert len(collection) == 6
    assert read_image(collection.cases[0]).shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": None},
            "no array 'train_images' (found: test_images, test_labels, train_labels, val_images, val_labels); "
            "name the arrays train_images and train_labels, and the same for val_ and test_",
        ),
        (
            {"val_labels": None},
            "no array 'val_labels' (found: test_images, test_labels, train_images, train_labels, val_images)",
        ),
        (
            {"train_images": np.zeros((6, 4, 4, 4, 2), np.uint8)},
            "train_images is 6×4×4×4×2: neither images nor volumes; give cases×height×width, cases×height×width×3 or "
            "cases×depth×height×width",
        ),
        (
            {"train_images": np.zeros((6, 4), np.uint8)},
            "train_images is 6×4: neither images nor volumes; give cases×height×width, cases×height×width×3 or "
            "cases×depth×height×width",
        ),
        (
            {"train_labels": np.full((6, 14), 2), "val_labels": np.zeros((3, 14), int)},
            "train_labels is 6×14 for 6 images of 14 classes, or holds others than 0 and 1; give 0 or 1 for each image "
            "and class",
        ),
        (
            {"train_labels": np.zeros((6, 1))},
            "train_labels holds float64 values; number the classes 0 to K-1",
        ),
        (
            {"train_labels": np.full((6, 1), -1)},
            "train_labels holds the label -1; number the classes 0 to K-1",
        ),
        (
            {"train_labels": np.zeros((5, 1), int)},
            "5 values in train_labels for 6 images; give one label for each image",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, object], message: str):
    path = archive(tmp_path / "eyes.npz", **changes)
    with pytest.raises(UserError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_an_archive_of_one_image_is_none_of_splits(tmp_path: Path):
    for name, arrays, one in (("a", {"image": np.zeros(3)}, True), ("b", {"train_images": np.zeros(3)}, False)):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert is_array_of_one(tmp_path / f"{name}.npz") is one
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 6] = 82  # made for another zip
    (tmp_path / "a.npz").write_bytes(damaged)
    assert not is_array_of_one(tmp_path / "a.npz")
