from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.formats.table import detect, read
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled
from acnorm.errors import UserError
from volume_files import dicom_series, nifti


def table(folder: Path, *rows: str) -> Path:
    for name in "abcd":
        PIL.Image.new("L", (4, 4)).save(folder / f"{name}.png")
    path = folder / "eyes.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_all_columns(tmp_path: Path):
    path = table(
        tmp_path,
        "id,image,label,patient,split",
        "1,a.png,mild,P1,training",
        "2,b.png, none,P1,train",
        "3,c.png,mild,P2,validation",
        "4,d.png,none,nan,testing",
    )
    collection = read(path)
    assert detect(path)
    assert collection.classes == ("mild", "none")
    assert [(case.id, case.label, case.patient, case.split) for case in collection.cases] == [
        ("1", 0, "P1", "train"),
        ("2", 1, "P1", "train"),
        ("3", 0, "P2", "val"),
        ("4", 1, None, "test"),
    ]
    assert collection.cases[0].image == tmp_path / "a.png"


def test_numbers_keep_their_order_and_gaps(tmp_path: Path):
    collection = read(table(tmp_path, "image,label", "a.png,2", "b.png,0", "c.png,3.0", "d.png,0"))
    assert collection.classes == ("0", "1", "2", "3")
    assert [case.label for case in collection.cases] == [2, 0, 3, 0]
    assert [case.id for case in collection.cases] == ["a.png", "b.png", "c.png", "d.png"]


def test_none_and_na_are_names_of_classes(tmp_path: Path):
    assert read(table(tmp_path, "image,label", "a.png,None", "b.png,NA")).classes == ("NA", "None")


def test_backslashes_and_parquet(tmp_path: Path):
    table(tmp_path, "image,label")
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "sub" / "a.png")
    path = tmp_path / "eyes.parquet"
    pd.DataFrame({"image": ["sub\\a.png", "b.png"], "label": [0, 1], "patient": [3, None]}).to_parquet(path)
    collection = read(path)
    assert collection.cases[0].image.is_file()
    assert [case.patient for case in collection.cases] == ["3", None]


def test_every_row_at_fault_is_named(tmp_path: Path):
    path = table(
        tmp_path,
        "image,label,split",
        "a.png,0,train",
        "b.png,,train",
        "c.png,nan,train",
        "gone.png,1,train",
        ",1,train",
        "d.png,1,holdout",
        "d.png,1,",
        "b.png,1,test",
    )
    with pytest.raises(DataError) as error:
        read(path)
    assert [problem.line() for problem in error.value.problems] == [
        f"{path}: row 3 has no label; fill it in or remove the row",
        f"{path}: row 4 has no label; fill it in or remove the row",
        f"{tmp_path / 'gone.png'}: no such file; correct row 5 of eyes.csv; paths count from the folder of the table",
        f"{path}: row 6 names no image; fill it in or remove the row",
        f"{path}: row 7 has the split 'holdout'; allowed are train, val and test, or blank",
        f"{path}: row 8 has no split while others say train; fill it in",
    ]
    assert [case.id for case in error.value.sound.cases] == ["a.png", "d.png", "b.png"]


def test_blank_splits_are_to_be_made_where_only_test_is_given(tmp_path: Path):
    collection = read(table(tmp_path, "image,label,split", "a.png,0,", "b.png,1,", "c.png,1,test"))
    assert [case.split for case in collection.cases] == [None, None, "test"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ("file,label", "a.png,0"),
            "no column 'image' (found: file, label); the table needs image and label (or labels, or mask), and may have patient, split "
            "and id",
        ),
        (
            ("image,label", "a.png,0", "b.png,mild"),
            "labels mix numbers (row 2: 0) and names (row 3: mild); use one or the other",
        ),
        (
            ("image,label", "a.png,1", "b.png,2", "c.png,3"),
            "labels run from 1 to 3; number the classes 0 to K-1, or write names",
        ),
        (
            ("image,label", "a.png,0", "b.png,2020"),
            "labels run from 0 to 2020; number the classes 0 to K-1, or write names",
        ),
        (
            ("image,label", "a.png,Mild", "b.png,mild"),
            "the labels 'Mild' and 'mild' differ only in case; make them the same",
        ),
        (
            ("image,label", "a.png,0", "a.png,1"),
            "2 cases have the id 'a.png'; give every case an id of its own",
        ),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, rows: tuple[str, ...], message: str):
    path = table(tmp_path, *rows)
    with pytest.raises(UserError) as error:
        read(path)
    assert str(error.value) == f"{path}: {message}"


MASKED = [
    "id,image,mask,patient,split",
    *(f"{at},i{at}{{0}},m{at}{{1}},P{at // 2},{split}" for at, split in enumerate(["train", "train", "val", "test"])),
]


@pytest.mark.parametrize("suffixes", [(".png", ".png"), (".nii.gz", ".nii.gz")])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_gives_label_maps_with_patients_and_splits(tmp_path: Path, suffixes: tuple[str, str], ending: str):
    for at in range(4):
        values = np.arange(30).reshape(6, 5) % 3
        for letter in "im":
            if suffixes[0] == ".png":
                PIL.Image.fromarray((values + at * (letter == "i")).astype(np.uint8)).save(
                    tmp_path / f"{letter}{at}.png"
                )
            else:
                nifti(tmp_path / f"{letter}{at}.nii.gz", (values + at * (letter == "i"))[..., None].repeat(3, -1))
    rows = [row.format(*suffixes).split(",") for row in MASKED]
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    file = tmp_path / f"eyes{ending}"
    frame.to_csv(file, index=False) if ending == ".csv" else frame.to_parquet(file)
    collection = read_cases(file)
    assert (collection.format, collection.task, collection.classes) == ("table", "segmentation", ("0", "1", "2"))
    assert [(case.id, case.patient, case.split) for case in collection.cases] == [
        ("0", "P0", "train"), ("1", "P0", "train"), ("2", "P1", "val"), ("3", "P1", "test"),
    ]  # fmt: skip
    assert read_labelled(collection.cases[3], 3).mask.max() == 2
    assert "patient 'P1' is in val and test" in " ".join(check(file).lines())


def test_label_maps_without_ids_are_called_as_their_images_without_suffix(tmp_path: Path):
    for name in ("a", "m"):
        nifti(tmp_path / f"{name}.1.nii.gz", np.arange(27).reshape(3, 3, 3) % 2)
    path = table(tmp_path, "image,mask", "a.1.nii.gz,m.1.nii.gz")
    collection = read(path)
    assert [case.id for case in collection.cases] == ["a.1"]
    assert collection.classes == ("background", "foreground")


def test_every_row_without_label_map_is_named(tmp_path: Path):
    path = table(tmp_path, "image,mask", "a.png,b.png", "b.png,", "c.png,gone.png", "none.png,d.png", ",a.png")
    with pytest.raises(DataError) as error:
        read(path)
    assert [problem.line().removeprefix(f"{tmp_path}/") for problem in error.value.problems] == [
        "eyes.csv: row 3 names no mask; fill it in or remove the row",
        "gone.png: no such file; correct row 4 of eyes.csv; paths count from the folder of the table",
        "none.png: no such file; correct row 5 of eyes.csv; paths count from the folder of the table",
        "eyes.csv: row 6 names no image; fill it in or remove the row",
    ]


def test_beside_labels_a_column_mask_is_one_of_others(tmp_path: Path):
    collection = read(table(tmp_path, "image,mask,label", "a.png,gone.png,0", "b.png,,1"))
    assert collection.task == "classification"
    assert [note.line() for note in collection.notes] == [
        f"{tmp_path}/eyes.csv: the column mask is not read, since there is a column label; for label maps, remove the "
        "column label"
    ]
    several = read(table(tmp_path, "image,mask,labels", "a.png,,x|y", "b.png,,x"))
    assert "the column mask is not read, since there is a column labels" in several.notes[0].line()


def test_label_maps_may_be_series_as_well(tmp_path: Path):
    for name in ("image", "mask"):
        dicom_series(tmp_path / name, np.arange(60).reshape(3, 4, 5) % 2, ["1.2.1", "1.2.2", "1.2.3"])
    collection = read(table(tmp_path, "image,mask", "image,mask"))
    assert read_labelled(collection.cases[0], 2).mask.sum() == 30


def test_a_folder_of_one_series_is_an_image_and_another_is_none(tmp_path: Path):
    for name in ("s1", "s2"):
        dicom_series(tmp_path / name, np.arange(60).reshape(3, 4, 5), ["1.2.1", "1.2.2", "1.2.3"])
    collection = read(table(tmp_path, "image,label", "s1,0", "s2,1"))
    assert [case.image for case in collection.cases] == [tmp_path / "s1", tmp_path / "s2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: a folder without DICOM files; name a file or a series in row 4$"):
        read(table(tmp_path, "image,label", "s1,0", "s2,1", "empty,1"))
