from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from acnorm.data.phantoms import fundus_phantoms
from acnorm.errors import UserError
from acnorm.models.cifar import CifarResNet
from acnorm.training import finetune as finetune_module
from acnorm.training.config import FinetuneConfig
from acnorm.training.finetune import run_finetune
from acnorm.training.fit import fit
from acnorm.training.module import FinetuneModule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    fundus_phantoms(folder / "eyes.npz", domain="target", cases=60, size=16, seed=0)
    source = CifarResNet(20)
    for layer in source.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.bias, std=0.3)
    torch.save(source.state_dict(), folder / "weights.pth")
    return folder


def config(folder: Path, out: str, **changes) -> FinetuneConfig:
    settings = {"epochs": 3, "batch_size": 16, "method": "acnorm", "accelerator": "cpu", "bootstrap": 20, **changes}
    return FinetuneConfig(
        data=str(folder / "eyes.npz"),
        model="cifar/resnet20",
        weights=str(folder / "weights.pth"),
        out=str(folder / out),
        **settings,
    )


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return run_finetune(config(folder, "whole")).path


def test_resumed_after_a_kill_is_the_uninterrupted_run(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch):
    step = FinetuneModule.training_step

    def killed(self, batch, batch_idx):
        if self.current_epoch == 1 and batch_idx == 1:
            raise MemoryError("killed")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneModule, "training_step", killed)
        with pytest.raises(MemoryError):
            run_finetune(config(folder, "killed"))
    assert not (folder / "killed" / "metrics.json").exists()
    with pytest.raises(UserError, match=r"started with other settings .epochs was 3, is 4.; use the same"):
        run_finetune(config(folder, "killed", epochs=4, resume=True))
    starts = []

    def watched(module, settings, run, *, resume_from=None):
        starts.append(resume_from)
        return fit(module, settings, run, resume_from=resume_from)

    monkeypatch.setattr(finetune_module, "fit", watched)
    resumed = run_finetune(config(folder, "killed", resume=True)).path
    assert starts == [resumed / "checkpoints" / "last.ckpt"]
    assert equal(weights(resumed), weights(whole))
    rows = [(run / "metrics.csv").read_text().splitlines() for run in (resumed, whole)]
    assert [row.rsplit(",", 1)[0] for row in rows[0]] == [row.rsplit(",", 1)[0] for row in rows[1]]


def test_same_seed_same_run_with_0_and_4_workers(folder: Path, whole: Path):
    assert equal(weights(run_finetune(config(folder, "workers", workers=4)).path), weights(whole))


def test_method_and_seed_matter(folder: Path, whole: Path):
    assert not equal(weights(run_finetune(config(folder, "vanilla", method="vanilla")).path), weights(whole))
    assert not equal(weights(run_finetune(config(folder, "other", seed=1)).path), weights(whole))


def test_a_finished_run_has_nothing_to_resume(folder: Path, whole: Path, caplog: pytest.LogCaptureFixture):
    before = weights(whole)
    run_finetune(config(folder, "whole", resume=True))
    assert "is finished; there is nothing to resume" in caplog.text
    assert equal(weights(whole), before)
