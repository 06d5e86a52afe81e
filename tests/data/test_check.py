from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image

from acnorm.data.check import check

RNG = np.random.default_rng(0)


def image(path: Path, *, size: tuple[int, ...] = (8, 8), value: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, size, dtype=np.uint8) if value is None else np.full(size, value, np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path


def sound(root: Path) -> Path:
    for split in ("train", "val", "test"):
        for name in ("healthy", "ill"):
            for number in range(2):
                image(root / split / name / f"{number}.png")
    return root


def test_a_sound_data_set(tmp_path: Path):
    report = check(sound(tmp_path))
    assert (report.fatal, report.lines(), report.notes) == (False, [], ())
    assert report.counts == {split: {"healthy": 2, "ill": 2} for split in ("train", "val", "test")}
    assert (report.cases, report.patients, report.sizes, report.channels) == (12, None, {"8×8": 12}, {"1": 12})
    assert json.loads(json.dumps(report.to_dict()))["classes"] == ["healthy", "ill"]


def test_all_problems_are_told_at_once(tmp_path: Path):
    root = sound(tmp_path)
    (root / "train/ill/0.png").write_bytes(b"")
    (root / "test/ill/0.png").write_bytes((root / "val/healthy/0.png").read_bytes())
    (root / "train/ill/copy.png").write_bytes((root / "train/ill/1.png").read_bytes())
    (root / "train/healthy/label.png").write_bytes((root / "train/healthy/0.png").read_bytes())
    (root / "train/ill/label.png").write_bytes((root / "train/healthy/0.png").read_bytes())
    image(root / "val/ill/flat.png", value=7)
    (root / "train/none").mkdir()
    (root / "train/ill/notes.txt").write_text("x")
    report = check(root)
    assert report.fatal
    lines = report.lines()
    assert lines == [
        f"{root}/train/ill/0.png: the file is empty (0 bytes); copy or export it again",
        f"{root}: class 'none' has no case in train; add cases or remove the class",
        f"{root}/test/ill/0.png: the same pixels as {root}/val/healthy/0.png, in test and val, labelled ill and "
        "healthy; find out which label is right and keep that one",
        f"{root}: class 'none' has no case in val; add cases, or read its figures with that in mind",
        f"{root}: class 'none' has no case in test; add cases, or read its figures with that in mind",
        f"{root}/train/healthy/0.png: the same pixels as {root}/train/healthy/label.png, "
        f"{root}/train/ill/label.png, labelled healthy and ill; find out which label is right and keep that one",
        f"{root}/train/ill/1.png: the same pixels as {root}/train/ill/copy.png; keep one of them",
        f"{root}/val/ill/flat.png: every pixel has the same value; look at it, export it again",
        f"{root}: ignored 1 file that is no image of a class (.txt 1; first train/ill/notes.txt); if these are "
        "images, convert them to PNG and move them into a class folder",
    ]
    assert [problem["fatal"] for problem in report.to_dict()["problems"]].count(True) == 3


def test_many_copies_are_one_line(tmp_path: Path):
    sound(tmp_path)
    for number in range(2, 7):
        (tmp_path / f"train/ill/{number}.png").write_bytes((tmp_path / "train/ill/0.png").read_bytes())
    (line,) = check(tmp_path).lines()
    assert line.endswith("train/ill/4.png, ...; keep one of them")


def test_the_same_pixels_in_another_kind_of_file_are_found(tmp_path: Path):
    sound(tmp_path)
    PIL.Image.open(tmp_path / "train/ill/0.png").save(tmp_path / "train/ill/0.tif")
    assert "the same pixels as" in check(tmp_path).lines()[0]


def test_patients_and_rows_at_fault(tmp_path: Path):
    rows = ["image,label,patient,split", "a.png,0,P1,train", "b.png,1,P2,train", "c.png,1,P1,test", "d.png,0,P3,"]
    for name in "abcd":
        image(tmp_path / f"{name}.png")
    path = tmp_path / "eyes.csv"
    path.write_text("\n".join([*rows, "gone.png,1,P4,test"]))
    report = check(path)
    assert report.patients == 3
    assert report.lines() == [
        f"{tmp_path}/gone.png: no such file; correct row 6 of eyes.csv; paths count from the folder of the table",
        f"{path}: row 5 has no split while others say train; fill it in",
        f"{path}: patient 'P1' is in train and test; move all cases of the patient into one split",
        f"{path}: class '0' has no case in test; add cases, or read its figures with that in mind",
    ]


def test_ids_that_occur_twice_are_told_once(tmp_path: Path):
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    path = tmp_path / "eyes.csv"
    path.write_text("id,image,label\n1,a.png,0\n1,b.png,1\n")
    assert check(path).lines() == [f"{path}: 2 cases have the id '1'; give every case an id of its own"]


def test_a_class_without_case_where_nothing_is_split(tmp_path: Path):
    for name in ("a/1.png", "b/1.png"):
        image(tmp_path / name)
    (tmp_path / "c").mkdir()
    assert check(tmp_path).lines() == [
        f"{tmp_path}: class 'c' has no case; add cases or remove the class",
    ]


def test_sizes_and_channels_that_differ_are_notes(tmp_path: Path):
    sound(tmp_path)
    for number in range(2, 8):
        image(tmp_path / f"train/ill/{number}.png", size=(8, 8 + number, 3))
    report = check(tmp_path)
    assert report.notes == (
        "images differ in size: 12 of 8×8, 1 of 8×10, 1 of 8×11, 1 of 8×12, 1 of 8×13, and 2 more kinds",
        "images differ in channels: 12 of 1, 6 of 3",
    )
    assert not report.fatal


def test_nothing_there_is_a_report_too(tmp_path: Path):
    report = check(tmp_path / "gone")
    assert report.lines() == [f"{tmp_path}/gone: no such file or folder; check the path"]
    assert report.fatal
    assert (report.cases, report.patients) == (0, None)


def test_progress_sees_every_case(tmp_path: Path):
    seen = []
    check(sound(tmp_path), progress=lambda cases: (seen.append(case.id) or case for case in cases))
    assert len(seen) == 12
