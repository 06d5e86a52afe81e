from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from acnorm.bench.cells import LIBRARIES, Inputs, address_of, code_version, network_content, read_inputs
from acnorm.bench.folds import Division
from acnorm.data.case import Collection
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.prepare import prepare_data
from tiny_runs import NETWORK, checkpoint, config, eyes

INPUTS = Inputs(Collection((), (), Path("eyes"), "folder"), "data", "weights", None)
DIVISION = Division({"a": "train", "b": "test"}, "made", released_test=False)


def usual(**changes: object) -> FinetuneConfig:
    return FinetuneConfig(**{"data": "eyes", "model": "cifar/resnet20", "out": "run", "method": "vanilla"} | changes)


SAME = address_of(usual(), INPUTS, DIVISION)


@pytest.mark.parametrize(
    "changes",
    [
        {"out": "elsewhere"},
        {"data": "moved"},
        {"weights": "renamed.pth"},
        {"splits": "s.json"},
        {"workers": 3},
        {"memory": 1.0},
        {"resume": True},
        {"acnorm": replace(usual().acnorm, temperature=0.5)},  # of a method that is not used
    ],
)
def test_what_changes_nothing_does_not_count(changes: dict[str, object]):
    assert address_of(usual(**changes), INPUTS, DIVISION) == SAME


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 3}, {"seed": 1}, {"method": "acnorm"}, {"precision": "64-true"}, {"model": "cifar/resnet32"}],
)
def test_settings_of_the_result_count(changes: dict[str, object]):
    assert address_of(usual(**changes), INPUTS, DIVISION) != SAME


def test_settings_of_the_method_count():
    one = usual(method="acnorm+bss")
    other = replace(one, acnorm=replace(one.acnorm, temperature=0.5))
    assert address_of(one, INPUTS, DIVISION) != address_of(other, INPUTS, DIVISION)


@pytest.mark.parametrize("changes", [{"data": "x"}, {"weights": "x"}, {"weights": None}, {"network": "x"}])
def test_contents_count(changes: dict[str, object]):
    assert address_of(usual(), replace(INPUTS, **changes), DIVISION) != SAME


def test_splits_and_code_count(monkeypatch: pytest.MonkeyPatch):
    other = replace(DIVISION, assigned={"a": "test", "b": "train"})
    assert address_of(usual(), INPUTS, other) != SAME
    assert address_of(usual(), INPUTS, replace(DIVISION, origin="told otherwise")) == SAME
    monkeypatch.setattr("acnorm.bench.cells.code_version", lambda: "another")
    assert address_of(usual(), INPUTS, DIVISION) != SAME


def test_the_code_is_that_of_the_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    package = tmp_path / "acnorm"
    for name in ("bench/cells.py", "core/layer.py", "report/write.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("1")
    monkeypatch.setattr("acnorm.bench.cells.__file__", str(package / "bench/cells.py"))
    first = code_version.__wrapped__()
    (package / "report/write.py").write_text("2")
    assert code_version.__wrapped__() == first
    (package / "core/layer.py").write_text("2")
    assert code_version.__wrapped__() != first


def test_inputs_are_known_by_what_they_hold(tmp_path: Path):
    eyes(tmp_path / "eyes.npz")
    checkpoint(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes((tmp_path / "a.pth").read_bytes())
    first = read_inputs(config(tmp_path, weights=str(tmp_path / "a.pth")))
    second = read_inputs(config(tmp_path, weights=str(tmp_path / "b.pth")))
    assert first.weights == second.weights
    assert len(first.collection) == 40
    assert first.network is not None  # the file of the tiny network
    assert read_inputs(config(tmp_path, model="cifar/resnet20")).network is None
    assert read_inputs(config(tmp_path, weights="pretrained")).weights == "pretrained"


def test_what_runs_leave_out_is_in_no_split(tmp_path: Path):
    archive = eyes(tmp_path / "eyes.npz")
    with np.load(archive) as file:
        arrays = dict(file)
    arrays["train_images"][0] = arrays["test_images"][0]
    np.savez(archive, **arrays)
    settings = config(tmp_path, skip_bad=True)
    cases = read_inputs(settings).collection.cases
    assert cases == prepare_data(settings).collection.cases
    assert len(cases) == 39


def test_a_missing_checkpoint_is_told(tmp_path: Path):
    eyes(tmp_path / "eyes.npz")
    with pytest.raises(UserError) as error:
        read_inputs(config(tmp_path, weights="no.pth"))
    assert str(error.value) == (
        "--weights no.pth: no such file; give a checkpoint, or leave it out for random weights."
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_versions_of_what_computes_count(monkeypatch: pytest.MonkeyPatch, library: str):
    first = code_version.__wrapped__()
    monkeypatch.setattr("acnorm.bench.cells.version", lambda name: "0" if name == library else version(name))
    assert code_version.__wrapped__() != first


def test_the_versions_of_extras_count_for_the_networks_that_they_give(monkeypatch: pytest.MonkeyPatch):
    def found(model: str, timm: str | None) -> str | None:
        def installed(name: str) -> str:
            if timm is None:
                raise PackageNotFoundError
            return timm

        monkeypatch.setattr("acnorm.bench.cells.version", installed)
        return network_content(model)

    for model in ("timm/resnet18", "smp/unet-resnet18", "torchvision/resnet18", NETWORK):
        assert len({found(model, version) for version in ("1.0", "1.1", None)}) == 3
    assert {found("cifar/resnet20", version) for version in ("1.0", "1.1", None)} == {None}
