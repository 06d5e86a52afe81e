"""Whole runs on label maps: what is in the folder, resuming, prediction, the report, and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import acnorm
from acnorm.cli.main import main
from acnorm.data.formats import read_cases
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.data.volumes import read_labelled, read_labels
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.training.config import FinetuneConfig
from acnorm.training.run_folder import RunFolder
from acnorm.training.segmentation_kind import SegmentationKind
from acnorm.training.segmentation_metrics import region_scores
from acnorm.training.shipping import load_shipped
from tiny_runs import draw_nothing, spread_norms
from volume_files import dicom_series


def checkpoint(file: Path, model: str, *, channels: int, dimensions: int = 2) -> Path:
    torch.manual_seed(1)
    module = build_network(model, classes=3, channels=channels, dimensions=dimensions).module
    spread_norms(module)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.5)
    torch.save(module.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms and checkpoints."""
    home = tmp_path_factory.mktemp("segmentation")
    for task in ("vessel", "cardiac", "nodule"):
        segmentation_phantoms(home / task, task=task, domain="target", cases=8, size=24, seed=0)
    checkpoint(home / "colour.pth", "cifar/resnet20", channels=3)
    checkpoint(home / "grey.pth", "cifar/resnet20", channels=1)
    checkpoint(home / "volumes.pth", "monai/resnet10", channels=1, dimensions=3)
    return home


EJECTION = "ejection_fraction:LV,ejection_fraction:1"
KINDS = {
    "vessel": {"model": "cifar/resnet20", "weights": "colour.pth", "task": "vessel-segmentation"},
    "cardiac": {"model": "cifar/resnet20", "weights": "grey.pth", "task": "cardiac-segmentation", "measures": EJECTION},
    "nodule": {"model": "monai/resnet10", "weights": "volumes.pth", "spacing": "2", "test_time_flips": True},
}


def settings_of(home: Path, kind: str, out: Path, **changes: object) -> dict:
    usual = {
        "data": home / kind, "out": out, "method": "acnorm", "epochs": 1, "batch_size": 4, "patch_size": 16,
        "patches_per_case": 2, "bootstrap": 20, "accelerator": "cpu", "devices": "1",
    }  # fmt: skip
    own = KINDS[kind] | {"weights": home / KINDS[kind]["weights"]}
    return usual | own | changes


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Path]:
    return {task: acnorm.finetune(**settings_of(home, task, home / f"{task}-run")).path for task in KINDS}


@pytest.fixture(autouse=True)
def _drawn_once(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the runs that all tests share have figures."""
    draw_nothing(monkeypatch)


every = pytest.mark.parametrize("task", KINDS)


@every
def test_the_metrics_are_those_of_the_masks_in_the_folder(home: Path, runs: dict[str, Path], task: str):
    run, collection = runs[task], read_cases(home / task)
    metrics = json.loads((run / "metrics.json").read_text())
    table = pd.read_csv(run / "per_case.csv", dtype={"id": str})
    assert (metrics["task"], metrics["monitor"]) == ("segmentation", "val_dice")
    names = collection.classes[1:]
    for case in collection.cases:
        if case.split != "test":
            continue
        (file,) = (run / "predictions/test").glob(f"{case.id}.*")
        truth, found = read_labelled(case, len(collection.classes)), read_labels(file)
        row = table.set_index("id").loc[case.id]
        for label, name in enumerate(names, start=1):
            scores = region_scores(
                truth.mask == label, found == label, spacing=truth.image.spacing, within=truth.within
            )
            for measure in ("dice", "hd95", "volume_error"):
                assert row[f"{measure}_{name}"] == pytest.approx(scores[measure], nan_ok=True)
    tested = table[table["split"] == "test"]
    for name in names:
        value = metrics["splits"]["test"]["metrics"][f"dice_{name}"]["value"]
        assert value == pytest.approx(tested[f"dice_{name}"].mean())
    assert ("dice" in metrics["splits"]["test"]["metrics"]) == (len(names) > 1)
    assert metrics["resampled"] == ("patients" if task == "cardiac" else "cases")
    own = {"vessel": {"auc_vessel", "cldice_vessel"}, "cardiac": {"ejection_fraction_error_LV"}}.get(task, set())
    assert own <= set(metrics["splits"]["test"]["metrics"])
    observer = metrics["splits"]["test"].get("second_observer")
    assert (observer is not None) == (task == "vessel")
    if observer is not None:
        assert (observer["cases"], observer["patients"], observer["undefined"]) == (len(tested), None, {})
        assert "auc_vessel" not in observer["metrics"]
    assert set(metrics["splits"]["test"]["absent"]) == set(names)
    assert set(metrics["statistics_gap"]) == {"loss_batch", "loss_running", "batches"}


@every
def test_the_folder_tells_data_checkpoint_and_layers(home: Path, runs: dict[str, Path], task: str):
    run, collection = runs[task], read_cases(home / task)
    data = json.loads((run / "data.json").read_text())
    assert data["cases"]["test"] == sum(case.split == "test" for case in collection.cases)
    assert set(data["counts"]["train"]) == {str(label) for label in range(len(collection.classes))}
    loaded = json.loads((run / "load_report.json").read_text())
    assert (loaded["parameter_share"], loaded["norm_share"], loaded["missing"]["count"]) == (1.0, 1.0, 0)
    layers = json.loads((run / "acnorm.json").read_text())
    assert all(layer["name"].startswith("encoder.") for layer in layers["layers"])
    assert all(layer["name"].startswith("decoder.") for layer in layers["left_alone"])
    examples = json.loads((run / "examples.json").read_text())
    assert {entry["kind"] for entry in examples} == {"worst", "median", "best"}
    assert all((run / entry["image"]).is_file() for entry in examples)


@every
def test_the_report_shows_scores_outlines_and_no_classifiers_pictures(runs: dict[str, Path], task: str):
    page = (runs[task] / "report.html").read_text()
    own = {"vessel": ("second observer (test)", "clDice vessel"), "cardiac": ("Ejection-fraction error LV", "viewer")}
    for told in ("Case by case", "Middle", "HD95", "AC-Norm", "outline of the", "waiting for data", *own.get(task, ())):
        assert told in page
    for untold in ("Confusion matrix", "Calibration error", "is not there", "true class at"):
        assert untold not in page


@every
def test_masks_of_new_images_are_those_of_the_run(home: Path, runs: dict[str, Path], tmp_path: Path, task: str):
    run = runs[task]
    collection = read_cases(home / task)
    case = next(case for case in collection.cases if case.split == "test")
    (before,) = (run / "predictions/test").glob(f"{case.id}.*")
    out = acnorm.predict(run, case.image, out=tmp_path / "masks")
    (found,) = out.iterdir()
    np.testing.assert_array_equal(read_labels(found), read_labels(before))
    if task != "vessel":
        assert nibabel.load(found).shape == nibabel.load(case.image).shape
        np.testing.assert_array_equal(nibabel.load(found).affine, nibabel.load(case.image).affine)
    with pytest.raises(UserError, match=r"exists; give --out another folder, or --overwrite\.$"):
        acnorm.predict(run, case.image, out=tmp_path / "masks")
    acnorm.predict(run, case.image, out=tmp_path / "masks", overwrite=True)


def test_data_sets_and_folders_are_segmented_whole(home: Path, runs: dict[str, Path], tmp_path: Path):
    out = acnorm.predict(runs["vessel"], home / "vessel", out=tmp_path / "set")
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{case.id}.png" for case in read_cases(home / "vessel").cases
    )
    folder = tmp_path / "new" / "inner"
    folder.mkdir(parents=True)
    shutil.copy(home / "vessel/test/images/07_test.tif", folder / "a.tif")
    out = acnorm.predict(runs["vessel"], tmp_path / "new")
    assert out == runs["vessel"] / "predictions/new"
    assert [path.name for path in out.iterdir()] == ["inner_a.png"]
    shutil.rmtree(out)


def test_a_series_whose_files_are_called_by_numbers_is_one_volume(runs: dict[str, Path], tmp_path: Path):
    uids = [f"1.2.840.5.{at}" for at in range(20)]
    values = np.random.default_rng(0).integers(-900, 100, (20, 24, 22))
    for name in ("scans/1.2.840.1", "scans/1.2.840.2"):
        for at, file in enumerate(sorted(dicom_series(tmp_path / name, values, uids).iterdir())):
            file.rename(file.with_name(uids[at]))
    out = acnorm.predict(runs["nodule"], tmp_path / "scans/1.2.840.1", out=tmp_path / "one")
    assert [path.name for path in out.iterdir()] == ["1.2.840.1.mha"]
    assert read_labels(out / "1.2.840.1.mha").shape == (22, 24, 20)
    out = acnorm.predict(runs["nodule"], tmp_path / "scans", out=tmp_path / "both")
    assert sorted(path.name for path in out.iterdir()) == ["1.2.840.1.mha", "1.2.840.2.mha"]


def test_label_maps_of_one_name_are_refused_before_any_is_written(runs: dict[str, Path], tmp_path: Path):
    (tmp_path / "new").mkdir()
    for name in ("a.png", "a.tif"):
        Image.new("RGB", (24, 24)).save(tmp_path / "new" / name)
    told = (
        r"new/a\.tif: its label map would have the name of that of .*new/a\.png \(a\.png\); "
        r"rename one of them, or predict them one at a time\.$"
    )
    with pytest.raises(UserError, match=told):
        acnorm.predict(runs["vessel"], tmp_path / "new", out=tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_the_shipped_network_gives_the_masks(home: Path, runs: dict[str, Path]):
    shipped = load_shipped(RunFolder(runs["nodule"]))
    assert shipped.preprocessing.shape == (1, 16, 16, 16)
    with torch.no_grad():
        assert shipped.network(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 2, 16, 16, 16)


@pytest.mark.parametrize(("task", "by_voxels"), [("nodule-segmentation", True), ("segmentation", False)])
def test_the_task_says_that_pairs_of_volumes_are_ct(home: Path, tmp_path: Path, task: str, by_voxels: bool):
    for name, folder in (("images", "imagesTr"), ("masks", "labelsTr")):
        (tmp_path / name).mkdir()
        for file in (home / "nodule" / folder).iterdir():
            shutil.copy(file, tmp_path / name / file.name.replace("_0000", ""))
    config = FinetuneConfig(data=str(tmp_path), model="monai/resnet10", out="run", task=task, patch_size=16)
    assert (SegmentationKind().prepare(config, None).preprocessing.mean is not None) == by_voxels


def test_a_resumed_run_is_as_if_it_had_never_stopped(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = acnorm.finetune(**settings_of(home, "vessel", tmp_path / "whole", epochs=2))

    class Killed(Exception):
        pass

    def stop(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("acnorm.training.segmentation_kind.SegmentationKind.evaluate", stop)
        with pytest.raises(Killed):
            acnorm.finetune(**settings_of(home, "vessel", tmp_path / "again", epochs=2))
    again = acnorm.finetune(**settings_of(home, "vessel", tmp_path / "again", epochs=2, resume=True))
    assert again.metrics["splits"] == whole.metrics["splits"]


def test_changed_masks_are_told_on_resuming(home: Path, tmp_path: Path):
    data = tmp_path / "vessel"
    shutil.copytree(home / "vessel", data)
    acnorm.finetune(**settings_of(home, "vessel", tmp_path / "run", data=data))
    (tmp_path / "run/metrics.json").unlink()
    mask = data / "training/1st_manual/01_manual1.gif"
    with Image.open(mask) as image:
        inverted = 255 - np.asarray(image.convert("L"))
    Image.fromarray(inverted).save(mask)
    with pytest.raises(UserError, match=r"vessel has changed since the run was started; put back what it was"):
        acnorm.finetune(**settings_of(home, "vessel", tmp_path / "run", data=data, resume=True))


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("nodule", {"model": "cifar/resnet20"}, r"--model cifar/resnet20: comes in 2D only; for volumes there are monai/"),
        ("vessel", {"model": "tiny_runs:tiny"}, r"--model tiny_runs:tiny: no U-Net can be built on it; there are cifar/"),
        ("vessel", {"patch_size": 0}, r"patch_size is 0, must be 8 or more\."),
        ("vessel", {"task": "dr-grading"}, r"--task dr-grading: needs classes; .* holds label maps\. Give other data, or --"),
        ("vessel", {"spacing": "1.5"}, r"--spacing is for volumes, whose files tell theirs; leave it out for 2D images"),
        ("vessel", {"window": "0,1"}, r"--window is for volumes, whose intensities have a unit; leave it out for 2D"),
        ("cardiac", {"spacing": "1,2"}, r"--spacing has 2 numbers; give one, or one for each of 3 axes\."),
        ("cardiac", {"measures": "lesions:9"}, r"--measures lesions:9: the data have no class '9'; there are RV, MYO, LV"),
    ],
)  # fmt: skip
def test_bad_input_leaves_no_trace(home: Path, tmp_path: Path, task: str, changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        acnorm.finetune(**settings_of(home, task, tmp_path / "run", **changes))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_segmented_is_told(home: Path, runs: dict[str, Path], tmp_path: Path):
    Image.new("L", (30, 30)).save(tmp_path / "grey.png")
    for data, message in (
        (tmp_path / "nowhere", r"nowhere: no such file or folder; check the path\."),
        (tmp_path / "grey.png", r"grey\.png: has 1 channels and 2 axes; the run takes 3 and 2 or more\."),
        (tmp_path / "empty", r"empty: holds no image and no volume; give a folder that does\."),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=message):
            acnorm.predict(runs["vessel"], data, out=tmp_path / "masks")


def test_the_command_line_prints_the_metrics(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    values = settings_of(home, "cardiac", tmp_path / "run") | {"slices": "true"}
    flags = [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["finetune", *flags]) == 0
    told = capsys.readouterr().out
    assert "dice LV" in told
    assert "hd95 RV" in told


def test_broken_cases_are_left_out_on_demand_and_listed(home: Path, tmp_path: Path):
    data = tmp_path / "vessel"
    shutil.copytree(home / "vessel", data)
    broken = sorted((data / "training/images").iterdir())[0]
    broken.write_bytes(b"")
    with pytest.raises(UserError, match=r"the file is empty \(0 bytes\)"):
        acnorm.finetune(**settings_of(home, "vessel", tmp_path / "run", data=data))
    run = acnorm.finetune(**settings_of(home, "vessel", tmp_path / "run", data=data, skip_bad=True)).path
    told = json.loads((run / "data.json").read_text())
    before = len([case for case in read_cases(home / "vessel").cases if case.split != "test"])
    assert told["cases"]["train"] + told["cases"]["val"] == before - 1
    assert any(f"{broken}: left out: the file is empty" in line for line in told["warnings"])
    assert "left out: the file is empty" in (run / "report.html").read_text()


@pytest.mark.parametrize("statistics", ["frozen", "reestimated"])
def test_statistics_are_frozen_or_taken_anew(home: Path, runs: dict[str, Path], tmp_path: Path, statistics: str):
    settings = settings_of(home, "vessel", tmp_path / "run", norm_statistics=statistics)
    network = load_shipped(RunFolder(acnorm.finetune(**settings).path)).network
    source = torch.load(home / "colour.pth", weights_only=True)
    usual = load_shipped(RunFolder(runs["vessel"])).network.state_dict()
    for name, value in network.state_dict().items():
        if name.startswith("encoder.") and name.endswith("running_mean"):
            assert torch.equal(value, source[name.removeprefix("encoder.")]) == (statistics == "frozen")
            assert not torch.equal(value, usual[name])
