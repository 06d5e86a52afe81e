"""Label maps ready to train on: intensities, splits, patches and whole cases."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from acnorm.data.patches import PATCH_AUGMENTATIONS
from acnorm.data.segmentation import load_segmentation
from acnorm.errors import UserError
from volume_files import nifti


def volumes(root: Path, *, modality: str = "CT", cases: int = 12) -> Path:
    """Volumes of different intensities, in nnU-Net's layout, without given splits."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    about = {"channel_names": {"0": modality}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii"}
    (root / "dataset.json").write_text(json.dumps(about))
    for at in range(cases):
        values = np.random.default_rng(at).normal(50 + 10 * at, 20, (10, 9, 8))
        mask = np.zeros((10, 9, 8))
        mask[2:6, 2:6, 2:6] = 1
        nifti(root / "imagesTr" / f"c{at:02}_0000.nii", values + 100 * mask)
        nifti(root / "labelsTr" / f"c{at:02}.nii", mask)
    return root


def photographs(root: Path, cases: int = 10) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for at in range(cases):
        pixels = np.random.default_rng(at).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{at}.png")
        Image.fromarray((pixels[..., 0] > 128).astype(np.uint8)).save(root / "masks" / f"{at}.png")
    return root


def test_photographs_are_normalised_by_the_training_images(tmp_path: Path):
    found = load_segmentation(photographs(tmp_path), patch_size=8)
    pixels = np.concatenate([
        np.asarray(Image.open(case.image)).reshape(-1, 3) / 255 for case in found.splits.train
    ])  # fmt: skip
    np.testing.assert_allclose(found.preprocessing.mean, pixels.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.preprocessing.deviation, pixels.std(0), atol=1e-5)
    assert (found.preprocessing.low, found.dimensions, found.preprocessing.patch) == (None, 2, (8, 8))


def test_ct_is_clipped_and_normalised_by_the_labelled_voxels_of_the_training_cases(tmp_path: Path):
    found = load_segmentation(volumes(tmp_path), patch_size=4)
    inside = np.concatenate([
        np.asarray(found.train.read(case).mask.numpy() * 0 + _values(case.image))[_values(case.mask) > 0]
        for case in found.splits.train
    ])  # fmt: skip
    low, high = np.percentile(inside, (0.5, 99.5))
    assert found.preprocessing.low == pytest.approx((low,))
    assert found.preprocessing.high == pytest.approx((high,))
    clipped = np.clip(inside, low, high)
    assert found.preprocessing.mean == pytest.approx((clipped.mean(),), rel=1e-4)
    assert found.preprocessing.deviation == pytest.approx((clipped.std(),), rel=1e-3)
    assert found.dimensions == 3


def _values(path: Path) -> np.ndarray:
    import nibabel

    return np.asarray(nibabel.load(path).dataobj)


def test_other_volumes_are_normalised_one_by_one(tmp_path: Path):
    found = load_segmentation(volumes(tmp_path, modality="MRI"), patch_size=4, slices=True)
    assert found.preprocessing.mean is None
    for index in range(len(found.val.cases)):
        image = found.val.labelled(index).image
        assert float(image.mean()) == pytest.approx(0, abs=1e-5)
        assert float(image.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_volumes_that_do_not_say_what_they_are_are_what_the_task_says(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    told = load_segmentation(volumes(tmp_path / "told"), patch_size=4, modality="MRI")
    assert told.preprocessing.mean is not None  # the data say CT
    assert "taken as" not in caplog.text
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for name, folder in (("images", "imagesTr"), ("masks", "labelsTr")):
        (pairs / name).mkdir()
        for file in (tmp_path / "told" / folder).iterdir():
            file.rename(pairs / name / file.name.replace("_0000", ""))
    with caplog.at_level("INFO", logger="acnorm"):
        found = load_segmentation(pairs, patch_size=4, modality="CT")
    assert found.preprocessing == told.preprocessing
    assert "pairs: the data do not say what the volumes are; taken as CT, as the task says" in caplog.text
    assert load_segmentation(pairs, patch_size=4).preprocessing.mean is None


def test_test_cases_are_not_looked_at_for_the_intensities(tmp_path: Path):
    before = load_segmentation(volumes(tmp_path), patch_size=4)
    for case in (*before.splits.test, *before.splits.val):
        nifti(case.image, _values(case.image) * 9)
    assert load_segmentation(tmp_path, patch_size=4).preprocessing == before.preprocessing


def test_patches_and_whole_cases_come_out_prepared(tmp_path: Path):
    found = load_segmentation(
        volumes(tmp_path), patch_size=4, slices=True, per_case=3, augment=PATCH_AUGMENTATIONS["standard"], seed=3
    )
    assert len(found.train) == 3 * len(found.splits.train)
    item = found.train[0, 4]
    assert (item["image"].shape, item["mask"].shape, int(item["index"])) == ((1, 4, 4), (4, 4), 1)
    whole = found.test.labelled(0)
    assert (whole.image.shape, whole.mask.shape, whole.within) == ((1, 10, 9, 8), (10, 9, 8), None)
    assert int(found.test[0, 1]["index"]) == 1
    assert {case.split for case in found.splits.test} == {"test"}


def test_patches_have_a_usual_size(tmp_path: Path):
    assert load_segmentation(photographs(tmp_path / "a")).preprocessing.patch == (128, 128)
    assert load_segmentation(volumes(tmp_path / "b")).preprocessing.patch == (64, 64, 64)
    assert load_segmentation(tmp_path / "b", slices=True).preprocessing.patch == (128, 128)


def test_data_without_label_maps_are_refused(tmp_path: Path):
    for label in ("0", "1"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / label / "a.png")
    with pytest.raises(
        UserError, match=r"holds no label maps; give data in nnU-Net's layout, or images beside masks\.$"
    ):
        load_segmentation(tmp_path, patch_size=4, slices=True)


def test_training_cases_that_differ_are_refused(tmp_path: Path):
    photographs(tmp_path)
    for path in (tmp_path / "images").iterdir():
        if int(path.stem) % 2:
            Image.open(path).convert("L").save(path)
    with pytest.raises(UserError, match=r"/1\.png: has 1 channel, most have 3; .* \(and 4 more: run `acnorm check`"):
        load_segmentation(tmp_path, patch_size=4, slices=True)


def test_volumes_without_a_labelled_voxel_are_refused(tmp_path: Path):
    for path in (volumes(tmp_path) / "labelsTr").iterdir():
        nifti(path, np.zeros((10, 9, 8)))
    with pytest.raises(UserError, match=r": no training case of the class 'liver'; "):
        load_segmentation(tmp_path, patch_size=4, slices=True)
    with pytest.raises(UserError, match=r"^no training case has a labelled voxel; see acnorm check\.$"):
        load_segmentation(tmp_path, patch_size=4, slices=True, skip_bad=True)


def test_volumes_are_resampled_for_the_network_and_measured_as_they_are(tmp_path: Path):
    volumes(tmp_path)  # 10 × 9 × 8 voxels of 1 × 1 × 2 mm
    found = load_segmentation(tmp_path, patch_size=8, spacing=(2.0,))
    assert found.preprocessing.spacing == (2.0, 2.0, 2.0)
    train, test = found.train.labelled(0), found.test.labelled(0)
    assert train.image.shape[1:] == train.mask.shape == (5, 4, 8)
    assert (test.image.shape[1:], test.mask.shape) == ((5, 4, 8), (10, 9, 8))
    assert set(train.mask.unique().tolist()) == {0, 1}
    whole = load_segmentation(tmp_path, patch_size=8)
    blocks = whole.test.labelled(0).image[0, :, :8].reshape(5, 2, 4, 2, 8).mean((1, 3))
    torch.testing.assert_close(test.image[0, :, :3], blocks[:, :3], atol=0.8, rtol=0)  # 9 rows make 4: nearly blocks


def test_slices_keep_their_distance(tmp_path: Path):
    volumes(tmp_path)
    found = load_segmentation(tmp_path, patch_size=8, slices=True, spacing=(2.0, 1.0, 5.0))
    assert found.preprocessing.spacing == (2.0, 1.0, 0.0)
    assert found.train.labelled(0).image.shape == (1, 5, 9, 8)


def test_the_median_spacing_changes_only_those_that_differ(tmp_path: Path):
    volumes(tmp_path)
    case = load_segmentation(tmp_path, patch_size=8).train.cases[0]
    for file in (case.image, case.mask):
        image = nibabel.load(file)
        nibabel.Nifti1Image(np.asarray(image.dataobj), np.diag([2.0, 1.0, 2.0, 1.0])).to_filename(file)
    found = load_segmentation(tmp_path, patch_size=8, spacing="median")
    assert found.preprocessing.spacing == (1.0, 1.0, 2.0)
    assert found.train.labelled(0).image.shape == (1, 20, 9, 8)
    assert found.train.labelled(1).image.shape == (1, 10, 9, 8)


def test_a_window_takes_the_place_of_the_percentiles(tmp_path: Path):
    found = load_segmentation(volumes(tmp_path), patch_size=8, window=(100.0, 200.0))
    assert (found.preprocessing.low, found.preprocessing.high) == ((100.0,), (200.0,))
    mean, deviation = found.preprocessing.mean[0], found.preprocessing.deviation[0]
    assert 100 < mean < 200
    low, high = ((bound - mean) / deviation for bound in (100.0, 200.0))
    image = found.train.labelled(0).image
    assert image.min().item() == pytest.approx(low, abs=1e-4)
    assert image.max().item() == pytest.approx(high, abs=1e-4)


def test_what_has_no_effect_on_images_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    load_segmentation(photographs(tmp_path), patch_size=4, slices=True, spacing="median")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "--slices has no effect on 2D images",
        "--spacing median has no effect on 2D images",
    ]
