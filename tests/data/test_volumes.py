"""Volumes and label maps: one orientation for all kinds of files, the same geometry back, and one line for bad ones."""

from __future__ import annotations

import gzip
import locale
import logging
import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel import orientations
from PIL import Image

from acnorm.data.case import Case
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_case_volume, read_labelled, read_volume, write_mask

SHAPE, SPACING, ORIGIN = (5, 6, 7), (0.5, 1.5, 4.0), (10.0, -20.0, 30.0)
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd")
SUFFIXES = (".nii", ".nii.gz", *ITK_SUFFIXES)


def values_of(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def affine_of(codes: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """An affine with axes as in `codes`, whose RAS form has `SPACING` and `ORIGIN`."""
    canonical = np.diag([*SPACING, 1.0])
    canonical[:3, 3] = ORIGIN
    to_codes = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(tuple(codes)))
    return canonical @ orientations.inv_ornt_aff(to_codes, shape)


def save(path: Path, values: np.ndarray, codes: str = "RAS") -> Path:
    """Write values, given in RAS, with the axes of `codes`, as NIfTI or by SimpleITK."""
    turn = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(tuple(codes)))
    turned, affine = orientations.apply_orientation(values, turn), affine_of(codes, values.shape)
    if path.name.endswith(ITK_SUFFIXES):
        image = sitk.GetImageFromArray(np.ascontiguousarray(turned.transpose(2, 1, 0)))
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        spacing = np.sqrt((lps[:3, :3] ** 2).sum(0))
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).flatten().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        sitk.WriteImage(image, str(path))
    else:
        nibabel.Nifti1Image(turned, affine).to_filename(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAL"])
def test_every_kind_of_file_and_orientation_is_read_alike(tmp_path: Path, suffix: str, codes: str):
    volume = read_volume(save(tmp_path / f"heart{suffix}", values_of(), codes))
    assert volume.values.dtype == np.float32
    np.testing.assert_array_equal(volume.values[0], values_of())
    assert volume.spacing == pytest.approx(SPACING, abs=1e-5)
    np.testing.assert_allclose(volume.affine, affine_of("RAS"), atol=1e-4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_a_mask_is_written_on_the_grid_of_its_image(tmp_path: Path, suffix: str, codes: str):
    like = save(tmp_path / f"heart{suffix}", values_of(), codes)
    mask = (values_of() % 4).astype(np.uint8)
    write_mask(mask, like, out := tmp_path / f"found{suffix}")
    np.testing.assert_array_equal(read_volume(out).values[0], mask)
    if suffix.startswith(".nii"):
        image, found = nibabel.load(like), nibabel.load(out)
        assert found.get_data_dtype() == np.uint8
        assert found.shape == image.shape
        for name in ("pixdim", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
            np.testing.assert_array_equal(found.header[name], image.header[name])
    else:
        image, found = sitk.ReadImage(str(like)), sitk.ReadImage(str(out))
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(found, name)() == pytest.approx(getattr(image, name)())


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1.0), ("unknown", 1.0), ("meter", 1000.0), ("micron", 0.001)])
def test_sizes_of_nifti_are_in_the_unit_of_its_header(tmp_path: Path, unit: str, scale: float):
    image = nibabel.Nifti1Image(values_of(), affine_of("LPS"))
    image.header.set_xyzt_units(unit, "sec")
    image.to_filename(tmp_path / "heart.nii")
    volume = read_volume(tmp_path / "heart.nii")
    assert volume.spacing == pytest.approx([scale * size for size in SPACING], rel=1e-5)
    np.testing.assert_allclose(volume.affine[:3], scale * affine_of("RAS")[:3], rtol=1e-5, atol=1e-4 * scale)
    assert volume.spacing == pytest.approx(sitk.ReadImage(str(tmp_path / "heart.nii")).GetSpacing(), rel=1e-5)
    mask = (values_of() % 4).astype(np.uint8)
    write_mask(mask, tmp_path / "heart.nii", tmp_path / "found.nii")
    found = nibabel.load(tmp_path / "found.nii")
    assert found.header["xyzt_units"] == image.header["xyzt_units"]
    np.testing.assert_array_equal(found.affine, nibabel.load(tmp_path / "heart.nii").affine)


@pytest.mark.parametrize("further", [(1,), (1, 1)])
def test_one_frame_is_a_volume(tmp_path: Path, further: tuple[int, ...]):
    image = nibabel.Nifti1Image(values_of().reshape(*SHAPE, *further), affine_of("RAS"))
    image.to_filename(tmp_path / "heart.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "heart.nii.gz").values[0], values_of())
    mask = (values_of() % 4).astype(np.uint8)
    write_mask(mask, tmp_path / "heart.nii.gz", tmp_path / "found.nii.gz")
    assert nibabel.load(tmp_path / "found.nii.gz").shape == SHAPE
    np.testing.assert_array_equal(read_volume(tmp_path / "found.nii.gz").values[0], mask)


@given(angles=st.tuples(*[st.floats(-0.6, 0.6)] * 3), codes=st.sampled_from(["RAS", "LPS", "ASR"]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_oblique_volumes_come_back_too(tmp_path: Path, angles: tuple[float, ...], codes: str):
    affine = affine_of(codes)
    for axis, angle in enumerate(angles):
        turn = np.eye(4)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
        )  # fmt: skip
        affine = turn @ affine
    like = tmp_path / "heart.nii"
    nibabel.Nifti1Image(values_of(), affine).to_filename(like)
    volume = read_volume(like)
    write_mask((volume.values[0] % 3).astype(np.uint8), like, tmp_path / "found.nii")
    found = nibabel.load(tmp_path / "found.nii")
    np.testing.assert_array_equal(np.asarray(found.dataobj), values_of() % 3)
    np.testing.assert_array_equal(found.affine, nibabel.load(like).affine)
    at = np.array([1.0, 2.0, 3.0, 1.0])
    place = np.argwhere(volume.values[0] == values_of()[1, 2, 3])[0]
    np.testing.assert_allclose(volume.affine @ [*place, 1.0], nibabel.load(like).affine @ at, atol=1e-4)


def dicom_series(folder: Path, places: list[float], *, uid: str = "1.2.3") -> Path:
    folder.mkdir(exist_ok=True)
    own = locale.setlocale(locale.LC_ALL)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for at, place in enumerate(places):
        image = sitk.GetImageFromArray(np.full((1, 6, 5), at * 10 - 1000, np.int16))
        for key, value in {
            "0008|0060": "CT", "0020|000e": uid, "0020|000d": "1.2.9", "0008|0018": f"{uid}.{at}", "0020|0013": str(at),
            "0020|0032": f"0\\0\\{place}", "0020|0037": "1\\0\\0\\0\\1\\0", "0028|0030": "1\\1", "0018|0050": "2",
        }.items():  # fmt: skip
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{at}.dcm"))
        writer.Execute(image)
    locale.setlocale(locale.LC_ALL, own)  # the writer leaves it at C, where text is ASCII
    return folder


def test_a_dicom_series_is_a_volume_in_hounsfield_units(tmp_path: Path):
    volume = read_volume(dicom_series(tmp_path / "ct", [0, 2, 4, 6]))
    assert volume.values.shape == (1, 5, 6, 4)
    np.testing.assert_array_equal(volume.values[0, 0, 0], [-1000, -990, -980, -970])
    assert volume.spacing == (1, 1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: dicom_series(folder, [0, 2, 6, 8]), r"a slice is missing or double after 1\.2\.3-1\.dcm \(4 mm to the next, 2 mm elsewhere\); export the whole series again"),
        (lambda folder: dicom_series(dicom_series(folder, [0, 2]), [0, 2], uid="1.2.4"), r"holds 2 DICOM series; give each series a folder of its own"),
        (lambda folder: folder.mkdir(), r"holds no DICOM series; give the folder that holds the files of one series"),
    ],
    ids=["missing slice", "two series", "none"],
)  # fmt: skip
def test_folders_that_are_no_whole_series_are_refused(tmp_path: Path, make: Callable[[Path], object], message: str):
    make(tmp_path / "ct")
    with pytest.raises(DataError, match=rf"ct: {message}$"):
        read_volume(tmp_path / "ct")


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def four_axes(path: Path) -> Path:
    nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.int16), np.eye(4)).to_filename(path)
    return path


def with_nan(path: Path) -> Path:
    values = np.zeros(SHAPE, np.float32)
    values[0, 0, :2] = np.nan, np.inf
    return save(path, values)


def with_header(path: Path, **values: object) -> Path:
    """A NIfTI as other programs write it, whose header nibabel has not mended."""
    save(path, values_of())
    content = path.read_bytes()
    header = nibabel.Nifti1Header(content[:348], check=False)
    for name, value in values.items():
        header[name][1:4] = value
    header["sform_code"] = "pixdim" not in values
    path.write_bytes(header.binaryblock + content[348:])
    return path


def spaced(path: Path, spacing: str) -> Path:
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkUInt8), str(path))
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 1 1", f"ElementSpacing = {spacing}".encode()))
    return path


def of_bytes(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.nii.gz", lambda path: cut(save(path, np.random.default_rng(0).integers(0, 99, (20, 20, 20), np.int16))), r"is cut short or damaged \(.+\); copy or export it again"),
        ("a.nii", lambda path: cut(save(path, values_of((20, 20, 20)))), r"is cut short or damaged \(.+\); copy or export it again"),
        ("a.nii.gz", of_bytes(b""), r"is no NIfTI file that can be read \(.+\); copy or export it again"),
        ("a.nii", of_bytes(b"\x89PNG" + bytes(500)), r"is no NIfTI file that can be read \(.+\); copy or export it again"),
        ("a.nii.gz", of_bytes(gzip.compress(b"hello")), r"is no NIfTI file that can be read \(.+\); copy or export it again"),
        ("a.nii", four_axes, r"has 4 axes, three are needed; give each frame a file of its own"),
        ("a.nii", with_nan, r"2 voxels are NaN or infinite; export it again, or set them to the background"),
        ("a.mha", with_nan, r"2 voxels are NaN or infinite; export it again, or set them to the background"),
        ("a.nii", lambda path: with_header(path, pixdim=(2, 0, 3)), r"its header gives voxels of 2 × 0 × 3 mm; write their true size into it \(pixdim\)"),
        ("a.nii", lambda path: with_header(path, pixdim=(2, np.nan, 3)), r"its header gives voxels of 2 × nan × 3 mm; write their true size into it \(pixdim\)"),
        ("a.nii", lambda path: with_header(path, srow_y=(0, 0, 0)), r"its header does not tell where voxels lie \(affine of NaN or zeros\); write a true affine"),
        ("a.nii", lambda path: with_header(path, srow_y=(np.nan, 0, 0)), r"its header does not tell where voxels lie \(affine of NaN or zeros\); write a true affine"),
        ("a.mha", lambda path: spaced(path, "2 0 3"), r"its header gives voxels no size or no direction \(zeros or NaN\); write their true spacing and direction into it"),
        ("a.nii", lambda path: nibabel.Nifti1Image(np.zeros((0, 4, 5), np.int16), np.eye(4)).to_filename(path), r"holds no voxel \(0 × 4 × 5\); copy or export it again"),
        ("a.nii", lambda path: nibabel.Nifti1Image(np.ones(SHAPE, np.complex64), np.eye(4)).to_filename(path), r"holds values of type complex64, one real number a voxel is needed; save it as such"),
        ("a.nii", lambda path: nibabel.Nifti1Image(np.zeros(SHAPE, [(name, "u1") for name in "RGB"]), np.eye(4)).to_filename(path), r"holds colours, one real number a voxel is needed; save it as such"),
        ("a.nrrd", lambda path: sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkComplexFloat32), str(path)), r"holds complex values, one real number a voxel is needed; save it as such"),
        ("a.nii", lambda path: nibabel.Nifti1Image(np.full((2, 2, 2), 1e39), np.eye(4)).to_filename(path), r"8 voxels are NaN or infinite; export it again, or set them to the background"),
        ("a.mhd", lambda path: (sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkInt16), str(path)), path.with_suffix(".raw").unlink()), r"its voxels are not there \(a\.raw\); put that file beside it"),
        ("a.mha", of_bytes(b"nothing"), r"cannot be read; check the path, and the file beside it in an \.mhd"),
        ("a.nrrd", lambda path: path, r"no such file; check the path, and the file beside it in an \.mhd"),
        ("a.nii", lambda path: path, r"no such file; check the path"),
        ("a.mha", lambda path: sitk.WriteImage(sitk.Image(4, 4, sitk.sitkUInt8), str(path)), r"has 2 axes and 1 values a voxel, three axes and one value are needed; give one volume a file"),
    ],
)  # fmt: skip
def test_bad_volumes_are_told_in_one_line(tmp_path: Path, name: str, make: Callable[[Path], object], message: str):
    make(tmp_path / name)
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path / name))}: {message}$"):
        read_volume(tmp_path / name)


def test_channels_are_stacked_and_must_lie_on_one_grid(tmp_path: Path):
    first, second = save(tmp_path / "a.nii", values_of()), save(tmp_path / "b.nii", values_of() * 2, "LPS")
    case = Case("a", first, 0, channels=(second,))
    np.testing.assert_array_equal(read_case_volume(case).values, [values_of(), values_of() * 2])
    save(second, values_of((5, 6, 8)))
    with pytest.raises(DataError, match=r"b\.nii: is of 5 × 6 × 8 voxels, a\.nii of 5 × 6 × 7; resample it"):
        read_case_volume(case)


def labelled(tmp_path: Path, mask: np.ndarray, classes: int = 3, suffix: str = ".nii") -> np.ndarray:
    image = save(tmp_path / f"a{suffix}", values_of())
    return read_labelled(Case("a", image, 0, mask=save(tmp_path / f"m{suffix}", mask)), classes).mask


def test_labels_are_whole_numbers_of_classes(tmp_path: Path):
    mask = (values_of() % 3).astype(np.float32)
    found = labelled(tmp_path, mask)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(labelled(tmp_path, (values_of() % 2 * 255).astype(np.uint8), 2), values_of() % 2)


@pytest.mark.parametrize(
    ("mask", "classes", "message"),
    [
        (values_of() % 4, 3, r"m\.nii: holds the label 3, the classes are 0 to 2; correct it, or name the class"),
        (values_of() % 2 * 255, 3, r"m\.nii: holds the label 255, the classes are 0 to 2; correct it, or name the class"),
        ((values_of() % 2 / 2).astype(np.float32), 3, r"m\.nii: holds fractions, negative values or NaN, which are no labels"),
        (-(values_of() % 2), 3, r"m\.nii: holds fractions, negative values or NaN, which are no labels"),
        (np.full(SHAPE, np.nan, np.float32), 3, r"m\.nii: holds fractions, negative values or NaN, which are no labels"),
        (values_of((5, 6, 6)) % 2, 3, r"m\.nii: is of 5 × 6 × 6 voxels, a\.nii of 5 × 6 × 7; resample it to the image's grid"),
    ],
)  # fmt: skip
def test_what_is_no_label_is_refused(tmp_path: Path, mask: np.ndarray, classes: int, message: str):
    with pytest.raises(DataError, match=message):
        labelled(tmp_path, mask, classes)


def test_a_label_map_that_lies_elsewhere_is_refused(tmp_path: Path):
    image = save(tmp_path / "a.nii", values_of())
    nibabel.Nifti1Image(values_of() % 2, np.eye(4)).to_filename(tmp_path / "m.nii")
    with pytest.raises(DataError, match=r"m\.nii: lies elsewhere than a\.nii \(their affines differ\); resample it"):
        read_labelled(Case("a", image, 0, mask=tmp_path / "m.nii"), 2)
    with pytest.raises(DataError, match=r"a\.nii: has no label map; add one, or leave the case out"):
        read_labelled(Case("a", image, 0), 2)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tif", ".bmp"])
def test_label_maps_of_images_are_numbers_and_not_colours(tmp_path: Path, suffix: str):
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(tmp_path / "eye.png")
    mask = (np.arange(30).reshape(6, 5) % 2 * 255).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / f"mask{suffix}")
    case = Case("a", tmp_path / "eye.png", 0, mask=tmp_path / f"mask{suffix}", within=tmp_path / f"mask{suffix}")
    found = read_labelled(case, 2)
    np.testing.assert_array_equal(found.mask, mask // 255)
    np.testing.assert_array_equal(found.within, mask > 0)
    assert found.image.spacing is None
    write_mask(found.mask, case.image, tmp_path / "found.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "found.png")), found.mask)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.stack((np.zeros((6, 5)), np.ones((6, 5)), np.ones((6, 5))), -1).astype(np.uint8), "shows labels as colours; save it as PNG with one number a class"),
        (b"", "is no label map of a known kind; save it as PNG with one number a class"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "is (no label map of a known kind|cut short or damaged); .+"),
        (None, "no such file; check the path"),
    ],
)  # fmt: skip
def test_bad_label_images_are_told_in_one_line(tmp_path: Path, content: object, message: str):
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(tmp_path / "eye.png")
    if isinstance(content, np.ndarray):
        Image.fromarray(content).save(tmp_path / "mask.png")
    elif content is not None:
        (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"mask\.png: {message}$"):
        read_labelled(Case("a", tmp_path / "eye.png", 0, mask=tmp_path / "mask.png"), 2)


@pytest.mark.parametrize(
    ("like", "out", "message"),
    [
        (
            "a.nii",
            "b.png",
            r"b\.png: cannot be written in the geometry of a\.nii; give a name that ends as a\.nii does",
        ),
        (
            "a.nii",
            "b.mha",
            r"b\.mha: cannot be written in the geometry of a\.nii; give a name that ends as a\.nii does",
        ),
        ("eye.png", "b.jpg", r"b\.jpg: label maps of images are written as PNG; give a name that ends in \.png"),
    ],
)
def test_masks_are_written_as_their_images_are(tmp_path: Path, like: str, out: str, message: str):
    save(tmp_path / "a.nii", values_of())
    with pytest.raises(DataError, match=message):
        write_mask(np.zeros(SHAPE, np.uint8), tmp_path / like, tmp_path / out)
    assert not (tmp_path / out).exists()


def test_the_libraries_add_no_lines_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "series").mkdir()
    with pytest.raises(DataError, match=r"holds no DICOM series"):
        read_volume(tmp_path / "series")
    assert capfd.readouterr() == ("", "")
    file = tmp_path / "flat.nii"
    image = nibabel.Nifti1Image(np.ones((4, 4, 4), np.int16), None)
    image.header["pixdim"][1:4] = -1
    image.to_filename(file)
    told: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = told.append  # type: ignore[method-assign]
    nibabel.imageglobals.logger.addHandler(handler)
    try:
        assert read_volume(file).spacing == (1.0, 1.0, 1.0)
    finally:
        nibabel.imageglobals.logger.removeHandler(handler)
    assert told == []
