"""Bad input is told in one line and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from acnorm.errors import RunError, UserError
from acnorm.training.finetune import run_finetune
from tiny_runs import TinyNet, checkpoint, config, eyes, weights_of


class Tuple(TinyNet):
    """Returns more than logits."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images), images


def gives_a_tuple(num_classes: int, in_channels: int) -> nn.Module:
    return Tuple(num_classes, in_channels)


def needs_large_images(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(64), nn.Flatten(), nn.Linear(in_channels, num_classes))


def layer_norm_only(num_classes: int, in_channels: int) -> nn.Module:
    body = [nn.Conv2d(in_channels, 4, 3), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(4, num_classes))


def drifting(num_classes: int, in_channels: int) -> nn.Module:
    """Random even in eval, so that folding seems to move its output."""

    class Drifting(TinyNet):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images + torch.rand_like(images))

    return Drifting(num_classes, in_channels)


REFUSED = {
    "no data": ({"data": "nowhere.npz"}, r"nowhere\.npz: no such file or folder; check the path"),
    "unknown format": (
        {"format": "medminst"},
        r"unknown format 'medminst'; allowed are medmnist, table, idrid, drive, nnunet, msd, acdc, lits, luna16, lidc, lidc-malignancy, mmwhs, aptos, eyepacs, chase, stare, hrf, pairs, folder",
    ),
    "unknown model": ({"model": "cifar/resnet21"}, r"--model 'cifar/resnet21' is not known; did you mean cifar/resnet"),
    "no weights": ({"weights": "nowhere.pth"}, r"nowhere\.pth: no such file; give the path of a checkpoint"),
    "other weights": ({"model": "cifar/resnet20", "weights": "weights.pth"}, r"only 0\.\d% of the parameters of Cifar"),
    "acnorm without weights": (
        {"method": "acnorm"},
        r"--method acnorm with --model tiny_runs:tiny: nothing to .* Give --weights, or --method vanilla",
    ),
    "acnorm without BatchNorm": (
        {"method": "acnorm", "model": "test_finetune_refusals:layer_norm_only", "weights": "group.pth"},
        r"--method acnorm with --model test_finetune_refusals:layer_norm_only: nothing to .*found 1 GroupNorm",
    ),
    "pattern of no layer": (
        {"method": "acnorm", "weights": "weights.pth", "acnorm": {"include": "layer9.*"}},
        r"--method acnorm with .*layer9",
    ),
    "devices": ({"devices": "two"}, r"^--devices two: Lightning cannot use it here; give "),
    "precision": ({"precision": "12-true"}, r"^precision is '12-true', must be one of auto, "),
    "strategy": ({"strategy": "ddpp"}, r"^--strategy ddpp: Lightning cannot use it here; give "),
    "accelerator": ({"accelerator": "abacus"}, r"^--accelerator abacus: Lightning cannot use it here; give "),
    "too small images": (
        {"model": "test_finetune_refusals:needs_large_images"},
        r"--model test_finetune_refusals:needs_large_images: cannot take images of 3 × 16 × 16 \(RuntimeError: .*\); "
        r"give another --image-size or --model",
    ),
    "a tuple": (
        {"model": "test_finetune_refusals:gives_a_tuple"},
        r"--model test_finetune_refusals:gives_a_tuple: gives tuple for 2 images; logits \[2, 2\] are needed",
    ),
    "splits of other data": ({"splits": "other.json"}, r"other\.json: names 1 case that the data lacks"),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    eyes(folder / "eyes.npz")
    checkpoint(folder / "weights.pth")
    torch.save(layer_norm_only(3, 3).state_dict(), folder / "group.pth")
    (folder / "other.json").write_text('{"cases": {"somebody": "train"}}')
    return folder


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("overwrite", [False, True])
def test_bad_input_changes_nothing(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict,
    message: str,
    overwrite: bool,
):
    monkeypatch.chdir(inputs)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    out = tmp_path / "run"
    if overwrite:
        out.mkdir()
        (out / "config.yaml").write_text("seed: 1")
    with pytest.raises(UserError, match=message):
        run_finetune(config(inputs, out=out, overwrite=overwrite, **changes))
    assert list(tmp_path.rglob("*")) == ([out, out / "config.yaml"] if overwrite else [])
    assert sorted(path.name for path in inputs.iterdir()) == ["eyes.npz", "group.pth", "other.json", "weights.pth"]


def test_bad_input_leaves_no_new_file_of_splits(folder: Path, tmp_path: Path):
    changes = {"splits": tmp_path / "splits.json", "weights": tmp_path / "nowhere.pth"}
    with pytest.raises(UserError, match="no such file"):
        run_finetune(config(folder, out=tmp_path / "run", **changes))
    assert list(tmp_path.iterdir()) == []


def test_images_of_different_sizes_need_a_size(tmp_path: Path):
    from PIL import Image

    for at, label in enumerate("ab" * 10):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16 + 4 * (at // 10), 16), (at, 0, 0)).save(tmp_path / f"data/{label}/{at}.png")
    data = {"data": tmp_path / "data", "epochs": 1, "batch_size": 4}
    with pytest.raises(UserError, match=r"images differ in size \(longer sides 16, 20\); give --image-size PIXELS"):
        run_finetune(config(tmp_path, **data))
    assert not (tmp_path / "run").exists()
    assert run_finetune(config(tmp_path, image_size=16, **data)).metrics["splits"]["val"]["cases"]


def test_a_folder_that_is_not_empty_is_refused(folder: Path, vanilla: Path, tmp_path: Path):
    before = weights_of(vanilla)["network.fc.bias"]
    with pytest.raises(UserError, match=r"is not empty; --resume goes on with the run in it, --overwrite deletes it"):
        run_finetune(config(folder, out=vanilla))
    assert torch.equal(weights_of(vanilla)["network.fc.bias"], before)
    (tmp_path / "notes.txt").write_text("mine")
    for how in ("resume", "overwrite"):
        with pytest.raises(UserError, match=r"holds files but no run \(no config\.yaml\); give another folder"):
            run_finetune(config(folder, out=tmp_path, **{how: True}))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_as_folder_and_a_folder_in_a_file_are_refused(folder: Path, tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"--out .*file: is a file; give a folder"):
        run_finetune(config(folder, out=file))
    with pytest.raises(UserError, match=r"--out .*run: cannot be made \(Not a directory\); give another folder"):
        run_finetune(config(folder, out=file / "run"))
    assert file.read_text() == "mine"


def test_overwrite_deletes_the_run_before(folder: Path, tmp_path: Path):
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=1)).path
    (run / "predictions").mkdir()
    first = weights_of(run)
    run_finetune(config(folder, out=run, epochs=1, seed=1, overwrite=True))
    assert not (run / "predictions").exists()
    assert not torch.equal(weights_of(run)["network.fc.weight"], first["network.fc.weight"])


@pytest.mark.parametrize(("name", "file"), [("data", "eyes.npz"), ("weights", "model/model.safetensors")])
def test_overwrite_does_not_delete_its_own_inputs(folder: Path, tmp_path: Path, name: str, file: str):
    run = tmp_path / "run"
    (run / file).parent.mkdir(parents=True)
    (run / "config.yaml").touch()
    (run / file).write_bytes(b"mine")
    told = rf"--{name} .*: lies in --out .*run, which --overwrite deletes; move it or give another folder\.$"
    with pytest.raises(UserError, match=told):
        run_finetune(config(folder, out=run, overwrite=True, **{name: str(run / file)}))
    assert (run / file).read_bytes() == b"mine"


def test_a_fold_that_moves_the_output_fails_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    changes = {"method": "acnorm", "weights": folder / "weights.pth", "epochs": 1}
    with pytest.raises(RunError, match=r"--method acnorm: folding moved the output by .*is it random\?"):
        run_finetune(config(folder, out=tmp_path / "run", model="test_finetune_refusals:drifting", **changes))
    assert not (tmp_path / "run/metrics.json").exists()
    assert "ERROR stopped: --method acnorm: folding moved" in (tmp_path / "run/log.txt").read_text()


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path):
    for at, label in enumerate("ab" * 10):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / f"data/{label}/{at}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises(UserError, match=r"data/a/\d+\.png: "):
        run_finetune(config(tmp_path, data=tmp_path / "data"))
    assert not (tmp_path / "run").exists()


def test_splits_that_cannot_be_written_are_refused_before_anything_is(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"^/proc/none/s\.json: cannot be written \(.+\); give another place\.$"):
        run_finetune(config(folder, out=tmp_path / "run", splits="/proc/none/s.json"))
    assert list(tmp_path.iterdir()) == []
