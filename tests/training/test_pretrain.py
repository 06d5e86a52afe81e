"""Whole pretraining runs: what is in the folder, what takes the checkpoint, resuming, and bad input."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

import acnorm
from acnorm.cli.main import main
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.errors import RunError, UserError
from acnorm.pretraining.pretext import PRETEXTS, make_pretext
from acnorm.training import pretext_objective, pretrain
from acnorm.training.pretext_objective import PretrainModule
from acnorm.training.pretrain_config import PretrainConfig, pretrain_config
from acnorm.training.pretrain_data import pretext_data
from tiny_runs import NETWORK, draw_nothing, equal, eyes, weights_of

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
    assert found.facts.card == {name: value for name, value in card.items() if name not in ("command", "sha256")}
    assert found.facts.sha256 == card["sha256"]


def test_the_settings_of_the_task_reach_it_and_its_card(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = {"method": "moco", "epochs": 1, "moco": {"keys": 20, "temperature": 0.1, "outputs": 16}}
    run = acnorm.pretrain(**settings(home, tmp_path / "run", **given)).path
    assert weights_of(run)["network.queue"].shape == (20, 16)
    wanted = {"least_area": 0.3, "temperature": 0.1, "momentum": 0.99, "keys": 20, "hidden": 256, "outputs": 16}
    card = acnorm.checkpoint(run / "model/encoder.safetensors").facts.card
    assert card is not None
    assert card["settings"] == wanted
    assert yaml.safe_load((run / "config.yaml").read_text())["moco"] == wanted
    assert "--moco.temperature 0.1 --moco.keys 20 --moco.outputs 16" in card_command(run)
    assert main(["checkpoint", str(run / "model/encoder.safetensors")]) == 0
    assert "(least_area 0.3, temperature 0.1, momentum 0.99, keys 20" in capsys.readouterr().out
    page = (run / "report.html").read_text()
    assert re.search(r"<code>moco</code></th><td>.*temperature.*0\.1", page)
    assert "<code>simclr</code>" not in page
    (run / "metrics.json").unlink()
    with pytest.raises(
        UserError, match=r"started with other settings \(moco was MoCo\(.*temperature=0.1, .*\), is MoCo\("
    ):
        acnorm.pretrain(**settings(home, run, **given | {"moco": {"keys": 20}}, resume=True))


def card_command(run: Path) -> str:
    return str(json.loads((run / "model/card.json").read_text())["command"])


def test_fine_tuning_and_ranking_take_the_checkpoint(
    home: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    draw_nothing(monkeypatch)
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


@pytest.mark.parametrize("method", [*PRETEXTS, "accumulated byol", "set moco"])
def test_a_killed_run_ends_as_if_it_had_never_stopped(
    home: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
):
    draw_nothing(monkeypatch)
    changes: dict[str, Any] = {"method": method.split()[-1], "epochs": 3}
    if method.startswith("accumulated"):
        changes |= {"accumulate": 2, "batch_size": 5}
    if method.startswith("set"):
        changes |= {"moco": {"keys": 20, "temperature": 0.1, "momentum": 0.5}}
    if method in ("genesis", "pcrl"):  # they need stages
        changes |= {"model": "cifar/resnet20"}
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
    cards = [json.loads((run / "model/card.json").read_text()) for run in (whole, resumed)]
    assert cards[0]["settings"] == cards[1]["settings"]
    assert len((resumed / "metrics.csv").read_text().splitlines()) == 1 + changes["epochs"]


def test_a_finished_run_is_not_resumed(home: Path, finished: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "acnorm"):
        acnorm.pretrain(**settings(home, finished, resume=True))
    assert "is finished; there is nothing to resume" in caplog.text


def test_two_workers_give_the_same_run(home: Path, finished: Path, tmp_path: Path):
    other = acnorm.pretrain(**settings(home, tmp_path / "run", workers=2)).path
    assert equal(weights_of(finished), weights_of(other))


@pytest.mark.parametrize("method", ["genesis", "supervised", pytest.param("simclr", marks=pytest.mark.slow)])
def test_patches_of_label_maps_in_3d(home: Path, tmp_path: Path, method: str):
    changes = {"data": home / "cardiac", "model": "monai/resnet10", "patch_size": 16, "patches_per_case": 1}
    run = acnorm.pretrain(**settings(home, tmp_path / "run", method=method, **changes, epochs=1, batch_size=4)).path
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["last_epoch"] == {}  # two validation cases have no spread
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
    network, report = pretrain._network(config, pretext_data(config), make_pretext("rotation"))
    assert equal(network.encoder.weights(), load_file(weights))
    assert report is not None
    assert report.parameter_share == 1.0
    for method in ("byol", "moco"):
        network, _ = pretrain._network(config, pretext_data(config), make_pretext(method))
        slow = network.target if method == "byol" else network.keys
        assert torch.equal(slow.encoder.body.conv1.weight, network.encoder.body.conv1.weight)


def test_the_head_of_a_supervised_run_that_begins_with_weights_is_drawn_from_its_seed(home, finished, tmp_path):
    config = pretrain_config(
        settings(home, tmp_path, method="supervised", weights=finished / "model/encoder.safetensors")
    )
    made = []
    for _ in range(2):
        made.append(pretrain._network(config, pretext_data(config), make_pretext("supervised"))[0])
        torch.rand(3)
    assert equal(made[0].state_dict(), made[1].state_dict())


def test_weights_that_do_not_fit_are_refused_unless_told_otherwise(home: Path, finished: Path, tmp_path: Path):
    weights = finished / "model/encoder.safetensors"
    changes = {"model": "cifar/resnet20", "weights": weights, "epochs": 1}
    with pytest.raises(UserError, match="would load .at least 90% must.*allow less with --minimum-share"):
        acnorm.pretrain(**settings(home, tmp_path / "run", **changes))
    run = acnorm.pretrain(**settings(home, tmp_path / "run", **changes, minimum_share=0.0)).path
    card = json.loads((run / "model/card.json").read_text())
    assert card["begun_with"] == {
        "file": "encoder.safetensors",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    shutil.copytree(run, tmp_path / "other")
    (tmp_path / "other/metrics.json").unlink()
    shutil.copy(weights, tmp_path / "w.safetensors")
    loaded = json.loads((tmp_path / "other/load_report.json").read_text()) | {"sha256": "0"}
    (tmp_path / "other/load_report.json").write_text(json.dumps(loaded))
    with pytest.raises(UserError, match="is another file than at the start"):
        acnorm.pretrain(**settings(home, tmp_path / "other", **changes, minimum_share=0.0, resume=True))


def test_the_way_up_of_models_genesis_is_taken_up(home: Path, tmp_path: Path):
    changes = {"data": home / "cardiac", "model": "genesis/unet3d", "method": "genesis", "patch_size": 8}
    config = pretrain_config(settings(home, tmp_path, **changes))
    data = pretext_data(config)
    torch.manual_seed(5)
    first, _ = pretrain._network(replace(config, seed=5), data, make_pretext("genesis"))
    save_file(first.encoder.weights(), tmp_path / "g.safetensors")
    second, report = pretrain._network(
        replace(config, weights=str(tmp_path / "g.safetensors")), data, make_pretext("genesis")
    )
    assert equal(first.encoder.weights(), second.encoder.weights())
    assert report.missing == ()


def test_a_run_stopped_after_its_training_is_finished(home: Path, finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run/metrics.json").unlink()
    shutil.rmtree(tmp_path / "run/model")
    run = acnorm.pretrain(**settings(home, tmp_path / "run", resume=True)).path
    first, second = ((folder / "model/encoder.safetensors").read_bytes() for folder in (finished, run))
    assert first == second


def test_neighbours_of_another_data_set(home: Path, pictures: Path, tmp_path: Path):
    changes = {"data": pictures, "probe": home / "eyes.npz", "epochs": 1}
    run = acnorm.pretrain(**settings(home, tmp_path / "run", **changes)).path
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["neighbours"]["cases"] == 24
    assert "val_knn_accuracy" in metrics["last_epoch"]
    assert "Neighbours of 24 cases are asked" in (run / "report.html").read_text()
    told = "--probe .*: must hold images of 1 × 16 × 16 × 16 with one class each, as the network takes them; these are 3 × 16 × 16"
    with pytest.raises(UserError, match=told):
        acnorm.pretrain(**settings(home, tmp_path / "other", **{**changes, "data": home / "cardiac"}, patch_size=16))


@pytest.mark.parametrize("name", ["data", "weights", "splits", "probe"])
def test_overwriting_does_not_delete_what_the_run_reads(home: Path, finished: Path, tmp_path: Path, name: str):
    shutil.copytree(finished, tmp_path / "run")
    given = tmp_path / "run/inside.npz"
    shutil.copy(home / "eyes.npz", given)
    with pytest.raises(
        UserError, match=rf"--{name} .*inside\.npz: lies in --out .*, which --overwrite deletes; move it"
    ):
        acnorm.pretrain(**settings(home, tmp_path / "run", overwrite=True, **{name: given}))
    assert given.is_file()


def test_one_image_is_too_few(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = pretrain.pretext_data

    def one(config: PretrainConfig, file: Path | None):
        data = whole(config, file)
        data.train.cases = data.train.cases[:1]
        return data

    monkeypatch.setattr(pretrain, "pretext_data", one)
    with pytest.raises(UserError, match="has one training image; pretext tasks compare images, give two or more"):
        acnorm.pretrain(**settings(home, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_collapse_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    spreads = iter([0.001, 0.5, 0.002])
    monkeypatch.setattr(pretext_objective, "feature_spread", lambda _: next(spreads))
    with caplog.at_level(logging.WARNING, "acnorm"):
        run = acnorm.pretrain(**settings(home, tmp_path / "run")).path
    told = "the features of all validation images are nearly the same (spread {}, at most 1): the encoder has collapsed"
    assert caplog.text.count("epoch 0: " + told.format("0.0010")) == 1
    assert "epoch 2: " + told.format("0.0020") in (run / "report.html").read_text()
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
        ({"method": "rotate"}, "--method 'rotate' is not known; did you mean rotation"),
        ({"method": "jigsaw", "jigsaw": {"parts": 2}}, "jigsaw.orders is 64, must be 24 or less: 4 tiles have no more"),
        ({"method": "jigsaw", "jigsaw": {"gap": 0.9}}, "give larger ones or a smaller jigsaw.gap"),
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


def test_cases_that_a_table_refuses_are_left_out_where_asked(home: Path, tmp_path: Path):
    for at in range(12):
        Image.fromarray(np.random.default_rng(at).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
            tmp_path / f"{at}.png"
        )
    rows = [f"{at}.png,{at % 2}" for at in range(12)]
    (tmp_path / "eyes.csv").write_text("\n".join(["image,label", *rows, "gone.png,1"]))
    told = f"{tmp_path}/gone.png: no such file; correct row 14 of eyes.csv; paths count from the folder of the table"
    usual = settings(home, tmp_path / "run", data=tmp_path / "eyes.csv")
    with pytest.raises(UserError) as refused:
        pretext_data(pretrain_config(usual))
    assert str(refused.value) == told
    data = pretext_data(pretrain_config(usual | {"skip_bad": True}))
    assert data.warnings == (told.replace("no such", "left out: no such"),)
