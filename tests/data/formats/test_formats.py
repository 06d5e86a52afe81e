from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from acnorm.data.formats import FORMATS, read_cases
from acnorm.errors import UserError
from volume_files import lidc_scan, luna16, nifti


def made(name: str, folder: Path) -> Path:
    """The smallest data set of a format: a new format needs a row here."""
    image = PIL.Image.new("RGB", (4, 4))
    if name == "medmnist":
        path = folder / "a.npz"
        np.savez(path, train_images=np.zeros((2, 4, 4), np.uint8), train_labels=np.arange(2))
        return path
    if name == "table":
        image.save(folder / "a.png")
        image.save(folder / "b.png")
        path = folder / "a.csv"
        path.write_text("image,label\na.png,0\nb.png,1\n")
        return path
    if name == "nnunet":
        about = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii"}
        (folder / "dataset.json").write_text(json.dumps(about))
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir()
            for case in "ab":
                nifti(
                    folder / part / f"{case}{'_0000' if part == 'imagesTr' else ''}.nii",
                    np.arange(8).reshape(2, 2, 2) % 2,
                )
        return folder
    if name in ("lits", "mmwhs"):
        for at in "12":
            for file in {"lits": ("volume-{}", "segmentation-{}"), "mmwhs": ("ct_train_{}_image", "ct_train_{}_label")}[
                name
            ]:
                nifti(folder / f"{file.format(at)}.nii", np.zeros((2, 2, 2)))
        return folder
    if name == "luna16":
        return luna16(folder, candidates=[("1.2.3", (0, 0, 0), 0), ("1.2.3", (1, 1, 1), 1)])
    if name == "lidc":
        for patient in ("LIDC-IDRI-0001", "LIDC-IDRI-0002"):
            lidc_scan(folder / patient / "study" / "series", readers=[])
        return folder
    if name == "lidc-malignancy":
        for patient, rating in (("LIDC-IDRI-0001", 1), ("LIDC-IDRI-0002", 5)):
            reader = [("1.9.1", True, [(2, 2), (2, 4), (4, 4), (4, 2)])]
            lidc_scan(folder / patient / "study" / "series", readers=[reader], ratings=[[rating]])
        return folder
    if name in ("aptos", "eyepacs"):
        table, images, header = {
            "aptos": ("train.csv", "train_images", "id_code,diagnosis"),
            "eyepacs": ("trainLabels.csv", "train", "image,level"),
        }[name]
        (folder / images).mkdir()
        for eye in "ab":
            image.save(folder / images / f"{eye}.png")
        (folder / table).write_text(f"{header}\na,0\nb,1\n")
        return folder
    if name in ("msd", "acdc"):
        places = [f"{kind}/{case}.nii.gz" for kind in ("imagesTr", "labelsTr") for case in "ab"]
        if name == "acdc":
            places = [
                f"patient001/patient001_frame{frame}{kind}.nii.gz" for frame in ("01", "12") for kind in ("", "_gt")
            ]
        for place in places:
            (folder / place).parent.mkdir(exist_ok=True)
            nifti(folder / place, np.arange(8).reshape(2, 2, 2) % 2)
        listed = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in "ab"]
        about = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}, "training": listed}
        file = folder / ("dataset.json" if name == "msd" else "patient001/Info.cfg")
        file.write_text(json.dumps(about) if name == "msd" else "ED: 1\nES: 12\n")
        return folder
    places = ("a/1.png", "b/1.png")
    if name == "chase":
        places = tuple(f"Image_0{at}L{kind}" for at in (1, 2) for kind in (".jpg", "_1stHO.png"))
    if name == "stare":
        places = tuple(
            place for at in (1, 2) for place in (f"stare-images/im000{at}.ppm", f"labels-ah/im000{at}.ah.ppm")
        )
    if name == "hrf":
        places = tuple(
            place
            for at in (1, 2)
            for place in (f"images/0{at}_h.jpg", f"manual1/0{at}_h.tif", f"mask/0{at}_h_mask.tif")
        )
    if name == "pairs":
        places = ("images/1.png", "images/2.png", "masks/1.png", "masks/2.png")
    if name == "drive":
        places = tuple(
            f"{part}/{place}"
            for part, number in (("training", 21), ("test", 1))
            for place in (
                f"images/{number}_{part}.tif",
                f"1st_manual/{number}_manual1.gif",
                f"mask/{number}_{part}_mask.gif",
            )
        )
    if name == "idrid":
        places = ("1. Original Images/a. Training Set/I.jpg", "1. Original Images/b. Testing Set/I.jpg")
        (folder / "2. Groundtruths").mkdir()
        for table in ("a. IDRiD_Disease Grading_Training Labels", "b. IDRiD_Disease Grading_Testing Labels"):
            (folder / "2. Groundtruths" / f"{table}.csv").write_text("Image name,Retinopathy grade\nI,1\n")
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / place)
    return folder


BY_NAME_ALONE = {"lidc-malignancy": "lidc"}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_found_by_itself_and_by_its_name(tmp_path: Path, name: str):
    data = made(name, tmp_path)
    found = read_cases(str(data), name)
    assert found.format == name
    assert len(found) == 2
    alone = read_cases(data)
    assert alone.format == BY_NAME_ALONE.get(name, name)
    assert (alone == found) == (name not in BY_NAME_ALONE)


def test_nothing_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"gone: no such file or folder; check the path"):
        read_cases(tmp_path / "gone")


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path):
    with pytest.raises(
        UserError,
        match=r"unknown format 'dicom'; allowed are medmnist, table, idrid, drive, nnunet, msd, acdc, lits, luna16, lidc, lidc-malignancy, mmwhs, aptos, eyepacs, chase, stare, hrf, pairs, folder",
    ):
        read_cases(tmp_path, "dicom")


def test_a_format_that_the_data_does_not_have(tmp_path: Path):
    with pytest.raises(
        UserError,
        match=r"not in the format table \(CSV or Parquet with the columns image and label, or image and mask\); leave",
    ):
        read_cases(tmp_path, "table")


def test_what_would_have_been_understood(tmp_path: Path):
    with pytest.raises(
        UserError,
        match=r"no known format; give medmnist: \.npz with .*; or table: .*; or idrid: .*; or drive: .*; or nnunet: .*; or pairs: .*; or folder: ",
    ):
        read_cases(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label\n")
    with pytest.raises(UserError, match=r"no known format; give the file itself: .*labels\.csv"):
        read_cases(tmp_path)
