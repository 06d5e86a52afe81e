from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnorm.data.formats import read_cases
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled

COLOUR = Image.fromarray(np.zeros((6, 5, 3), np.uint8))
VESSELS = Image.fromarray((np.arange(30).reshape(6, 5) % 2 * 255).astype(np.uint8))
RELEASES = {
    "chase": {
        "Image_01L.jpg": COLOUR, "Image_01L_1stHO.png": VESSELS, "Image_01L_2ndHO.png": VESSELS,
        "Image_01R.jpg": COLOUR, "Image_01R_1stHO.png": VESSELS, "Image_01R_2ndHO.png": VESSELS,
    },
    "stare": {
        "stare-images/im0001.ppm": COLOUR, "labels-ah/im0001.ah.ppm": VESSELS.convert("RGB"), "labels-vk/im0001.vk.ppm": VESSELS,
        "stare-images/im0002.ppm": COLOUR, "labels-ah/im0002.ah.ppm": VESSELS, "labels-vk/im0002.vk.ppm": VESSELS,
    },
    "hrf": {
        "images/01_dr.JPG": COLOUR, "manual1/01_dr.tif": VESSELS, "mask/01_dr_mask.tif": VESSELS.convert("RGB"),
        "images/01_h.jpg": COLOUR, "manual1/01_h.tif": VESSELS, "mask/01_h_mask.tif": VESSELS,
    },
}  # fmt: skip
CASES = {
    "chase": [("Image_01L", "Image_01", True, False), ("Image_01R", "Image_01", True, False)],
    "stare": [("im0001", None, True, False), ("im0002", None, True, False)],
    "hrf": [("01_dr", None, False, True), ("01_h", None, False, True)],
}


def release(root: Path, name: str) -> Path:
    for place, image in RELEASES[name].items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        kind = {".jpg": "JPEG", ".tif": "TIFF", ".png": "PNG", ".ppm": "PPM"}[Path(place).suffix.lower()]
        image.save(root / place, kind)
    return root


@pytest.mark.parametrize("name", RELEASES)
def test_images_have_their_vessels_second_observer_and_field_of_view(tmp_path: Path, name: str):
    collection = read_cases(release(tmp_path, name))
    assert (collection.format, collection.classes) == (name, ("background", "vessel"))
    found = [(case.id, case.patient, case.other is not None, case.within is not None) for case in collection.cases]
    assert found == CASES[name]
    for case in collection.cases:
        read = read_labelled(case, 2)
        assert read.mask.sum() == 15
        assert read.image.values.shape == (3, 6, 5)
        assert read.within is None or read.within.sum() == 15


@pytest.mark.parametrize(
    ("name", "file"),
    [("chase", "Image_01L_1stHO.png"), ("stare", "labels-ah/im0002.ah.ppm"), ("hrf", "mask/01_dr_mask.tif")],
)
def test_what_lacks_is_named(tmp_path: Path, name: str, file: str):
    (release(tmp_path, name) / file).unlink()
    with pytest.raises(DataError, match=rf"{file}: no such file; unpack the release again$"):
        read_cases(tmp_path)


def test_the_second_observer_may_lack(tmp_path: Path):
    (release(tmp_path, "stare") / "labels-vk/im0001.vk.ppm").unlink()
    assert [case.other is not None for case in read_cases(tmp_path).cases] == [False, True]


def test_files_of_stare_that_are_still_packed_are_named(tmp_path: Path):
    for file in list(release(tmp_path, "stare").rglob("*.ppm")):
        file.rename(f"{file}.gz")
    with pytest.raises(DataError) as refused:
        read_cases(tmp_path)
    assert [problem.line() for problem in refused.value.problems] == [
        f"{tmp_path}/{folder}: 2 files are packed (first {first}); unpack them: gunzip {tmp_path}/{folder}/*.ppm.gz"
        for folder, first in zip(
            ("stare-images", "labels-ah", "labels-vk"),
            ("im0001.ppm.gz", "im0001.ah.ppm.gz", "im0001.vk.ppm.gz"),
            strict=True,
        )
    ]
