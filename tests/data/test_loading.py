"""From a path to three datasets: whose splits, whose statistics, and what is said aloud."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from acnorm.data.augment import standard
from acnorm.data.case import SPLITS
from acnorm.data.loading import PreparedData, load_data
from acnorm.data.problems import DataError
from acnorm.errors import UserError
from volume_files import nifti

SIZE = 8
COUNTS = {"train": 12, "val": 4, "test": 6}
USUAL = ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))


def arrays(seed: int = 0, channels: int = 3, size: int = SIZE) -> dict[str, np.ndarray]:
    """A MedMNIST archive of two classes in turns, with other pixels for each seed."""
    random, found = np.random.default_rng(seed), {}
    for split, count in COUNTS.items():
        found[f"{split}_images"] = random.integers(0, 256, (count, size, size, channels), dtype=np.uint8)
        found[f"{split}_labels"] = np.arange(count) % 2
    return found


def archive(folder: Path, **changes: np.ndarray) -> Path:
    np.savez(folder / "eyes.npz", **(arrays() | changes))
    return folder / "eyes.npz"


def table(folder: Path, shapes: list[tuple[int, ...]] | None = None, colour: int | None = None) -> Path:
    """Twenty images of two classes without splits; the images are grey but for one."""
    random, rows = np.random.default_rng(0), ["image,label"]
    for number in range(20):
        shape = shapes[number % len(shapes)] if shapes else (SIZE, SIZE)
        pixels = random.integers(0, 256, shape + (3,) * (number == colour), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number:02}.png")
        rows.append(f"{number:02}.png,{'ab'[number % 2]}")
    (folder / "eyes.csv").write_text("\n".join(rows))
    return folder / "eyes.csv"


def members(data: PreparedData) -> dict[str, list[str]]:
    return {name: [case.id for case in dataset.cases] for name, dataset in data.by_split.items()}


def test_given_splits_are_kept(tmp_path: Path):
    data = load_data(archive(tmp_path))
    assert members(data) == {name: [f"{name}_{row:04}" for row in range(count)] for name, count in COUNTS.items()}
    assert (data.by_split["train"], data.by_split["val"], data.by_split["test"]) == (data.train, data.val, data.test)
    assert data.splits.origin == "given by the data"
    assert (data.collection.classes, data.warnings) == (("0", "1"), ())
    stored = arrays()["val_images"][3].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(data.val.fitted(3), stored, rtol=1e-6)


def test_absent_splits_are_made_from_the_seed_and_each_keeps_every_class(tmp_path: Path):
    path = table(tmp_path)
    first, again, other = (load_data(path, seed=seed) for seed in (0, 0, 1))
    assert members(first) == members(again) != members(other)
    assert sorted(name for part in members(first).values() for name in part) == sorted(
        case.id for case in first.collection.cases
    )
    counts = {name: Counter(case.label for case in part.cases) for name, part in first.by_split.items()}
    assert counts == {"train": {0: 6, 1: 6}, "val": {0: 2, 1: 2}, "test": {0: 2, 1: 2}}
    assert first.splits.origin.endswith("(seed 0)")


def test_a_splits_file_is_made_once_and_then_kept_whatever_the_seed(tmp_path: Path):
    path, file = table(tmp_path), tmp_path / "splits.csv"
    made = members(load_data(path, splits_file=file, seed=0))
    assert file.exists()
    assert members(load_data(path, splits_file=file, seed=1)) == made != members(load_data(path, seed=1))


def test_a_format_can_be_forced(tmp_path: Path):
    path = archive(tmp_path)
    assert load_data(path, format="medmnist").collection.format == load_data(path).collection.format == "medmnist"
    with pytest.raises(UserError, match=r"eyes\.npz: not in the format table \(.*\); leave the format out to have"):
        load_data(path, format="table")


def test_statistics_are_those_of_the_training_images_alone(tmp_path: Path):
    data, own = load_data(archive(tmp_path)), arrays()["train_images"] / 255
    np.testing.assert_allclose(data.preprocessing.mean, own.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(data.preprocessing.deviation, own.std(axis=(0, 1, 2)), atol=1e-6)
    held_out = {name: pixels for name, pixels in arrays(seed=1).items() if not name.startswith("train")}
    assert load_data(archive(tmp_path, **held_out)).preprocessing == data.preprocessing
    assert {part.preprocessing for part in data.by_split.values()} == {data.preprocessing}


def test_usual_statistics_win_where_the_channels_agree(tmp_path: Path):
    colour = load_data(archive(tmp_path), usual_statistics=USUAL).preprocessing
    assert (colour.mean, colour.deviation) == USUAL
    grey = archive(tmp_path, **arrays(channels=1))
    assert load_data(grey, usual_statistics=USUAL).preprocessing == load_data(grey).preprocessing
    assert load_data(grey).preprocessing.channels == len(load_data(grey).preprocessing.mean) == 1


def test_one_colour_image_makes_all_of_them_colour(tmp_path: Path):
    assert load_data(table(tmp_path)).preprocessing.channels == 1
    data = load_data(table(tmp_path, colour=5))
    assert {part[0, at]["image"].shape for part in data.by_split.values() for at in range(len(part))} == {(3, 8, 8)}


def test_only_training_images_are_augmented_and_from_the_seed(tmp_path: Path):
    path = archive(tmp_path)
    data = load_data(path, augment=standard, seed=3)
    later = {name: not torch.equal(part[0, 0]["image"], part[1, 0]["image"]) for name, part in data.by_split.items()}
    assert later == {"train": True, "val": False, "test": False}
    again, other = (load_data(path, augment=standard, seed=seed).train[0, 0]["image"] for seed in (3, 4))
    assert torch.equal(data.train[0, 0]["image"], again)
    assert not torch.equal(again, other)


@pytest.mark.parametrize(("wanted", "side"), [(None, 8), (5, 5), (12, 12)])
def test_images_come_at_their_size_or_the_one_asked_for(tmp_path: Path, wanted: int | None, side: int):
    data = load_data(archive(tmp_path), image_size=wanted)
    assert {part[0, 0]["image"].shape for part in data.by_split.values()} == {(3, side, side)}


def test_portraits_and_landscapes_of_one_longer_side_need_no_size(tmp_path: Path):
    assert load_data(table(tmp_path, [(8, 6), (5, 8)])).preprocessing.size == 8


def test_images_of_several_sizes_need_one(tmp_path: Path):
    path = table(tmp_path, [(8 + number, 4) for number in range(7)])
    with pytest.raises(UserError) as caught:
        load_data(path)
    assert str(caught.value) == (
        f"{path}: images differ in size (longer sides 8, 9, 10, 11, 12); give --image-size PIXELS."
    )
    assert load_data(path, image_size=8).preprocessing.size == 8


@pytest.mark.parametrize("size", [0, -5])
def test_no_pixels_are_refused(tmp_path: Path, size: int):
    with pytest.raises(UserError, match=rf"^--image-size is {size}, must be 1 or more\.$"):
        load_data(archive(tmp_path), image_size=size)


def test_the_same_image_in_two_splits_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    changes = arrays()
    changes["test_images"][5] = changes["val_images"][2] = changes["train_images"][0]
    changes["train_images"][3] = changes["train_images"][2]  # twins on one side do no harm
    with caplog.at_level(logging.WARNING, "acnorm"):
        data = load_data(archive(tmp_path, **changes))
    assert data.warnings == (
        "the same image lies in train and val and test: train_0000 (train, 0), val_0002 (val, 0), test_0005 (test, 1); "
        "keep one of them, or give --skip-bad to keep that in test",
    )
    assert [record.getMessage() for record in caplog.records] == list(data.warnings)


def test_of_the_same_image_in_two_given_splits_that_which_judges_can_be_kept(tmp_path: Path):
    changes = arrays()
    changes["test_images"][5] = changes["val_images"][2] = changes["train_images"][0]
    file = archive(tmp_path, **changes)
    data = load_data(file, skip_bad=True)
    assert data.warnings == (
        f"{file}[train_0000]: left out: the same pixels as {file}[test_0005], in train and test; keep one of them",
        f"{file}[val_0002]: left out: the same pixels as {file}[test_0005], in val and test; keep one of them",
    )
    assert {name: len(ids) for name, ids in members(data).items()} == {"train": 11, "val": 3, "test": 6}


def test_the_same_image_in_two_splits_that_were_made_is_told(tmp_path: Path):
    file = table(tmp_path)
    (tmp_path / "04.png").write_bytes((tmp_path / "00.png").read_bytes())
    told = [load_data(file, seed=seed, skip_bad=True).warnings for seed in range(8)]
    apart = {line for lines in told for line in lines}
    assert {len(lines) for lines in told} == {0, 1}
    assert all(line.startswith("the same image lies in ") and line.endswith("; keep one of them") for line in apart)


def test_equal_bytes_of_another_shape_are_no_twins(tmp_path: Path):
    pixels = np.arange(6 * 32, dtype=np.uint8).reshape(6, 8, 4)
    pixels[2] = pixels[0]
    rows = ["image,label,split"]
    for number, image in enumerate(pixels):
        PIL.Image.fromarray(image.reshape(4, 8) if number == 2 else image).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number % 2},{SPLITS[number // 2]}")
    (tmp_path / "eyes.csv").write_text("\n".join(rows))
    assert load_data(tmp_path / "eyes.csv").warnings == ()


@pytest.mark.parametrize("split", ["val", "test"])
def test_classes_absent_from_a_split_are_told(tmp_path: Path, split: str):
    changes = arrays()
    changes["train_labels"] = np.arange(12) % 4
    changes[f"{'test' if split == 'val' else 'val'}_labels"] = (
        np.arange(COUNTS["test" if split == "val" else "val"]) % 4
    )
    data = load_data(archive(tmp_path, **changes))
    assert data.warnings == (f"no case of class 2, 3 in the {split} split: metrics there leave it out",)


def test_notes_of_the_reader_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    table(tmp_path)
    for number in range(20):
        (tmp_path / "eyes" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{number:02}.png").rename(tmp_path / "eyes" / "ab"[number % 2] / f"{number}.png")
    (tmp_path / "eyes/a/notes.txt").write_text("x")
    data = load_data(tmp_path / "eyes")
    assert data.warnings == (data.collection.notes[0].line(),)
    assert "ignored 1 file that is no image of a class (.txt 1; first a/notes.txt)" in data.warnings[0]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.unlink(), r"eyes\.csv: no such file or folder; check the path$"),
        (lambda path: (path.parent / "07.png").write_bytes(b""), r"07\.png: the file is empty \(0 bytes\); copy or"),
        (lambda path: (path.parent / "07.png").unlink(), r"07\.png: no such file; correct row 9 of eyes\.csv;"),
    ],
    ids=["nothing there", "empty image", "missing image"],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, break_it, message: str):
    path = table(tmp_path)
    break_it(path)
    with pytest.raises(UserError, match=message):
        load_data(path)


def test_an_unknown_format_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"eyes\.npz: unknown format 'dicomdir'; allowed are medmnist, table, idrid,"):
        load_data(archive(tmp_path), format="dicomdir")


def test_what_is_done_to_images_on_their_way_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for label in ("0", "1"):
        (tmp_path / label).mkdir()
        for at in range(10):
            size, kind = ((40, 30), "L") if at == 0 else ((32, 32), "RGB")
            image = PIL.Image.new(kind, size)
            image.putpixel((at, int(label)), 255 if kind == "L" else (255, at, 0))
            image.save(tmp_path / label / f"{at}.png")
    with caplog.at_level("INFO"):
        load_data(tmp_path, image_size=32)
    told = [record.getMessage() for record in caplog.records]
    assert told.count("2 of 20 images are brought to 32 px (longer sides 40 to 40)") == 1
    assert told.count("2 of 20 images are filled up to squares") == 1
    assert told.count("2 of 20 images are grey; they are repeated into 3 channels") == 1


def test_label_maps_are_refused(tmp_path: Path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        PIL.Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) % 2).save(tmp_path / folder / "a.png")
    with pytest.raises(UserError, match=r"holds label maps; give images with classes\.$"):
        load_data(tmp_path)


@pytest.mark.parametrize("split", SPLITS)
def test_an_image_among_volumes_is_named_or_left_out(tmp_path: Path, split: str):
    rows = ["image,label,split"]
    for number in range(12):
        name = f"{number}.png" if number == 3 * SPLITS.index(split) else f"{number}.nii.gz"
        if name.endswith(".png"):
            PIL.Image.new("L", (6, 6)).save(tmp_path / name)
        else:
            nifti(tmp_path / name, np.random.default_rng(number).integers(0, 500, (6, 6, 6)))
        rows.append(f"{name},{number % 2},{SPLITS[min(2, number // 3)]}")
    (tmp_path / "lungs.csv").write_text("\n".join(rows))
    odd = tmp_path / f"{3 * SPLITS.index(split)}.png"
    told = f"{odd}: has 2 axes, most have 3; keep images and volumes in data sets of their own"
    with pytest.raises(DataError) as caught:
        load_data(tmp_path / "lungs.csv")
    assert str(caught.value) == f"{told}, or give --skip-bad"
    data = load_data(tmp_path / "lungs.csv", skip_bad=True)
    assert odd.name not in [case.id for case in data.collection.cases]
    assert data.warnings == (told.replace("has 2", "left out: has 2"),)
