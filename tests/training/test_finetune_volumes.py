"""Whole runs that classify volumes: from archives, folders of NIfTI and tables, from 2D weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import acnorm
from acnorm.data.case import Case
from acnorm.data.check import check
from acnorm.data.dataset import CaseDataset
from acnorm.data.images import read_image
from acnorm.data.loading import load_data
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import load_shipped
from tiny_runs import draw_nothing, spread_norms
from volume_files import dicom_series, nifti

SIDE = 16


def volume(at: int, side: int = SIDE) -> np.ndarray:
    """A ball on noise, large for odd numbers, in Hounsfield units."""
    grid = np.stack(np.indices((side,) * 3)) - side / 2
    ball = (grid**2).sum(axis=0) < (side / (3 if at % 2 else 5)) ** 2
    return (np.random.default_rng(at).normal(-700, 60, ball.shape) + 650 * ball).round()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same volumes as an archive, as folders and as a table, and 2D weights."""
    home = tmp_path_factory.mktemp("volumes")
    arrays, rows = {}, ["image,label,split"]
    for split, numbers in (("train", range(16)), ("val", range(16, 24)), ("test", range(24, 32))):
        unit = np.stack([(volume(at) + 1000) / 1500 for at in numbers]).clip(0, 1)
        arrays[f"{split}_images"] = (255 * unit).astype(np.uint8)
        arrays[f"{split}_labels"] = np.array([at % 2 for at in numbers])[:, None]
        for at in numbers:
            folder = home / "folders" / split / ("large" if at % 2 else "small")
            folder.mkdir(parents=True, exist_ok=True)
            nifti(folder / f"{at:02}.nii.gz", volume(at))
            rows.append(f"folders/{split}/{folder.name}/{at:02}.nii.gz,{folder.name},{split}")
    np.savez(home / "balls.npz", **arrays)
    (home / "balls.csv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(0)
    flat = build_network("monai/resnet10", classes=3, channels=3).module
    spread_norms(flat)
    torch.save(flat.state_dict(), home / "flat.pth")
    return home


def settings_of(home: Path, data: str, out: Path, **changes: object) -> dict:
    usual = {
        "data": home / data, "out": out, "model": "monai/resnet10", "weights": home / "flat.pth", "epochs": 1,
        "batch_size": 8, "bootstrap": 20, "accelerator": "cpu", "devices": "1", "task": "nodule-classification",
    }  # fmt: skip
    return usual | changes


SETS = pytest.mark.parametrize("data", ["balls.npz", "folders", "balls.csv"])


@SETS
def test_volumes_are_checked_and_loaded_as_they_are(home: Path, data: str):
    found = check(home / data)
    assert (found.task, found.sizes, found.fatal, found.lines()) == ("classification", {"16×16×16": 32}, False, [])
    loaded = load_data(home / data)
    assert loaded.preprocessing.shape == (1, SIDE, SIDE, SIDE)
    images = torch.stack([loaded.train.fitted(at) for at in range(16)])
    assert 0 <= images.min() < images.max() - 0.5 <= 0.5
    assert (loaded.preprocessing.low is None) == (data == "balls.npz")


def test_a_window_is_taken_at_its_word(home: Path):
    loaded = load_data(home / "folders", window=(-1000.0, 500.0), image_size=8)
    case = loaded.train.cases[0]
    values = (volume(int(case.id[-9:-7])) + 1000) / 1500
    blocks = values.clip(0, 1).reshape(8, 2, 8, 2, 8, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(loaded.train.fitted(0)[0].numpy(), blocks, atol=1e-5)


def test_a_run_from_flat_weights_to_predictions(home: Path, tmp_path: Path):
    run = acnorm.finetune(**settings_of(home, "folders", tmp_path / "run")).path
    loaded = json.loads((run / "load_report.json").read_text())
    assert (loaded["parameter_share"], loaded["missing"]["count"]) == (1.0, 0)
    convolutions = [
        layer for layer in load_shipped(RunFolder(run)).network.modules() if isinstance(layer, torch.nn.Conv3d)
    ]
    assert loaded["adapted"]["count"] == len(convolutions)
    metrics = json.loads((run / "metrics.json").read_text())["splits"]["test"]["metrics"]
    assert {"macro_auc", "sensitivity_at_specificity_90"} <= set(metrics)
    assert "Sensitivity at 90 % specificity" in (run / "report.html").read_text()
    uids = [f"1.2.{at}" for at in range(SIDE)]
    for name in ("scans/s1", "scans/s2"):
        dicom_series(tmp_path / name, volume(25), uids)
    one, both = (pd.read_csv(acnorm.predict(run, tmp_path / name)) for name in ("scans/s1", "scans"))
    assert (one["id"].tolist(), both["id"].tolist()) == (["s1"], ["s1", "s2"])
    assert both["probability_large"].tolist() == pytest.approx([one["probability_large"][0]] * 2)
    Image.new("L", (20, 20), 9).save(tmp_path / "flat.png")
    told = r"flat\.png: has 2 axes, 3 are needed; give volumes, or a folder for each DICOM series$"
    with pytest.raises(UserError, match=told):
        acnorm.predict(run, tmp_path / "flat.png", out=tmp_path / "flat.csv")
    (tmp_path / "new").mkdir()
    nifti(tmp_path / "new/a.nii.gz", volume(25))
    for data in (tmp_path / "new", tmp_path / "new/a.nii.gz", home / "balls.csv"):
        table = pd.read_csv(acnorm.predict(run, data, out=tmp_path / f"{data.name}.csv"))
        row = table[table["id"].str.contains(r"a\.nii|/25\.nii")].iloc[0]
        if data.suffix != ".csv":
            known = row["probability_large"]
        assert row["probability_large"] == pytest.approx(known, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cifar/resnet20"}, r"^--model cifar/resnet20: comes in 2D only; for volumes there are monai/"),
        ({"task": "nodule-segmentation"}, r"^--task nodule-segmentation: needs label maps; .*folders holds classes\. Give"),
    ],
)  # fmt: skip
def test_bad_input_leaves_no_trace(home: Path, tmp_path: Path, changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        acnorm.finetune(**settings_of(home, "folders", tmp_path / "run", **changes))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("of", "by", "told"),
    [
        ("folders", "balls.npz", "has intensities as stored, those of an .npz archive of volumes, in 0..1, are needed; give it as such an archive"),
        ("balls.npz", "folders", "has intensities in 0..1, those of volumes as stored in files are needed; give the files"),
    ],
)  # fmt: skip
def test_volumes_of_other_intensities_than_those_of_the_run_are_refused(home: Path, of: str, by: str, told: str):
    cases = load_data(home / of, image_size=8).test.cases
    with pytest.raises(UserError) as refused:
        CaseDataset(cases, load_data(home / by, image_size=8).preprocessing)
    assert str(refused.value) == f"{cases[0].where()}: {told}"


def test_images_beside_volumes_are_refused(home: Path, tmp_path: Path):
    rows = ["image,label"]
    for at in range(20):
        Image.new("L", (8, 8), at).save(tmp_path / f"{at}.png")
        rows.append(f"{at}.png,{at % 2}")
    nifti(tmp_path / "v.nii", volume(1))
    (tmp_path / "table.csv").write_text("\n".join([*rows, "v.nii,0"]) + "\n")
    with pytest.raises(UserError, match=r"v\.nii: has 3 axes, most have 2; keep images and volumes in data sets of"):
        load_data(tmp_path / "table.csv", image_size=8)
    assert any("has 3 axes, most have 2" in line for line in check(tmp_path / "table.csv").lines())


SMALL = {"model": "cifar/resnet20", "weights": None, "method": "vanilla"}


@SETS
def test_slice_by_slice_with_a_2d_network(home: Path, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw_nothing(monkeypatch)
    result = acnorm.finetune(**settings_of(home, data, tmp_path / "run", slices=True, image_size=24, **SMALL))
    told = json.loads((tmp_path / "run" / "data.json").read_text())
    assert told["image"][1:] == [24, 24]
    shipped = load_shipped(RunFolder(tmp_path / "run"))
    assert shipped.preprocessing.slices == 16
    case = load_data(home / data).test.cases[3]
    images = shipped.preprocessing(read_image(case)).movedim(-1, 0)
    with torch.no_grad():
        mean = shipped.network(images).softmax(dim=1).mean(dim=0)
    table = pd.read_csv(tmp_path / "run" / "per_case.csv", dtype={"id": str}).set_index("id")
    assert table.loc[case.id, "probability_1"] == pytest.approx(float(mean[1]), abs=2e-6)
    assert result.metrics["splits"]["test"]["cases"] == 8
    source = home / data
    again = pd.read_csv(acnorm.predict(tmp_path / "run", source), dtype={"id": str}).set_index("id")
    assert again.loc[case.id].iloc[-1] == pytest.approx(float(mean[1]), abs=2e-6)


def test_a_slice_is_drawn_by_epoch_and_case_alone(home: Path):
    train = load_data(home / "balls.npz", slices=True).train
    drawn = [train[epoch, 5]["image"] for epoch in range(6)]
    assert all(image.shape == (1, SIDE, SIDE) for image in drawn)
    assert not all(torch.equal(drawn[0], image) for image in drawn)
    assert torch.equal(drawn[4], load_data(home / "balls.npz", slices=True).train[4, 5]["image"])


def test_slices_of_images_are_refused(tmp_path: Path):
    np.savez(tmp_path / "eyes.npz", train_images=np.zeros((8, 8, 8, 3), np.uint8), train_labels=np.arange(8) % 2)
    with pytest.raises(UserError, match="--slices is for volumes; leave it out for 2D images"):
        load_data(tmp_path / "eyes.npz", slices=True)


def test_an_archive_is_read_with_its_slices_last(tmp_path: Path):
    volumes = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    np.savez(tmp_path / "a.npz", train_images=volumes, train_labels=np.arange(2))
    image = read_image(Case("train_0001", tmp_path / "a.npz", 1, index=1))
    assert image.shape == (1, 4, 5, 3)
    np.testing.assert_allclose(image[0, :, :, 2], volumes[1, 2] / 255, rtol=1e-6)
