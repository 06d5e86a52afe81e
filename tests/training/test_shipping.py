"""What a run ships: the network without acnorm, and what is refused when it is loaded."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_model

from acnorm.data.preprocessing import Preprocessing
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.training.finetune import run_finetune
from acnorm.training.prepare import prepare_data
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import example_batch, load_shipped, ship
from tiny_runs import TESTS, checkpoint, config, spread_norms

PREPARE = Preprocessing(size=16, channels=3, mean=(0.5, 0.4, 0.3), deviation=(0.2, 0.3, 0.25))
GUIDE = TESTS.parent / "docs/guide.md"


def shipped(folder: Path, name: str = "cifar/resnet20", classes: tuple[str, ...] = ("healthy", "ill")) -> RunFolder:
    """Ship a network that looks trained."""
    run = RunFolder(folder)
    network = build_network(name, classes=len(classes), channels=3)
    spread_norms(network.module)
    ship(run, network, network.module, classes, PREPARE, "classification")
    return run


def lines_of_the_guide() -> list[str]:
    """The code block of the section on plain PyTorch."""
    section = GUIDE.read_text().split("## The network without acnorm")[1].split("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


@pytest.mark.parametrize("method", ["vanilla", "acnorm"])
def test_the_lines_of_the_guide_load_the_network_without_acnorm(folder: Path, tmp_path: Path, method: str):
    weights = checkpoint(tmp_path / "weights.pth", "cifar/resnet20")
    changes = {"model": "cifar/resnet20", "weights": weights, "method": method, "epochs": 1}
    made = config(folder, out=tmp_path / "run", **changes)
    run = run_finetune(made).path
    test = prepare_data(made).test
    torch.save(torch.stack([test[0, at]["image"] for at in range(len(test))]), tmp_path / "images.pt")
    lines = lines_of_the_guide()
    assert len(lines) == 3
    code = [
        "import sys; sys.modules['acnorm'] = None",
        *lines,
        "import torch; images = torch.load('../../images.pt')",
        "torch.save(model(images).softmax(1).detach(), '../../found.pt')",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=run / "model", check=True, timeout=100)
    table = pd.read_csv(run / "per_case.csv").query("split == 'test'")
    assert table["id"].tolist() == [case.id for case in test.cases]
    expected = torch.tensor(table[["probability_0", "probability_1"]].to_numpy(), dtype=torch.float32)
    torch.testing.assert_close(torch.load(tmp_path / "found.pt"), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["monai/resnet10", "monai/densenet121"])
def test_the_factory_that_the_description_names_rebuilds_the_network(tmp_path: Path, name: str):
    run = shipped(tmp_path, name)
    assert not (run.model / "network.py").exists()
    content = json.loads((run.model / "model.json").read_text())
    factory = getattr(importlib.import_module(content["import"]["module"]), content["import"]["name"])
    model = factory(**content["arguments"]).eval()
    load_model(model, run.model / "model.safetensors")
    images = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(model(images), load_shipped(run).network(images))


def test_what_was_shipped_is_loaded(tmp_path: Path):
    run = RunFolder(tmp_path)
    network = build_network("cifar/resnet20", classes=3, channels=3)
    spread_norms(network.module)
    ship(run, network, network.module, ("a", "b", "c"), PREPARE, "classification")
    found = load_shipped(run)
    assert (found.classes, found.preprocessing) == (("a", "b", "c"), PREPARE)
    assert not found.network.training
    images = example_batch(PREPARE)
    with torch.no_grad():
        assert torch.equal(found.network(images), network.module.eval()(images))
    assert json.loads((run.model / "model.json").read_text())["input"] == list(images.shape[1:])


def test_a_folder_without_a_network_is_no_finished_run(tmp_path: Path):
    told = r"run: is not a finished run \(no model/model\.json\); give the --out of acnorm finetune"
    with pytest.raises(UserError, match=told):
        load_shipped(RunFolder(tmp_path / "run"))


@pytest.mark.parametrize(
    ("content", "what"),
    [("{", "not JSON"), ("{}", "'model'"), ('{"model": "cifar/resnet20", "classes": 3}', "'int' object is not")],
)
def test_a_damaged_description_is_refused(tmp_path: Path, content: str, what: str):
    run = shipped(tmp_path)
    (run.model / "model.json").write_text(content)
    with pytest.raises(UserError, match=rf"model\.json: is damaged \({what}.*\); run acnorm finetune again"):
        load_shipped(run)


@pytest.mark.parametrize("damage", ["cut", "missing", "other classes"])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, damage: str):
    run = shipped(tmp_path)
    weights = run.model / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "missing":
        weights.unlink()
    else:
        description = run.read_json("model/model.json")
        run.write_json("model/model.json", description | {"classes": ["one", "two", "three"]})
    with pytest.raises(UserError, match=r"model\.safetensors: does not load \(.+\); run acnorm finetune again\.$"):
        load_shipped(run)


def test_a_file_does_not_decide_what_code_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = shipped(tmp_path, "tiny_runs:tiny")
    content = run.read_json("model/model.json")
    run.write_json("model/model.json", content | {"model": "evil_code:make"})
    (tmp_path / "evil_code.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    told = r"was trained with the network evil_code:make; to import that code give --model evil_code:make"
    for model in (None, "tiny_runs:tiny"):
        with pytest.raises(UserError, match=told):
            load_shipped(run, model)
    assert "evil_code" not in sys.modules


def test_a_network_of_ones_own_is_loaded_by_its_name(tmp_path: Path):
    run = shipped(tmp_path, "tiny_runs:tiny")
    found = load_shipped(run, "tiny_runs:tiny").network
    assert {name.split(".")[0] for name in found.state_dict()} == {"conv1", "bn1", "conv2", "bn2", "fc"}


def test_example_images_are_always_the_same_and_of_the_input_shape():
    assert example_batch(PREPARE, 5).shape == (5, 3, 16, 16)
    assert torch.equal(example_batch(PREPARE), example_batch(PREPARE))
