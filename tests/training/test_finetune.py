"""A whole run: the folder that it leaves, and what it depends on."""

from __future__ import annotations

import json
import logging
import pickle
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import acnorm as package
from acnorm.training import finetune
from acnorm.training.config import FinetuneConfig
from acnorm.training.evaluate import predict_cases
from acnorm.training.finetune import command_of, run_finetune
from acnorm.training.fit import fit
from acnorm.training.metrics import METRICS, OF_TWO_CLASSES
from acnorm.training.prepare import prepare_data
from acnorm.training.run_folder import RunFolder
from acnorm.training.settings import config_from_flags
from acnorm.training.shipping import load_shipped
from tiny_runs import config, equal, eyes, settings, weights_of

COMMON = {
    *("config.yaml", "log.txt", "metrics.csv", "metrics.json", "per_case.csv", "splits.json", "data.json"),
    *("load_report.json", "examples.json", "examples", "checkpoints", "model", "affine.safetensors"),
}


def read(file: Path) -> dict:
    return json.loads(file.read_text())


def test_the_folder_of_a_vanilla_run(vanilla: Path):
    assert {path.name for path in vanilla.iterdir()} == COMMON
    assert {path.name for path in (vanilla / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {path.name for path in (vanilla / "model").iterdir()} == {"model.safetensors", "model.json"}


def test_the_folder_of_a_run_with_acnorm_holds_its_layers_too(acnorm: Path):
    assert {path.name for path in acnorm.iterdir()} == COMMON | {"acnorm.json", "acnorm.safetensors"}
    assert [layer["name"] for layer in read(acnorm / "acnorm.json")["layers"]] == ["bn1", "bn2"]
    assert set(load_file(acnorm / "acnorm.safetensors")) == {
        f"{layer}.{kind}" for layer in ("bn1", "bn2") for kind in ("weight", "bias", "source_weight", "source_bias")
    }


def test_finetune_in_python_writes_the_report_too(folder: Path, tmp_path: Path):
    result = package.finetune(**settings(folder, out=tmp_path / "run", epochs=1, batch_size=4))
    assert result.path == tmp_path / "run"
    assert result.metrics == read(result.path / "metrics.json")
    assert "<html" in (result.path / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "told"), [({}, 0), ({"momentum": 0.5}, 1), ({"optimizer": "sgd", "momentum": 0.5}, 0)]
)
def test_a_momentum_that_does_nothing_is_told(folder: Path, tmp_path: Path, changes: dict[str, object], told: int):
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=1, bootstrap=2, **changes)).path
    assert (run / "log.txt").read_text().count("--momentum has no effect on AdamW; give --optimizer sgd\n") == told


def test_settings_of_label_maps_are_told_to_do_nothing_without_them(folder: Path, tmp_path: Path):
    run = run_finetune(
        config(folder, out=tmp_path / "run", epochs=1, bootstrap=2, patch_size=16, spacing="1,1", patches_per_case=4)
    ).path
    told = "--patch-size, --spacing: no effect on images without label maps; leave out\n"
    assert (run / "log.txt").read_text().count(told) == 1


def test_history_has_one_row_an_epoch(vanilla: Path):
    history = pd.read_csv(vanilla / "metrics.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["learning_rate"].tolist() == pytest.approx([0.01, 0.0075, 0.0025], rel=1e-4)
    assert history.notna().all(axis=None)


def test_metrics_of_both_splits_with_intervals(vanilla: Path):
    metrics = read(vanilla / "metrics.json")
    assert metrics["resampled"] == "cases"
    assert set(metrics["splits"]) == {"val", "test"}
    for split in metrics["splits"].values():
        assert split["cases"] == 8
        assert split["patients"] is None
        assert set(split["metrics"]) == {*METRICS, *OF_TWO_CLASSES}
        assert all(value["low"] <= value["value"] <= value["high"] for value in split["metrics"].values())


def test_final_metrics_are_those_of_the_best_epoch(vanilla: Path):
    history = pd.read_csv(vanilla / "metrics.csv")
    metrics = read(vanilla / "metrics.json")
    assert metrics["best_epoch"] == int(history["val_macro_auc"].idxmax())
    value = metrics["splits"]["val"]["metrics"]["macro_auc"]["value"]
    assert value == pytest.approx(history["val_macro_auc"].max(), abs=1e-5)


def test_per_case_holds_every_held_out_case_once(vanilla: Path):
    table = pd.read_csv(vanilla / "per_case.csv")
    splits = read(vanilla / "splits.json")["cases"]
    assert dict(zip(table["id"], table["split"], strict=True)) == {
        name: split for name, split in splits.items() if split != "train"
    }
    probabilities = table[["probability_0", "probability_1"]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-6)
    assert (probabilities.argmax(axis=1) == table["prediction"]).all()
    chosen = probabilities[np.arange(len(table)), table["label"]]
    np.testing.assert_allclose(table["loss"], -np.log(chosen), atol=1e-4)


def test_examples_are_the_cases_of_largest_and_smallest_loss(vanilla: Path):
    table = pd.read_csv(vanilla / "per_case.csv").query("split == 'test'")
    entries = json.loads((vanilla / "examples.json").read_text())
    for kind, descending in (("worst", True), ("best", False)):
        expected = sorted(table["loss"], reverse=descending)[:4]
        assert [entry["loss"] for entry in entries if entry["kind"] == kind] == pytest.approx(expected, abs=1e-6)
    assert all((vanilla / entry["image"]).is_file() for entry in entries)


def test_data_and_load_report(acnorm: Path):
    data = read(acnorm / "data.json")
    assert data["counts"] == {"train": {"0": 12, "1": 12}, "val": {"0": 4, "1": 4}, "test": {"0": 4, "1": 4}}
    assert data["image"] == [3, 16, 16]
    assert data["patients"] is None
    report = read(acnorm / "load_report.json")
    assert report["parameter_share"] == report["norm_share"] == 1.0
    assert report["loaded"]["count"] == 12
    assert report["head"] == {"count": 2, "names": ["fc.weight", "fc.bias"]}


def test_config_holds_every_value_and_its_command_means_the_same(acnorm: Path):
    content = yaml.safe_load((acnorm / "config.yaml").read_text())
    command = shlex.split(content.pop("command"))
    assert content.pop("version") == package.__version__
    assert command[:2] == ["acnorm", "finetune"]
    assert config_from_flags(command[2:]).to_dict() == content


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "my eyes/x.npz", "splits": "a b.json", "acnorm": {"temperature": 0.5, "init": "identity"}},
        {"patience": 3, "learning_rate": 1e-5, "weight_decay": 0.0, "devices": "2", "workers": 4, "seed": 7},
        {"augment": "none", "format": "medmnist", "weights": "-strange.pth", "acnorm": {"exclude": "bn1"}},
        {"out": "--odd", "momentum": 0.5},
    ],
)
def test_command_of_any_configuration_means_the_same(tmp_path: Path, changes: dict):
    made = config(tmp_path, **changes)
    assert config_from_flags(shlex.split(command_of(made))[2:]) == made


def test_the_command_repeats_the_run(acnorm: Path, tmp_path: Path):
    command = shlex.split(yaml.safe_load((acnorm / "config.yaml").read_text())["command"])[2:]
    command[command.index("--out") + 1] = str(tmp_path / "again")
    run_finetune(config_from_flags(command))
    assert equal(weights_of(acnorm), weights_of(tmp_path / "again"))


def test_config_yaml_repeats_the_run(vanilla: Path, tmp_path: Path):
    made = config_from_flags(["--config", str(vanilla / "config.yaml"), "--out", str(tmp_path / "again")])
    assert isinstance(made, FinetuneConfig)
    run_finetune(made)
    assert equal(weights_of(vanilla), weights_of(tmp_path / "again"))


def test_log_tells_what_loaded_what_was_converted_and_what_was_folded(acnorm: Path):
    text = (acnorm / "log.txt").read_text()
    assert "weights.pth: 12 tensors loaded, 0 missing" in text.replace("0 adapted, ", "")
    assert "24 cases to train on, method acnorm" in text
    assert "AC-Norm: converted 2 of 2 norm layers (2 BatchNorm2d)" in text
    assert "AC-Norm: folded 2 layers" in text


def test_the_logger_is_left_as_it_was(folder: Path, tmp_path: Path):
    logger = logging.getLogger("acnorm")
    before = (logger.level, list(logger.handlers))
    run_finetune(config(folder, out=tmp_path / "run", epochs=1))
    assert (logger.level, list(logger.handlers)) == before


def test_acnorm_differs_from_vanilla(vanilla: Path, acnorm: Path):
    plain = load_file(vanilla / "model/model.safetensors")
    folded = load_file(acnorm / "model/model.safetensors")
    assert plain.keys() == folded.keys()
    assert not torch.equal(plain["conv1.weight"], folded["conv1.weight"])


def test_checkpoint_of_acnorm_holds_the_source_affine(folder: Path, acnorm: Path):
    source = torch.load(folder / "weights.pth", weights_only=True)["state_dict"]
    state = weights_of(acnorm)
    assert torch.equal(state["network.bn1.source_weight"], source["module.bn1.weight"])
    assert not torch.equal(state["network.bn1.norm.weight"], source["module.bn1.weight"])


def test_nothing_but_the_checkpoints_is_pickled(acnorm: Path):
    for file in acnorm.rglob("*"):
        if file.is_file() and file.suffix != ".ckpt":
            with pytest.raises(Exception), file.open("rb") as opened:  # noqa: B017
                pickle.load(opened)
    for file in acnorm.glob("checkpoints/*"):
        assert torch.load(file, weights_only=True)["state_dict"]


def test_nothing_temporary_is_left(acnorm: Path, vanilla: Path):
    assert not [path for run in (acnorm, vanilla) for path in run.rglob(".*")]


def test_wrappers_are_rebuilt_only_where_they_were(folder: Path, tmp_path: Path):
    changes = {"weights": folder / "weights.pth", "method": "acnorm", "acnorm": {"exclude": "bn2"}, "epochs": 1}
    run = run_finetune(config(folder, out=tmp_path / "run", **changes)).path
    assert "network.bn1.source_weight" in weights_of(run)
    assert "network.bn2.source_weight" not in weights_of(run)
    left = read(run / "acnorm.json")["left_alone"]
    assert [(layer["name"], layer["reason"]) for layer in left] == [("bn2", "excluded by name")]


def test_without_weights_the_start_is_random_and_nothing_is_reported_as_loaded(folder: Path, tmp_path: Path):
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=1)).path
    assert not (run / "load_report.json").exists()
    assert yaml.safe_load((run / "config.yaml").read_text())["weights"] is None


def test_a_last_batch_of_one_case_is_handled(tmp_path: Path):
    eyes(tmp_path / "eyes.npz", cases=42)  # 26 to train: 25 and one
    run = run_finetune(config(tmp_path, batch_size=25, epochs=1)).path
    assert read(run / "data.json")["counts"]["train"] == {"0": 13, "1": 13}
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == 1
    assert all(value.isfinite().all() for value in state["state_dict"].values())


def test_train_loss_is_the_mean_over_all_cases(folder: Path, tmp_path: Path):
    changes = {"learning_rate": 1e-12, "weight_decay": 0, "augment": "none", "batch_size": 9, "epochs": 1}
    run = run_finetune(config(folder, out=tmp_path / "run", model="tiny_runs:without_norm", **changes)).path
    data = prepare_data(config(folder, out=run, **changes))
    predictions = predict_cases(load_shipped(RunFolder(run), "tiny_runs:without_norm").network, data.train)
    assert pd.read_csv(run / "metrics.csv")["train_loss"][0] == pytest.approx(predictions.losses.mean(), rel=1e-5)


def test_a_new_file_of_splits_is_written_and_used_by_the_next_run(folder: Path, tmp_path: Path):
    table = tmp_path / "eyes.csv"
    with np.load(folder / "eyes.npz") as arrays:
        images, labels = arrays["train_images"], arrays["train_labels"].ravel()
    for at, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{at:02}.png")
    rows = [f"{at:02}.png,{label},P{at // 2}" for at, label in enumerate(sorted(labels))]
    table.write_text("\n".join(["image,label,patient", *rows]))
    changes = {"data": table, "splits": tmp_path / "splits.json", "epochs": 1}
    first = run_finetune(config(tmp_path, out=tmp_path / "first", **changes))
    second = run_finetune(config(tmp_path, out=tmp_path / "second", seed=5, **changes)).path
    assert read(tmp_path / "splits.json")["cases"] == read(second / "splits.json")["cases"]
    assert read(second / "data.json")["origin"].startswith("reused from splits.json: made: a stratified, patient-")
    assert first.metrics["resampled"] == "patients"
    assert first.metrics["splits"]["test"]["patients"] < first.metrics["splits"]["test"]["cases"]


@pytest.mark.parametrize("model", ["tiny_runs:tiny", "tiny_runs:dropping"])
def test_any_number_of_workers_gives_the_same_weights(folder: Path, tmp_path: Path, model: str):
    changes = {"weights": folder / "weights.pth", "method": "acnorm", "model": model}
    runs = [run_finetune(config(folder, out=tmp_path / str(n), workers=n, **changes)).path for n in (0, 4)]
    assert equal(weights_of(runs[0]), weights_of(runs[1]))
    assert (runs[0] / "per_case.csv").read_text() == (runs[1] / "per_case.csv").read_text()


def test_method_and_seed_matter(folder: Path, tmp_path: Path, vanilla: Path, acnorm: Path):
    changes = {"weights": folder / "weights.pth", "seed": 1}
    other = run_finetune(config(folder, out=tmp_path / "run", **changes)).path
    weights = [weights_of(run)["network.conv1.weight"] for run in (vanilla, acnorm, other)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_resuming_goes_on_from_the_last_checkpoint_and_a_new_run_from_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    starts = []

    def watched(*arguments: object, resume_from: Path | None, **others: object) -> object:
        starts.append(resume_from)
        return fit(*arguments, resume_from=resume_from, **others)

    monkeypatch.setattr(finetune, "fit", watched)
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=1)).path
    (run / "metrics.json").unlink()
    run_finetune(config(folder, out=run, epochs=1, resume=True))
    assert starts == [None, run / "checkpoints/last.ckpt"]
    run_finetune(config(folder, out=run, epochs=1, resume=True))
    assert len(starts) == 2
    assert f"{run} is finished; there is nothing to resume" in caplog.text


def test_cases_that_a_split_file_leaves_out_are_not_trained_on(tmp_path: Path):
    eyes(tmp_path / "eyes.npz")
    whole = prepare_data(config(tmp_path)).splits.assignment()
    left_out = [name for name, split in whole.items() if split == "train"][:10]
    (tmp_path / "s.json").write_text(json.dumps({"origin": "half", "cases": whole | dict.fromkeys(left_out, "unused")}))
    run_finetune(config(tmp_path, splits=tmp_path / "s.json", epochs=1))
    kept = read(tmp_path / "run/splits.json")["cases"]
    assert sorted(name for name, split in kept.items() if split == "unused") == sorted(left_out)
    assert sum(read(tmp_path / "run/data.json")["counts"]["train"].values()) == 14
    (tmp_path / "run/metrics.json").unlink()  # as if it had been killed at its end
    run_finetune(config(tmp_path, splits=tmp_path / "s.json", epochs=1, resume=True))
    assert read(tmp_path / "run/splits.json")["cases"] == kept
