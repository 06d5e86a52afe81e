from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from acnorm.data.formats import read_cases
from acnorm.data.problems import DataError

LAYOUTS = {
    "aptos": ("train.csv", "train_images", "id_code,diagnosis", ".png"),
    "eyepacs": ("trainLabels.csv", "train", "image,level", ".jpeg"),
}
every = pytest.mark.parametrize("format", LAYOUTS)


def release(root: Path, format: str) -> Path:
    """Both eyes of four patients, in the release's layout, with the unlabelled test images beside them."""
    table, folder, header, suffix = LAYOUTS[format]
    rows = [header]
    for part in (folder, "test_images" if format == "aptos" else "test"):
        (root / part).mkdir(parents=True)
    for patient in range(4):
        for side in ("left", "right"):
            name = f"{10 + patient}_{side}"
            Image.new("RGB", (8, 8), (patient, 0, 0)).save(root / folder / f"{name}{suffix}")
            rows.append(f"{name},{patient}")
    Image.new("RGB", (8, 8)).save(root / ("test_images" if format == "aptos" else "test") / f"99_left{suffix}")
    (root / table).write_text("\n".join(rows) + "\n")
    return root


@every
def test_every_graded_image_is_a_case(tmp_path: Path, format: str):
    collection = read_cases(release(tmp_path, format))
    assert (collection.format, collection.classes, len(collection)) == (format, ("0", "1", "2", "3", "4"), 8)
    assert [(case.id, case.label, case.split) for case in collection.cases[:3]] == [
        ("10_left", 0, None), ("10_right", 0, None), ("11_left", 1, None),
    ]  # fmt: skip
    assert [case.patient for case in collection.cases[:3]] == ([None] * 3 if format == "aptos" else ["10", "10", "11"])
    assert all(case.image.is_file() for case in collection.cases)


@every
def test_all_that_is_wrong_is_told(tmp_path: Path, format: str):
    table, folder, _, suffix = LAYOUTS[format]
    release(tmp_path, format)
    (tmp_path / folder / f"11_left{suffix}").rename(tmp_path / folder / f"new{suffix}")
    with (tmp_path / table).open("a") as file:
        file.write("12_left,9\n")
    with pytest.raises(DataError) as refused:
        read_cases(tmp_path)
    assert [problem.line() for problem in refused.value.problems] == [
        f"{tmp_path / folder / '11_left'}: no such image; unpack it again, or remove row 4",
        f"{tmp_path / table}: row 10 has the grade '9'; allowed are 0, 1, 2, 3 and 4",
        f"{tmp_path / folder / f'new{suffix}'}: no grade in {table}; add a row or remove the image",
    ]


@every
def test_no_image_and_another_table_are_told(tmp_path: Path, format: str):
    table, folder, header, _ = LAYOUTS[format]
    (tmp_path / folder).mkdir()
    (tmp_path / table).write_text(header + "\na,1\n")
    with pytest.raises(DataError, match=rf"{folder}: holds no image; unpack the release again"):
        read_cases(tmp_path)
    (tmp_path / table).write_text("name,grade\na,1\n")
    with pytest.raises(DataError, match=r"no columns .* \(found: name, grade\); take the table of the release"):
        read_cases(tmp_path)
