from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from acnorm.data.atomic import check_writable, replacing
from acnorm.errors import UserError


def test_an_exception_leaves_the_old_file_and_no_litter(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as draft:
        draft.write_text(b"no text")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_replaces_the_old_one(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write(path: Path) -> None:
    with replacing(path) as draft:
        draft.write_text("new")


@pytest.mark.parametrize("ask", [write, check_writable])
@pytest.mark.parametrize("place", ["a.txt/b.csv", "a.txt/b/c.csv", "/proc/none/a.csv", "/proc/a.csv"])
def test_where_nothing_can_be_written_is_told_in_one_line(tmp_path: Path, ask, place: str):
    (tmp_path / "a.txt").write_text("a file")
    path = tmp_path / place
    told = rf"^{re.escape(str(path))}: cannot be written \([A-Z][^\n]+\); give another place\.$"
    with pytest.raises(UserError, match=told):
        ask(path)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def test_a_folder_is_not_replaced(tmp_path: Path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(UserError, match=r"a\.csv: cannot be written \(Is a directory\); give another place\.$"):
        write(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").is_dir()


def test_a_full_disk_is_told_and_other_errors_are_left_alone(tmp_path: Path):
    for number, kind in ((errno.ENOSPC, UserError), (errno.EIO, OSError)):
        with pytest.raises(kind), replacing(tmp_path / "a.csv"):
            raise OSError(number, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_asking_leaves_nothing_behind(tmp_path: Path):
    check_writable(tmp_path / "new" / "folder" / "a.csv")
    assert list(tmp_path.iterdir()) == []
