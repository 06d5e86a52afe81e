"""`check` on label maps and volumes: a corpus of broken data sets, each told in one line with a remedy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest

from acnorm.cli.check import main
from acnorm.data.check import check
from volume_files import nifti

SHAPE = (6, 5, 4)
LABELS = {"background": 0, "liver": 1, "tumour": 2}


def image(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, shape)


def mask(shape: tuple[int, ...] = SHAPE, highest: int = 2) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape) % (highest + 1)


def livers(root: Path) -> Path:
    """A sound data set in nnU-Net's layout: three training and two test cases."""
    about = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz"}
    root.mkdir(parents=True)
    (root / "dataset.json").write_text(json.dumps(about))
    for part, names in (("Tr", "abc"), ("Ts", "de")):
        (root / f"images{part}").mkdir()
        (root / f"labels{part}").mkdir()
        for name in names:
            nifti(root / f"images{part}" / f"{name}_0000.nii.gz", image(ord(name)))
            nifti(root / f"labels{part}" / f"{name}.nii.gz", mask())
    return root


def test_a_sound_data_set_is_counted_by_the_cases_that_hold_each_class(tmp_path: Path, capsys):
    data = livers(tmp_path / "livers")
    nifti(data / "labelsTr" / "a.nii.gz", mask(highest=1))
    report = check(data)
    assert (report.task, report.fatal, report.problems) == ("segmentation", False, ())
    assert report.counts == {
        "train": {"background": 3, "liver": 3, "tumour": 2},
        "test": {"background": 2, "liver": 2, "tumour": 2},
    }
    assert (report.sizes, report.spacings, report.channels) == ({"6×5×4": 5}, {"1×1×2": 5}, {"1": 5})
    assert report.to_dict()["spacings"] == {"1×1×2": 5}
    assert main([str(data)]) == 0
    assert capsys.readouterr().out == (
        f"{data}: 5 cases, format nnunet\n"
        "patients: not given; size: 6×5×4; channels: 1; spacing in mm: 1×1×2\n"
        "\n"
        "cases with  train  test  all\n"
        "background      3     2    5\n"
        "liver           3     2    5\n"
        "tumour          2     2    4\n"
        "\n"
        "No problem found.\n"
    )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def elsewhere(path: Path) -> None:
    nibabel.Nifti1Image(mask().astype(np.int16), np.diag([1.0, 1.0, 9.0, 1.0])).to_filename(path)


def save_float(path: Path, values: np.ndarray) -> None:
    nibabel.Nifti1Image(values.astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0])).to_filename(path)


def with_nan(path: Path) -> None:
    values = image(0).astype(float)
    values[0, 0, 0] = np.nan
    save_float(path, values)


def empty(data: Path) -> None:
    for path in data.glob("labels*/*"):
        nifti(path, np.zeros(SHAPE))


def one_patient_in_two_splits(data: Path) -> None:
    for part, old, new in (("Tr", "a", "patient1_frame01"), ("Ts", "d", "patient1_frame02")):
        (data / f"images{part}" / f"{old}_0000.nii.gz").rename(data / f"images{part}" / f"{new}_0000.nii.gz")
        (data / f"labels{part}" / f"{old}.nii.gz").rename(data / f"labels{part}" / f"{new}.nii.gz")


def without_size(path: Path) -> None:
    """A header that nibabel has not mended, as other programs write it."""
    content = gzip.decompress(path.read_bytes())
    header = nibabel.Nifti1Header(content[:348], check=False)
    header["pixdim"][1:4], header["sform_code"] = 0, 0
    path.write_bytes(gzip.compress(header.binaryblock + content[348:]))


A, LABEL = "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"
FATAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated gzip": (lambda data: cut(data / A), f"{A}: is "),
    "zero bytes": (lambda data: (data / A).write_bytes(b""), f"{A}: is no NIfTI file that can be read ("),
    "wrong extension": (lambda data: PIL.Image.new("L", (5, 5)).save(data / A, "PNG"), f"{A}: is no NIfTI file that can be read ("),
    "path that is a folder": (lambda data: ((data / A).unlink(), (data / A).mkdir()), f"{A}: holds no DICOM series; give the folder that"),
    "four axes": (lambda data: nifti(data / A, np.zeros((*SHAPE, 2))), f"{A}: has 4 axes, three are needed; give each frame a file of its own"),
    "two axes": (lambda data: nifti(data / A, np.zeros(SHAPE[:2])), f"{A}: has 2 axes, three are needed; give a volume of three axes"),
    "NaN": (lambda data: with_nan(data / A), f"{A}: 1 voxels are NaN or infinite; export it again, or set them to the background"),
    "voxels of no size": (lambda data: without_size(data / A), f"{A}: its header gives voxels of 0 × 0 × 0 mm; write their true size into it (pixdim)"),
    "label out of range": (lambda data: nifti(data / LABEL, mask(highest=3)), f"{LABEL}: holds the label 3, the classes are 0 to 2; correct it, or name the class"),
    "negative label": (lambda data: nifti(data / LABEL, -mask()), f"{LABEL}: holds fractions, negative values or NaN, which are no labels; save whole numbers from 0"),
    "fractions": (lambda data: save_float(data / LABEL, mask() / 2), f"{LABEL}: holds fractions, negative values or NaN, which are no labels; save whole numbers from 0"),
    "shape mismatch": (lambda data: nifti(data / LABEL, mask((6, 5, 3))), f"{LABEL}: is of 6 × 5 × 3 voxels, a_0000.nii.gz of 6 × 5 × 4; resample it to the image's grid"),
    "affine mismatch": (lambda data: elsewhere(data / LABEL), f"{LABEL}: lies elsewhere than a_0000.nii.gz (their affines differ); resample it to the image's grid"),
    "missing label": (lambda data: (data / LABEL).unlink(), f"{LABEL}: no such file; add the label, or remove the case a"),
    "missing image": (lambda data: (data / A).unlink(), f"{LABEL}: a label without image; add the image, or remove the label"),
    "empty masks everywhere": (empty, ": every label map is empty; check that these are the label maps you meant"),
    "class in no training case": (lambda data: [nifti(path, mask(highest=1)) for path in data.glob("labelsTr/*")], ": class 'tumour' has no case in train; add cases or remove the class"),
    "patient in two splits": (one_patient_in_two_splits, ": patient 'patient1' is in train and test; move all cases of the patient into one split"),
    "same volume in two splits": (lambda data: (data / "imagesTs/d_0000.nii.gz").write_bytes((data / A).read_bytes()), f"{A}: the same pixels as "),
    "no cases": (lambda data: [path.unlink() for path in (*data.glob("images*/*"), *data.glob("labels*/*"))], ": holds no case; check that this is the folder or file you meant"),
    "labels with a gap": (lambda data: (data / "dataset.json").write_text((data / "dataset.json").read_text().replace('"tumour": 2', '"tumour": 3')), "dataset.json: has the labels 0, 1, 3; number the labels 0 to K"),
    "damaged table": (lambda data: (data / "dataset.json").write_text("{"), "dataset.json: is no JSON ("),
}  # fmt: skip


@pytest.mark.parametrize("fault", FATAL)
def test_each_fatal_fault_is_one_line_with_file_and_remedy(tmp_path: Path, fault: str, capsys):
    data = livers(tmp_path / "livers")
    spoil, message = FATAL[fault]
    spoil(data)
    assert main([str(data)]) == 2
    told = [line.strip() for line in capsys.readouterr().out.splitlines() if message in line]
    assert len(told) == 1, told
    assert told[0].startswith(str(data))
    assert "; " in told[0]


WARNINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one empty mask": (lambda data: nifti(data / LABEL, np.zeros(SHAPE)), f"{LABEL}: the label map is empty; look whether that is right"),
    "class missing from test": (lambda data: [nifti(path, mask(highest=1)) for path in data.glob("labelsTs/*")], ": class 'tumour' has no case in test; add cases, or read its figures with that in mind"),
    "one slice": (lambda data: (nifti(data / A, image(0, (6, 5, 1))), nifti(data / LABEL, mask((6, 5, 1)))), f"{A}: the volume has one slice; look whether that is right"),
    "one value": (lambda data: nifti(data / A, np.zeros(SHAPE)), f"{A}: every pixel has the same value; look at it, export it again"),
    "same volume twice": (lambda data: (data / "imagesTr/b_0000.nii.gz").write_bytes((data / A).read_bytes()), "; keep one of them"),
    "unlabelled test case": (lambda data: (data / "labelsTs/d.nii.gz").unlink(), "imagesTs: 1 case has no label (first d) and is left out; add their labels to test on them"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WARNINGS)
def test_each_warning_is_one_line_and_the_data_set_may_be_used(tmp_path: Path, fault: str, capsys):
    data = livers(tmp_path / "livers")
    spoil, message = WARNINGS[fault]
    spoil(data)
    assert main([str(data)]) == 0
    told = capsys.readouterr().out
    assert "Fatal" not in told
    assert len([line for line in told.splitlines() if message in line]) == 1


def test_images_among_volumes_are_fatal_and_grey_among_colour_is_told(tmp_path: Path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for at in range(3):
            nifti(tmp_path / folder / f"{at}.nii", image(at) if folder == "images" else mask(highest=1))
    PIL.Image.fromarray(image(9, (6, 5)).astype(np.uint8)).save(tmp_path / "images/flat.png")
    PIL.Image.fromarray(mask((6, 5), 1).astype(np.uint8)).save(tmp_path / "masks/flat.png")
    report = check(tmp_path)
    assert [problem.line() for problem in report.problems] == [
        f"{tmp_path}/images/flat.png: has 2 axes, most have 3; keep images and volumes in data sets of their own"
    ]
    PIL.Image.fromarray(image(9, (6, 5, 3)).astype(np.uint8)).save(tmp_path / "images/flat.png")
    assert "images differ in channels: 3 of 1, 1 of 3" in check(tmp_path).notes


def test_colour_among_greys_and_colours_of_printing_are_named(tmp_path: Path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for at in range(3):
            values = image(at, (6, 5)) if folder == "images" else mask((6, 5), 1)
            PIL.Image.fromarray(values.astype(np.uint8)).save(tmp_path / folder / f"{at}.png")
    photograph = PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8))
    photograph.save(tmp_path / "images/1.png")
    odd = f"{tmp_path}/images/1.png: has 3 channels, most have 1; convert it, or keep it in a data set of its own"
    assert check(tmp_path).lines() == [odd]
    (tmp_path / "images/2.png").unlink()
    photograph.convert("CMYK").save(tmp_path / "images/2.jpg")
    (printed,) = [problem for problem in check(tmp_path).problems if not problem.fatal]
    assert printed.line() == (
        f"{tmp_path}/images/2.jpg: is CMYK, made for printing, and read as RGB; look whether the colours are right"
    )


def test_names_with_blanks_and_letters_of_all_kinds(tmp_path: Path):
    data = livers(tmp_path / "Leber – 肝 x")
    for old, new in ((A, "Ä b_0000.nii.gz"), (LABEL, "Ä b.nii.gz")):
        (data / old).rename((data / old).with_name(new))
    assert check(data).problems == ()


def test_spacings_that_differ_are_noted(tmp_path: Path):
    data = livers(tmp_path / "livers")
    for path in (data / A, data / LABEL):
        values = np.asarray(nibabel.load(path).dataobj)
        nibabel.Nifti1Image(values, np.diag([2.0, 1.0, 2.0, 1.0])).to_filename(path)
    assert "volumes differ in spacing (mm): 4 of 1×1×2, 1 of 2×1×2" in check(data).notes
