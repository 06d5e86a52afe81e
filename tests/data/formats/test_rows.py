from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from acnorm.data.formats.rows import read_rows
from acnorm.errors import UserError


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_blanks_marks_separators_and_line_ends_do_not_matter(tmp_path: Path, separator: str, line_end: str):
    path = tmp_path / "a.csv"
    lines = [separator.join(cells) for cells in ((" Image ", "Label "), ("a.png", " None "), ("", ""), ("b", "NA"))]
    path.write_bytes(("\ufeff" + line_end.join(lines) + line_end).encode())
    table = read_rows(path)
    assert table.columns == ("image", "label")
    assert table.rows == ((2, {"image": "a.png", "label": "None"}), (4, {"image": "b", "label": "NA"}))


def test_short_rows_and_nameless_columns(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("image,label,,\na.png\n")
    assert read_rows(path).rows == ((2, {"image": "a.png", "label": ""}),)


def test_parquet_numbers_stay_whole(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"Image": ["a", "b"], "patient": [7, None], "label": [0.5, 1]}).to_parquet(path)
    assert read_rows(path).rows == (
        (1, {"image": "a", "patient": "7", "label": "0.5"}),
        (2, {"image": "b", "patient": "", "label": "1"}),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the table is empty; write a header and one row for each image"),
        (b"image,label\n", "the table has no rows; write one row for each image"),
        (b"Label,label \n0,1\n", "two columns are called 'label'; rename or remove one"),
        (
            b"image,label\na.png,0\nb.png,0,9\n",
            "row 3 has 3 cells, the header 2; put quotes around cells that hold the separator",
        ),
        (b"image,l\xe4bel\n", "not text in UTF-8; save it as CSV UTF-8"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_rows(path)
    assert str(error.value) == f"{path}: {message}"


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(UserError, match=r"a\.csv: cannot be read \(No such file or directory\); check the path"):
        read_rows(tmp_path / "a.csv")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"not a Parquet file that can be read \(.*\); write it again"):
        read_rows(path)
    path = tmp_path / "b.csv"
    path.write_text('image,label\na,"' + "x" * 200_000 + '"\n')
    with pytest.raises(UserError, match=r"row 2 cannot be read \(field larger than .*\); save it again as CSV"):
        read_rows(path)


def test_missing_columns_are_named_with_what_is_there(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("file,grade\na,0\n")
    with pytest.raises(UserError) as error:
        read_rows(path).require(("image", "label"), "rename them")
    assert str(error.value) == f"{path}: no columns 'image', 'label' (found: file, grade); rename them"
