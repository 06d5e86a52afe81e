from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.data.formats import read_cases
from acnorm.data.formats.nnunet import detect, read
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled
from volume_files import nifti

LABELS = {"background": 0, "RV": 1, "LV": 2}


def release(root: Path, *, channels: int = 2, **changes: object) -> Path:
    """Two training patients, of which one has two frames, and a test case with and one without a label."""
    for folder in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (root / folder).mkdir(parents=True)
    about = {
        "channel_names": {str(at): f"MRI{at}" for at in range(channels)},
        "labels": LABELS,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(about | changes))
    train = ("patient001_frame01", "patient001_frame12", "heart_2")
    for part, names in (("Tr", train), ("Ts", ("heart_3", "heart_4"))):
        for at, name in enumerate(names):
            for channel in range(channels):
                nifti(root / f"images{part}" / f"{name}_{channel:04}.nii.gz", np.full((4, 5, 3), 10 * at + channel))
            if name != "heart_4":
                nifti(root / f"labels{part}" / f"{name}.nii.gz", np.arange(60).reshape(4, 5, 3) % 3)
    return root


def test_cases_have_their_channels_label_patient_and_split(tmp_path: Path):
    collection = read(release(tmp_path))
    assert (collection.task, collection.classes) == ("segmentation", ("background", "RV", "LV"))
    assert [(case.id, case.patient, case.split) for case in collection.cases] == [
        ("heart_2", None, "train"),
        ("patient001_frame01", "patient001", "train"),
        ("patient001_frame12", "patient001", "train"),
        ("heart_3", None, "test"),
    ]
    found = read_labelled(collection.cases[1], 3)
    np.testing.assert_array_equal(found.image.values, np.stack((np.zeros((4, 5, 3)), np.ones((4, 5, 3)))))
    np.testing.assert_array_equal(found.mask, np.arange(60).reshape(4, 5, 3) % 3)
    assert [note.line() for note in collection.notes] == [
        f"{tmp_path}/imagesTs: 1 case has no label (first heart_4) and is left out; add their labels to test on them"
    ]


def natural(root: Path) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    about = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "road": 1},
        "file_ending": ".png",
    }
    (root / "dataset.json").write_text(json.dumps(about))
    for name in ("img-0", "img-1"):
        Image.fromarray(np.arange(90, dtype=np.uint8).reshape(6, 5, 3)).save(root / f"imagesTr/{name}_0000.png")
        Image.fromarray(np.eye(6, 5, dtype=np.uint8)).save(root / f"labelsTr/{name}.png")
    return root


def test_a_natural_image_holds_its_channels_in_one_file(tmp_path: Path):
    collection = read_cases(natural(tmp_path))
    assert [(case.id, case.channels) for case in collection.cases] == [("img-0", ()), ("img-1", ())]
    assert read_labelled(collection.cases[0], 2).image.values.shape == (3, 6, 5)


@pytest.mark.parametrize("content", ["grey", "damaged"])
def test_one_file_of_fewer_channels_is_not_enough(tmp_path: Path, content: str):
    file = natural(tmp_path) / "imagesTr/img-0_0000.png"
    if content == "grey":
        Image.fromarray(np.zeros((6, 5), np.uint8)).save(file)
    else:
        file.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"img-0_0001\.png: no such file; add it, or remove the case img-0$"):
        read(tmp_path)


def test_hidden_files_are_no_cases(tmp_path: Path):
    release(tmp_path)
    for hidden in ("imagesTr/._heart_2_0000.nii.gz", "labelsTr/._heart_2.nii.gz", "imagesTs/._heart_3_0000.nii.gz"):
        (tmp_path / hidden).write_bytes(b"\0\5\x16\7")
    assert [case.id for case in read(tmp_path).cases] == [
        "heart_2",
        "patient001_frame01",
        "patient001_frame12",
        "heart_3",
    ]


def test_without_labelled_test_cases_there_is_no_split(tmp_path: Path):
    (release(tmp_path) / "labelsTs" / "heart_3.nii.gz").unlink()
    assert {case.split for case in read(tmp_path).cases} == {None}


def test_it_is_found_out(tmp_path: Path):
    assert read_cases(release(tmp_path / "a")).format == "nnunet"
    assert not detect(tmp_path)
    (tmp_path / "a" / "dataset.json").write_text('{"modality": {"0": "CT"}}')
    assert not detect(tmp_path / "a")


def test_labels_may_be_given_by_number(tmp_path: Path):
    labels = {"0": "background", "1": "RV", "2": "LV"}
    assert read(release(tmp_path, labels=labels)).classes == ("background", "RV", "LV")


def test_every_file_at_fault_is_named(tmp_path: Path):
    release(tmp_path)
    (tmp_path / "imagesTr/heart_2_0001.nii.gz").unlink()
    (tmp_path / "labelsTr/patient001_frame01.nii.gz").unlink()
    nifti(tmp_path / "imagesTr/stray.nii.gz", np.zeros((4, 5, 3)))
    nifti(tmp_path / "labelsTr/ghost.nii.gz", np.zeros((4, 5, 3)))
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert [problem.line() for problem in caught.value.problems] == [
        f"{tmp_path}/imagesTr/stray.nii.gz: names no channel; call it stray_0000.nii.gz",
        f"{tmp_path}/imagesTr/heart_2_0001.nii.gz: no such file; add it, or remove the case heart_2",
        f"{tmp_path}/labelsTr/patient001_frame01.nii.gz: no such file; add the label, or remove the case patient001_frame01",
        f"{tmp_path}/labelsTr/ghost.nii.gz: a label without image; add the image, or remove the label",
    ]
    assert [case.id for case in caught.value.sound.cases] == ["patient001_frame12", "heart_3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": 0, "liver": 2}}, r"dataset\.json: has the labels 0, 2; number the labels 0 to K, without regions"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, r"dataset\.json: has the labels 0, \[1, 2\]; number the labels 0 to K"),
        ({"labels": None}, r"dataset\.json: has no labels; add them, such as \{"),
        ({"file_ending": ""}, r'dataset\.json: has no file_ending; add it, such as "\.nii\.gz"'),
    ],
)  # fmt: skip
def test_what_dataset_json_lacks_is_told(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(DataError, match=message):
        read(release(tmp_path, **changes))


@pytest.mark.parametrize(
    ("content", "message"), [("{", r"is no JSON \(.+\); correct it"), ("[]", "is no JSON object; take")]
)
def test_a_dataset_json_that_cannot_be_read_is_told(tmp_path: Path, content: str, message: str):
    (release(tmp_path) / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=rf"dataset\.json: {message}"):
        detect(tmp_path)
