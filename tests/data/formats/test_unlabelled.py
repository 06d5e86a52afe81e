from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from acnorm.data.formats.unlabelled import images_below, read_with_or_without_labels
from acnorm.errors import UserError


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file)


@pytest.mark.parametrize("names", [("a.png", "b.png"), ("a.png", "deep/b.png"), ("only/a.png", "only/b.png")])
def test_folders_without_classes(tmp_path: Path, names: tuple[str, ...]):
    for name in names:
        picture(tmp_path / name)
    found = read_with_or_without_labels(tmp_path)
    assert (found.classes, found.format, [case.id for case in found.cases]) == (
        ("unlabelled",),
        "unlabelled",
        list(names),
    )


def test_folders_with_classes_keep_them(tmp_path: Path):
    for name in ("ill/a.png", "well/b.png"):
        picture(tmp_path / name)
    assert read_with_or_without_labels(tmp_path).classes == ("ill", "well")


def test_tables_with_and_without_labels(tmp_path: Path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "images.csv").write_text("image,split\na.png,train\nb.png,val\n")
    assert [case.split for case in read_with_or_without_labels(tmp_path / "images.csv").cases] == ["train", "val"]
    (tmp_path / "labels.csv").write_text("image,label\na.png,ill\nb.png,well\n")
    assert read_with_or_without_labels(tmp_path / "labels.csv").classes == ("ill", "well")
    (tmp_path / "masks.csv").write_text("image,mask\na.png,b.png\n")
    found = read_with_or_without_labels(tmp_path / "masks.csv")
    assert (found.format, found.task) == ("table", "segmentation")


def test_what_is_no_image_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(UserError, match="holds no image and no volume; give a folder that does"):
        images_below(tmp_path)
    picture(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("")
    with caplog.at_level(logging.WARNING, "acnorm"):
        assert len(images_below(tmp_path)) == 1
    assert "left out 1 that are no images (notes.txt)" in caplog.text


def test_the_voxels_beside_a_header_are_not_told_as_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for name in ("small/a", "large/b"):
        (tmp_path / name).parent.mkdir()
        sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkInt16), str(tmp_path / f"{name}.mhd"))
    with caplog.at_level(logging.WARNING, "acnorm"):
        assert len(images_below(tmp_path)) == 2
    assert caplog.messages == []
    assert read_with_or_without_labels(tmp_path).notes == ()
