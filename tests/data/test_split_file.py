from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.data.case import Case
from acnorm.data.split_file import read_assignment, write_assignment
from acnorm.errors import UserError

CASES = [Case("a", Path("a"), 0), Case("b", Path("b"), 1, split="test")]


def test_what_is_written_is_read(tmp_path: Path):
    write_assignment(tmp_path / "s.json", {"b": "test", "a": "train"}, "made by hand")
    assigned, origin = read_assignment(tmp_path / "s.json", CASES)
    assert assigned == {"a": "train", "b": "test"}
    assert origin == "reused from s.json: made by hand"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a file of splits (Expecting property name"),
        (
            "[]",
            "not a file of splits (no 'cases' from id to split); give one that acnorm wrote, or a new name to have the splits written there",
        ),
        (
            '{"cases": {"a": "train", "x": "val", "y": "val", "z": "val", "w": "val"}}',
            "names 4 cases that the data lacks (w, x, y, ...) and lacks 1 case of the data (b); delete it to have "
            "the splits made anew, or give the file that belongs to this data",
        ),
        ('{"cases": {"a": "dev", "b": "test"}}', "'a' has the split 'dev'; allowed are train, val, test, unused"),
        (
            '{"cases": {"a": "train", "b": "val"}}',
            "'b' is in val, but in test by the data; delete it to have the splits made anew",
        ),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, content: str, message: str):
    file = tmp_path / "s.json"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_assignment(file, CASES)
    assert str(error.value).startswith(f"{file}: {message}")
