from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

from acnorm.data.formats.idrid import detect, read
from acnorm.data.problems import DataError
from acnorm.errors import UserError

TRAIN = "a. IDRiD_Disease Grading_Training Labels.csv"
TEST = "b. IDRiD_Disease Grading_Testing Labels.csv"


def release(root: Path) -> Path:
    for folder, table, grades in (("a. Training Set", TRAIN, "04"), ("b. Testing Set", TEST, "31")):
        images, tables = root / "1. Original Images" / folder, root / "2. Groundtruths"
        images.mkdir(parents=True)
        tables.mkdir(exist_ok=True)
        lines = ["Image name,Retinopathy grade,Risk of macular edema ,,,"]
        for number, grade in enumerate(grades, start=1):
            PIL.Image.new("RGB", (4, 4)).save(images / f"IDRiD_00{number}.jpg")
            lines.append(f"IDRiD_00{number},{grade},0,,,")
        (tables / table).write_bytes("\r\n".join(lines).encode())
    return root


def test_numbers_start_anew_in_the_test_set(tmp_path: Path):
    collection = read(release(tmp_path))
    assert detect(tmp_path)
    assert [(case.id, case.label, case.split) for case in collection.cases] == [
        ("train_IDRiD_001", 0, "train"),
        ("train_IDRiD_002", 4, "train"),
        ("test_IDRiD_001", 3, "test"),
        ("test_IDRiD_002", 1, "test"),
    ]
    assert collection.classes == ("0", "1", "2", "3", "4")
    assert all(case.image.is_file() and case.patient is None for case in collection.cases)


def test_the_folder_above_will_do(tmp_path: Path):
    release(tmp_path / "B. Disease Grading")
    assert detect(tmp_path)
    assert len(read(tmp_path)) == 4


def test_all_that_does_not_match_is_named(tmp_path: Path):
    images = release(tmp_path) / "1. Original Images"
    (images / "a. Training Set" / "IDRiD_001.jpg").rename(images / "a. Training Set" / "IDRiD_009.jpg")
    table = tmp_path / "2. Groundtruths" / TEST
    table.write_text(table.read_text().replace("IDRiD_002,1", "IDRiD_002,5"))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert [problem.line() for problem in error.value.problems] == [
        f"{images / 'a. Training Set' / 'IDRiD_001.jpg'}: no such file; unpack it again, or remove row 2",
        f"{images / 'a. Training Set' / 'IDRiD_009.jpg'}: no grade in {TRAIN}; add a row or remove the image",
        f"{table}: row 3 has the grade '5'; allowed are 0, 1, 2, 3 and 4",
    ]


def test_a_missing_table(tmp_path: Path):
    (release(tmp_path) / "2. Groundtruths" / TEST).unlink()
    with pytest.raises(UserError, match=r"Testing Labels\.csv: missing from the IDRiD release; unpack the rel"):
        read(tmp_path)


def test_a_table_with_other_columns(tmp_path: Path):
    (release(tmp_path) / "2. Groundtruths" / TEST).write_text("image,grade\na,0\n")
    with pytest.raises(
        UserError,
        match=r"no columns 'image name', 'retinopathy grade' \(found: image, grade\); take the table of the",
    ):
        read(tmp_path)
