"""Whole pretraining runs: what is in the folder, what takes the checkpoint, resuming, and bad input."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import acnorm
from acnorm.cli.main import main
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.errors import RunError, UserError
from acnorm.pretraining.pretext import PRETEXTS, make_pretext
from acnorm.training import pretext_objective, pretrain
from acnorm.training.pretext_objective import PretrainModule
from acnorm.training.pretrain_config import PretrainConfig, pretrain_config
from acnorm.training.pretrain_data import pretext_data
from tiny_runs import NETWORK, equal, eyes, weights_of

FILES = {
    *(
        "config.yaml",
        "log.txt",
        "metrics.csv",
        "metrics.json",
        "data.json",
        "splits.json",
        "samples.json",
        "report.html",
    ),
    *("model/encoder.safetensors", "model/card.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms: eyes with labels, and hearts and vessels with label maps."""
    home = tmp_path_factory.mktemp("pretraining")
    eyes(home / "eyes.npz", cases=40, size=16)
    for task in ("vessel", "cardiac"):
        segmentation_phantoms(home / task, task=task, domain="source", cases=8, size=24, seed=0)
    return home


def settings(home: Path, out: Path, **changes: Any) -> dict[str, Any]:
    usual = {"data": home / "eyes.npz", "model": NETWORK, "method": "rotation", "out": out, "epochs": 3}
    usual |= {"batch_size": 8, "accelerator": "cpu", "devices": "1"}
    return usual | changes


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    return acnorm.pretrain(**settings(home, home / "run")).path


def test_the_folder_is_complete(finished: Path):
    found = {file.relative_to(finished).as_posix() for file in finished.rglob("*") if file.is_file()}
    assert found >= FILES
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["task"] == "pretraining"
    assert set(metrics["last_epoch"]) == {"val_feature_spread", "val_knn_accuracy"}
    rows = (finished / "metrics.csv").read_text().splitlines()
    assert len(rows) == 4
    assert rows[0] == "epoch,learning_rate,train_loss,val_feature_spread,val_knn_accuracy,seconds,waiting"
    assert "24 cases to train on, rotation pretraining" in (finished / "log.txt").read_text()
    for sample in json.loads((finished / "samples.json").read_text()):
        with Image.open(finished / sample["image"]) as image:
            assert image.size[0] > 100


def test_the_card_says_how_it_was_made_and_travels_with_the_weights(finished: Path):
    card = json.loads((finished / "model/card.json").read_text())
    assert (card["method"], card["model"], card["cases"], card["epochs"]) == ("rotation", NETWORK, 24, 3)
    found = acnorm.checkpoint(finished / "model/encoder.safetensors")
    assert found.facts.card == {name: value for name, value in card.items() if name != "sha256"}
    assert found.facts.sha256 == card["sha256"]


def test_fine_tuning_and_ranking_take_the_checkpoint(home: Path, finished: Path, tmp_path: Path):
    weights = finished / "model/encoder.safetensors"
    tuned = acnorm.finetune(
        data=home / "eyes.npz",
        model=NETWORK,
        weights=weights,
        out=tmp_path / "run",
        epochs=1,
        batch_size=8,
        bootstrap=20,
    )
    report = json.loads((tuned.path / "load_report.json").read_text())
    assert (report["parameter_share"], report["missing"]["count"]) == (1.0, 0)
    ranked = acnorm.rank(data=home / "eyes.npz", model=NETWORK, weights=[weights])
    assert ranked.candidates[0].paper is not None


def test_the_weights_are_those_of_the_last_epoch(finished: Path):
    last = weights_of(finished)
    for name, value in load_file(finished / "model/encoder.safetensors").items():
        assert torch.equal(value, last[f"network.encoder.body.{name}"])


def test_the_report_shows_the_task(finished: Path, capsys: pytest.CaptureFixture[str]):
    page = (finished / "report.html").read_text()
    assert page.count("data:image/png") == 2
    assert "rotation pretraining of tiny_runs:tiny" in page
    assert "accuracy of the five nearest neighbours" in page
    assert "turns told right" in page
    assert main(["report", str(finished)]) == 0
    assert main(["report", str(finished), str(finished.parent / "other")]) == 2
    assert "is a pretraining run, which has a report of its own; give it alone." in capsys.readouterr().err


def test_the_command_in_the_folder_makes_the_run_again(finished: Path, tmp_path: Path):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    words = config["command"].split()
    words[words.index(str(finished))] = str(tmp_path / "again")
    assert main(words[1:]) == 0
    first, second = (load_file(run / "model/encoder.safetensors") for run in (finished, tmp_path / "again"))
    assert equal(first, second)


class Killed(Exception):
    """Stands for a process that ends without warning."""


@pytest.mark.parametrize("method", [*PRETEXTS, "accumulated byol"])
def test_a_killed_run_ends_as_if_it_had_never_stopped(home: Path, tmp_path: Path, method: str):
    changes: dict[str, Any] = {"method": method.removeprefix("accumulated "), "epochs": 4}
    if method.startswith("accumulated"):
        changes |= {"accumulate": 2, "batch_size": 5}
    if method in ("genesis", "pcrl"):  # they need stages
        changes |= {"model": "cifar/resnet20", "epochs": 3}
    whole = acnorm.pretrain(**settings(home, tmp_path / "whole", **changes)).path
    step = PretrainModule.training_step

    def stopping(module: PretrainModule, batch: dict, batch_idx: int) -> torch.Tensor:
        if module.current_epoch == 2 and batch_idx == 1:
            raise Killed
        return step(module, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainModule, "training_step", stopping)
        with pytest.raises(Killed):
            acnorm.pretrain(**settings(home, tmp_path / "killed", **changes))
    resumed = acnorm.pretrain(**settings(home, tmp_path / "killed", **changes, resume=True)).path
    assert equal(weights_of(whole), weights_of(resumed))
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (whole, resumed))
    assert first["last_epoch"] == second["last_epoch"]
    assert len((resumed / "metrics.csv").read_text().splitlines()) == 1 + changes["epochs"]


def test_a_finished_run_is_not_resumed(home: Path, finished: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "acnorm"):
        acnorm.pretrain(**settings(home, finished, resume=True))
    assert "is finished; there is nothing to resume" in caplog.text


def test_two_workers_give_the_same_run(home: Path, finished: Path, tmp_path: Path):
    other = acnorm.pretrain(**settings(home, tmp_path / "run", workers=2)).path
    assert equal(weights_of(finished), weights_of(other))


@pytest.mark.parametrize("method", ["genesis", "supervised", "simclr"])
def test_patches_of_label_maps_in_3d(home: Path, tmp_path: Path, method: str):
    changes = {"data": home / "cardiac", "model": "monai/resnet10", "patch_size": 16, "patches_per_case": 1}
    run = acnorm.pretrain(**settings(home, tmp_path / "run", method=method, **changes, epochs=1, batch_size=4)).path
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["last_epoch"]) == {"val_feature_spread"}
    assert load_file(run / "model/encoder.safetensors")["conv1.weight"].ndim == 5


def test_slices_and_flat_images_of_label_maps(home: Path, tmp_path: Path):
    changes = {"model": "cifar/resnet20", "patch_size": 16, "patches_per_case": 1, "epochs": 1}
    for data, more in (("cardiac", {"slices": True}), ("vessel", {})):
        out = tmp_path / data
        run = acnorm.pretrain(**settings(home, out, data=home / data, **changes, **more)).path
        assert load_file(run / "model/encoder.safetensors")["conv1.weight"].ndim == 4


def test_patches_lie_anywhere_whatever_the_labels(home: Path, tmp_path: Path):
    config = pretrain_config(settings(home, tmp_path, data=home / "cardiac", patch_size=8))
    assert pretext_data(config).train.foreground == 0.0


def test_volumes_slice_by_slice(tmp_path: Path):
    draw = np.random.default_rng(0)
    arrays = {f"{split}_images": draw.integers(0, 255, (8, 16, 16, 16), np.uint8) for split in ("train", "val", "test")}
    arrays |= {f"{split}_labels": np.arange(8)[:, None] % 2 for split in ("train", "val", "test")}
    np.savez(tmp_path / "volumes.npz", **arrays)
    run = acnorm.pretrain(**settings(tmp_path, tmp_path / "run", data=tmp_path / "volumes.npz", slices=True)).path
    assert (run / "samples/01.png").is_file()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    (folder / "deep").mkdir()
    rows = ["image"]
    for at in range(20):
        name = f"{'deep/' if at % 2 else ''}{at}.png"
        Image.fromarray(draw.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / name)
        rows.append(name)
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("name", ["", "images.csv", "deep"])
def test_images_without_labels(pictures: Path, tmp_path: Path, name: str):
    run = acnorm.pretrain(**settings(tmp_path, tmp_path / "run", data=pictures / name, method="simclr", epochs=1)).path
    assert "val_knn_accuracy" not in (run / "metrics.csv").read_text()
    with pytest.raises(UserError, match="--method supervised: needs labels; .* holds none, or one class alone"):
        acnorm.pretrain(**settings(tmp_path, tmp_path / "other", data=pictures / name, method="supervised"))
    assert not (tmp_path / "other").exists()


def test_a_checkpoint_to_begin_with(home: Path, finished: Path, tmp_path: Path):
    weights = finished / "model/encoder.safetensors"
    config = pretrain_config(settings(home, tmp_path, weights=weights))
    network = pretrain._network(config, pretext_data(config), make_pretext("rotation"))
    assert equal(network.encoder.weights(), load_file(weights))


def test_a_collapse_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(pretext_objective, "feature_spread", lambda _: 0.004)
    with caplog.at_level(logging.WARNING, "acnorm"):
        run = acnorm.pretrain(**settings(home, tmp_path / "run")).path
    told = "epoch 0: the features of all validation images are nearly the same (spread 0.004, at most 1): the encoder has collapsed"
    assert caplog.text.count(told) == 1
    assert told in (run / "report.html").read_text()
    assert json.loads((run / "model/card.json").read_text())["collapsed"] is True


def test_a_loss_that_is_not_finite_stops_the_run(home: Path, tmp_path: Path):
    with pytest.raises(RunError, match="is not finite"):
        acnorm.pretrain(**settings(home, tmp_path / "run", method="autoencoder", learning_rate=1e30))


def test_splits_are_kept_and_the_test_split_is_not_trained_on(home: Path, tmp_path: Path):
    file = tmp_path / "splits.json"
    first = acnorm.pretrain(**settings(home, tmp_path / "a", splits=file, epochs=1)).path
    assert file.read_text() == (first / "splits.json").read_text()
    data = json.loads((first / "data.json").read_text())
    assert data["cases"] == {"train": 24, "val": 8}


def test_resuming_with_other_settings_data_or_another_kind_of_run(home: Path, finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run/metrics.json").unlink()
    with pytest.raises(UserError, match=r"started with other settings \(epochs was 3, is 9\); use the same"):
        acnorm.pretrain(**settings(home, tmp_path / "run", resume=True, epochs=9))
    eyes(tmp_path / "eyes.npz", cases=40, size=16, seed=5)
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text()) | {"data": str(tmp_path / "eyes.npz")}
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="has changed since the run was started"):
        acnorm.pretrain(**settings(home, tmp_path / "run", resume=True, data=tmp_path / "eyes.npz"))
    config.pop("kind")
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="is no pretraining run; resume it with acnorm finetune"):
        acnorm.pretrain(**settings(home, tmp_path / "run", resume=True))


def test_overwriting_begins_anew_and_a_full_folder_is_refused(home: Path, finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(UserError, match="is not empty; --resume goes on with the run in it"):
        acnorm.pretrain(**settings(home, tmp_path / "run"))
    acnorm.pretrain(**settings(home, tmp_path / "run", overwrite=True, epochs=1))
    assert len((tmp_path / "run/metrics.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "rotate"}, "--method 'rotate' is not known; there are supervised, rotation, genesis"),
        ({"batch_size": 1}, "batch_size is 1, must be 2 or more"),
        (
            {"epochs": 0, "learning_rate": -1.0},
            "epochs is 0, must be 1 or more; learning_rate is -1.0, must be above 0",
        ),
        ({"model": "cifar/resnet21"}, "--model 'cifar/resnet21' is not known; did you mean"),
        ({"method": "genesis"}, "--model tiny_runs:tiny: no U-Net can be built on it"),
        ({"epoch": 3}, r"unknown settings: epoch .did you mean epochs\?"),
        ({"data": "nowhere"}, "nowhere: no such file or folder"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(home: Path, tmp_path: Path, changes: dict, message: str):
    with pytest.raises(UserError, match=message) as refused:
        acnorm.pretrain(**settings(home, tmp_path / "run", **changes))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_images_that_the_network_cannot_take(home: Path, tmp_path: Path):
    changes = {"data": home / "cardiac", "model": "genesis/unet3d", "method": "genesis", "patch_size": 12}
    told = "--model genesis/unet3d: cannot take images of 1 × 12 × 12 × 12 for --method genesis .*; give another --patch-size"
    with pytest.raises(UserError, match=told):
        acnorm.pretrain(**settings(home, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_the_configuration_goes_to_the_trainer_as_it_is():
    config = PretrainConfig(data="eyes.npz", model="m", out="run", method="byol", epochs=7, momentum=0.5)
    of_trainer = config.of_trainer()
    assert (of_trainer.epochs, of_trainer.momentum, of_trainer.head_rate, of_trainer.augment) == (7, 0.5, 1.0, "none")
    assert config.difference(config) == []
