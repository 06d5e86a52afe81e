from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from acnorm.data.formats.folder import detect, read
from acnorm.data.images import read_image
from acnorm.data.problems import DataError
from acnorm.errors import UserError
from volume_files import dicom_series


def images(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (4, 4)).save(path)
    return root


def test_a_folder_for_each_class(tmp_path: Path):
    collection = read(images(tmp_path, "mild/1.png", "healthy/2.png", "healthy/3.jpg"))
    assert detect(tmp_path)
    assert not detect(tmp_path / "mild")
    assert collection.classes == ("healthy", "mild")
    assert [(case.id, case.label, case.split) for case in collection.cases] == [
        ("healthy/2.png", 0, None),
        ("healthy/3.jpg", 0, None),
        ("mild/1.png", 1, None),
    ]
    assert collection.notes == ()


def test_splits_over_classes_number_the_classes_alike(tmp_path: Path):
    names = ("Training/0/a.png", "Training/10/b.png", "Training/2/c.png", "valid/10/d.png", "test/2/e.png")
    collection = read(images(tmp_path, *names))
    assert collection.classes == ("0", "2", "10")
    assert {(case.id, case.label, case.split) for case in collection.cases} == {
        ("Training/0/a.png", 0, "train"),
        ("Training/2/c.png", 1, "train"),
        ("Training/10/b.png", 2, "train"),
        ("test/2/e.png", 1, "test"),
        ("valid/10/d.png", 2, "val"),
    }


def test_hidden_files_are_skipped_and_others_counted(tmp_path: Path):
    images(tmp_path, "a/1.png", "b/1.png", "a/._1.png", ".cache/x.png", "__MACOSX/y.png", "cover.png")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "a" / "2.bmp").write_bytes(b"BM")
    collection = read(tmp_path)
    assert len(collection) == 2
    (note,) = collection.notes
    assert not note.fatal
    assert note.line() == (
        f"{tmp_path}: ignored 3 files that are no image of a class (.png 1, .bmp 1, .db 1; first cover.png); "
        "if these are images, convert them to PNG and move them into a class folder"
    )


def test_files_beside_split_folders_are_counted(tmp_path: Path):
    images(tmp_path, "train/a/1.png", "train/b/1.png", "stray.png")
    assert "ignored 1 file that" in read(tmp_path).notes[0].what


def test_an_empty_class_folder_stays_a_class(tmp_path: Path):
    images(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "c").mkdir()
    assert read(tmp_path).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("train/a/1.png", "extra/a/1.png"),
            "the folder 'extra' lies beside folders of splits (train); move it, or put all class folders into "
            "train, val and test",
        ),
        (
            ("val/a/1.png", "valid/a/1.png"),
            "val, valid are folders of one split (val); merge them",
        ),
        (("a/1.png",), "only one class ('a'); classification needs two or more"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, names: tuple[str, ...], message: str):
    with pytest.raises(UserError) as error:
        read(images(tmp_path, *names))
    assert str(error.value) == f"{tmp_path}: {message}"


def test_folders_without_images(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"no PNG, JPEG, TIFF, DICOM or NIfTI image in any of its 2 folders; give a f"):
        read(tmp_path)


def test_every_folder_that_lies_too_deep_is_named(tmp_path: Path):
    images(tmp_path, "a/1.png", "b/1.png", "a/P1/1.png", "b/P2/1.png")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert [problem.line() for problem in error.value.problems] == [
        f"{tmp_path / name}: a folder inside a class folder; move its images up, or list them in a table with a "
        "column for the patient"
        for name in ("a/P1", "b/P2")
    ]
    assert len(error.value.sound) == 2


@pytest.mark.parametrize(
    "names", [("s1_image.nii.gz", "s1_label.nii.gz"), ("p1_frame01.nii.gz", "p1_frame01_gt.nii.gz")]
)
def test_the_folder_above_releases_is_no_classification(tmp_path: Path, names: tuple[str, str]):
    for folder in ("ct_train", "mr_train"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: its folders hold label maps ({names[1]}); "
        f"give one of them: {tmp_path / 'ct_train'}, {tmp_path / 'mr_train'}"
    )
    for folder in ("ct_train", "mr_train"):
        (tmp_path / folder / names[0]).unlink()
    assert read(tmp_path).classes == ("ct_train", "mr_train")


def test_a_folder_of_one_series_in_a_class_folder_is_a_case(tmp_path: Path):
    for name in ("large/s1", "large/s2", "small/s3"):
        dicom_series(tmp_path / name, np.arange(60).reshape(3, 4, 5), ["1.2.1", "1.2.2", "1.2.3"])
    collection = read(tmp_path)
    assert [(case.id, case.label) for case in collection.cases] == [("large/s1", 0), ("large/s2", 0), ("small/s3", 1)]
    assert read_image(collection.cases[2]).shape == (1, 5, 4, 3)
