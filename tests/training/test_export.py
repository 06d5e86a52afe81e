"""Exported files compute what the run computes, or are not written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from acnorm.data.preprocessing import Preprocessing
from acnorm.errors import RunError, UserError
from acnorm.models.sources import build_network
from acnorm.training import export as export_module
from acnorm.training.export import FORMATS, export
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import load_shipped, ship
from tiny_runs import NETWORK, TinyNet, spread_norms

formats = pytest.mark.parametrize("format", FORMATS)


class Undecided(TinyNet):
    """Does what the images say, which no graph can hold."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if float(images.sum()) > 0 else -images)


def undecided(num_classes: int, in_channels: int) -> nn.Module:
    return Undecided(num_classes, in_channels)


def shipped(folder: Path, model: str = NETWORK) -> Path:
    network = build_network(model, classes=2, channels=3)
    spread_norms(network.module)
    prepare = Preprocessing(size=16, channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3)
    ship(RunFolder(folder), network, network.module, ("healthy", "ill"), prepare, "classification")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return shipped(tmp_path / "run")


def run_exported(file: Path, images: Tensor) -> np.ndarray:
    """The logits by a program that knows nothing of acnorm."""
    if file.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return session.run(["logits"], {"image": images.numpy()})[0]
    return torch.export.load(file).module()(images).detach().numpy()


@formats
def test_the_exported_file_gives_the_logits_of_the_run_for_any_number_of_images(tmp_path: Path, format: str):
    run = shipped(tmp_path, "cifar/resnet20")
    exported = export(run, format)
    assert exported.path == run / "model" / FORMATS[format]
    assert exported.difference <= 1e-4
    network = load_shipped(RunFolder(run)).network
    for count in (1, 2, 7):
        images = torch.randn(count, 3, 16, 16)
        with torch.no_grad():
            logits = network(images).numpy()
        allowed = 1e-4 * max(1.0, float(np.abs(logits).max()))
        np.testing.assert_allclose(run_exported(exported.path, images), logits, rtol=0, atol=allowed)


def test_logits_are_compared_as_large_as_they_are():
    images, small = torch.full((1, 2), 1000.0), torch.full((1, 2), 0.25)
    network = torch.nn.Identity()
    assert export_module._difference(network, lambda images: images.numpy() + 0.05, images) == pytest.approx(
        5e-5, rel=1e-3
    )
    assert export_module._difference(network, lambda images: images.numpy() + 0.05, small) == pytest.approx(0.05)


def test_a_file_that_exists_stays_unless_it_may_be_overwritten(run: Path, tmp_path: Path):
    file = tmp_path / "mine.pt2"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"mine\.pt2: exists; give --out another file, or --overwrite\.$"):
        export(run, "torch-export", out=file, model=NETWORK)
    assert file.read_text() == "mine"
    assert export(run, "torch-export", out=file, model=NETWORK, overwrite=True).path == file
    assert torch.export.load(file)


@pytest.mark.parametrize("name", ["mine.pth", "model", "model.onnx"])
def test_no_other_kind_of_file_is_replaced(run: Path, tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    with pytest.raises(
        UserError, match=rf"{name}: an exported torch-export file ends in \.pt2; give a name that does\.$"
    ):
        export(run, "torch-export", out=tmp_path / name, model=NETWORK, overwrite=True)
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_is_no_file_to_export_to(run: Path, tmp_path: Path):
    (tmp_path / "model.pt2").mkdir()
    with pytest.raises(UserError, match=r"model\.pt2: is a folder; give a file\.$"):
        export(run, "torch-export", out=tmp_path / "model.pt2", model=NETWORK, overwrite=True)


def test_a_format_that_is_not_known_is_refused(run: Path):
    with pytest.raises(UserError, match=r"^--format 'caffe' is not known; there are onnx, torch-export\.$"):
        export(run, "caffe")


@formats
def test_what_is_no_finished_run_is_refused(tmp_path: Path, format: str):
    with pytest.raises(UserError, match=r"is not a finished run \(no model/model\.json\); give the --out of acnorm"):
        export(tmp_path, format)


def test_a_network_of_ones_own_must_be_named(run: Path):
    with pytest.raises(UserError, match=rf"to import that code give --model {NETWORK}\.$"):
        export(run, "torch-export")


@pytest.mark.parametrize("absent", ["onnxscript", "onnxruntime"])
def test_without_the_extra_it_is_told_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch, absent: str):
    for name in [name for name in sys.modules if name.partition(".")[0] == absent]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(UserError, match=rf"^--format onnx needs {absent}; pip install 'acnorm\[onnx\]'\.$"):
        export(run, "onnx", model=NETWORK)
    assert not (run / "model/model.onnx").exists()


@formats
def test_a_network_that_no_graph_can_hold_fails_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    run = shipped(tmp_path, "test_export:undecided")
    with pytest.raises(RunError, match=rf"^the network cannot be exported as {format}: .+") as failed:
        export(run, format, model="test_export:undecided")
    assert "\n" not in str(failed.value)
    assert len(str(failed.value)) < 400
    assert {path.name for path in (run / "model").iterdir()} == {"model.json", "model.safetensors"}


@pytest.mark.parametrize(("shift", "told"), [(0.01, r"1\.0e-02"), (float("nan"), "nan")])
def test_a_file_that_computes_something_else_is_not_written(
    run: Path, monkeypatch: pytest.MonkeyPatch, shift: float, told: str
):
    read = export_module._read_program
    monkeypatch.setattr(export_module, "_read_program", lambda file: lambda images: read(file)(images) + shift)
    message = (
        r"^the exported torch-export file computes something else: its logits differ by "
        rf"{told} \(allowed: 1e-04\); nothing was written\.$"
    )
    with pytest.raises(RunError, match=message):
        export(run, "torch-export", model=NETWORK)
    assert not (run / "model/model.pt2").exists()
