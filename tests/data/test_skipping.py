from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from acnorm.data.images import read_image
from acnorm.data.problems import DataError
from acnorm.data.skipping import read_sound, without_broken


def eyes(root: Path) -> Path:
    for name in ("healthy", "ill"):
        (root / name).mkdir(parents=True)
        for at in range(3):
            Image.new("L", (8, 8), 40 * at).save(root / name / f"{at}.png")
    return root


def test_sound_data_stay_as_they_are(tmp_path: Path):
    collection = read_sound(eyes(tmp_path), None)
    assert without_broken(collection, read_image) == collection


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path):
    (eyes(tmp_path) / "ill/1.png").write_bytes(b"")
    collection = without_broken(read_sound(tmp_path, None), read_image)
    assert sorted(case.id for case in collection.cases) == [
        *(f"healthy/{at}.png" for at in range(3)),
        *("ill/0.png", "ill/2.png"),
    ]
    (note,) = collection.notes
    assert note.line() == f"{tmp_path}/ill/1.png: left out: the file is empty (0 bytes); copy or export it again"
    assert not note.fatal


def test_rows_that_the_format_refuses_are_left_out(tmp_path: Path):
    eyes(tmp_path)
    (tmp_path / "table.csv").write_text("image,label\nhealthy/0.png,no\nill/0.png,yes\nill/9.png,yes\n")
    collection = read_sound(tmp_path / "table.csv", None)
    assert len(collection) == 2
    assert "left out" in collection.notes[-1].line()
    assert "9.png" in collection.notes[-1].line()


def test_no_case_at_all_is_refused(tmp_path: Path):
    for file in eyes(tmp_path).rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r": no case can be read; see acnorm check$"):
        without_broken(read_sound(tmp_path, None), read_image)
