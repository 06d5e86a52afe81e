from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.formats.pairs import detect, read
from acnorm.data.problems import DataError
from acnorm.data.skipping import read_sound
from acnorm.data.splits import split_cases
from acnorm.data.volumes import read_labelled
from volume_files import nifti


def pair(root: Path, name: str, *, labels: str = "masks", highest: int = 2, suffix: str = ".png") -> None:
    values = np.arange(30).reshape(6, 5) % (highest + 1)
    for folder in ("images", labels):
        (root / folder).mkdir(parents=True, exist_ok=True)
        if suffix == ".png":
            Image.fromarray(values.astype(np.uint8)).save(root / folder / f"{name}.png")
        else:
            nifti(root / folder / f"{name}{suffix}", values[..., None].repeat(3, -1))


@pytest.mark.parametrize("suffix", [".png", ".nii.gz"])
@pytest.mark.parametrize("labels", ["masks", "labels"])
def test_images_and_label_maps_of_equal_names_are_cases(tmp_path: Path, suffix: str, labels: str):
    for name in ("eye.1", "eye 2"):
        pair(tmp_path, name, labels=labels, suffix=suffix)
    collection = read_cases(tmp_path)
    assert (collection.format, collection.task, collection.classes) == ("pairs", "segmentation", ("0", "1", "2"))
    assert [(case.id, case.split) for case in collection.cases] == [("eye 2", None), ("eye.1", None)]
    assert read_labelled(collection.cases[0], 3).mask.max() == 2


def test_folders_of_splits_are_kept(tmp_path: Path):
    for split in ("train", "validation", "test"):
        pair(tmp_path / split, "eye", highest=1)
    collection = read_cases(tmp_path)
    assert [(case.id, case.split) for case in collection.cases] == [
        ("test/eye", "test"), ("train/eye", "train"), ("validation/eye", "val"),
    ]  # fmt: skip
    assert collection.classes == ("background", "foreground")


def test_frames_of_a_patient_stay_in_one_split(tmp_path: Path):
    for patient in range(8):
        for frame in (1, 2):
            pair(tmp_path, f"patient{patient:03}_frame{frame:02}")
    collection = read(tmp_path)
    assert collection.patients_known
    splits = split_cases(collection)
    patients = [{case.patient for case in cases} for cases in splits.by_name().values()]
    assert [len(found) for found in patients] == [4, 2, 2]
    assert len(set.union(*patients)) == 8


def test_label_maps_of_0_and_255_have_two_classes(tmp_path: Path):
    pair(tmp_path, "eye")
    Image.fromarray((np.arange(30).reshape(6, 5) % 2 * 255).astype(np.uint8)).save(tmp_path / "masks/eye.png")
    assert read(tmp_path).classes == ("background", "foreground")


def test_without_masks_it_is_no_folder_of_pairs(tmp_path: Path):
    pair(tmp_path, "eye")
    (tmp_path / "masks").rename(tmp_path / "drawings")
    assert not detect(tmp_path)
    assert not detect(tmp_path / "images" / "eye.png")


def test_every_file_at_fault_is_named(tmp_path: Path):
    for name in ("a", "b", "c"):
        pair(tmp_path, name)
    (tmp_path / "images/a.png").unlink()
    (tmp_path / "masks/b.png").unlink()
    (tmp_path / "masks/c.png").write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert [problem.line() for problem in caught.value.problems] == [
        f"{tmp_path}/images/b.png: no file b in masks; add the label map, or remove the image",
        f"{tmp_path}/masks/a.png: a label without image; add the image, or remove the label",
        f"{tmp_path}/masks/c.png: is no label map of a known kind; save it as PNG with one number a class",
    ]


def test_numbers_that_are_no_classes_are_refused_or_left_out_by_file(tmp_path: Path):
    for name in ("eye", "fine"):
        pair(tmp_path, name)
    Image.fromarray(np.full((6, 5), 200, np.uint8)).save(tmp_path / "masks/eye.png")
    told = f"{tmp_path}/masks/eye.png: holds the label 200; number the classes 0 to K, at most 63"
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == told
    sound = read_sound(tmp_path, None)
    assert ([case.id for case in sound.cases], sound.classes) == (["fine"], ("0", "1", "2"))
    assert [problem.line() for problem in sound.notes] == [told.replace("holds", "left out: holds")]
    assert [problem.line() for problem in check(tmp_path).problems] == [told]
    (tmp_path / "masks/fine.png").write_bytes(b"nothing")
    assert len(check(tmp_path).problems) == 2


def test_two_files_of_one_name_are_both_told(tmp_path: Path):
    for name in ("a", "b"):
        pair(tmp_path, name, suffix=".nii.gz")
    pair(tmp_path, "a", suffix=".nii")
    (tmp_path / "masks/a.nii").unlink()
    told = f"{tmp_path}/images/a.nii and {tmp_path}/images/a.nii.gz: are both called a; keep one, or rename the other"
    assert [problem.line() for problem in check(tmp_path).problems] == [told]
    assert [case.id for case in read_sound(tmp_path, None).cases] == ["b"]


def test_the_voxels_beside_a_header_are_no_case(tmp_path: Path):
    pair(tmp_path, "a", suffix=".nii")
    for folder in ("images", "masks"):
        sitk.WriteImage(sitk.ReadImage(tmp_path / folder / "a.nii"), tmp_path / folder / "b.mhd")
    assert [case.image.name for case in read(tmp_path).cases] == ["a.nii", "b.mhd"]


def test_a_bad_label_map_is_told_once(tmp_path: Path):
    for name in ("a", "b"):
        pair(tmp_path, name, suffix=".nii")
    nifti(tmp_path / "masks/a.nii", np.full((6, 5, 3), -1))
    assert [problem.file for problem in check(tmp_path).problems] == [f"{tmp_path}/masks/a.nii"]
