"""Tiny phantoms, networks and runs: whole fine-tuning runs in about a second."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.data.phantoms import fundus_phantoms
from acnorm.models.sources import build_network
from acnorm.training.config import FinetuneConfig
from acnorm.training.settings import config_from_settings

if TYPE_CHECKING:
    import pytest
    from matplotlib.figure import Figure

TESTS = Path(__file__).parent
NETWORK = "tiny_runs:tiny"


class TinyNet(nn.Module):
    """A stem, two BatchNorm layers and a head; optionally dropout, optionally without norms."""

    def __init__(
        self, num_classes: int, in_channels: int, *, drop: float = 0.0, norm: bool = True, width: int = 8
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(6, width, 3, stride=2, padding=1)
        self.bn2 = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.drop = nn.Dropout(drop)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.bn1(self.conv1(images)))
        features = functional.relu(self.bn2(self.conv2(features)))
        return self.fc(self.drop(features.mean((2, 3))))


def tiny(num_classes: int, in_channels: int) -> nn.Module:
    """The usual tiny network."""
    return TinyNet(num_classes, in_channels)


def dropping(num_classes: int, in_channels: int) -> nn.Module:
    """With dropout, whose randomness a resumed run must repeat."""
    return TinyNet(num_classes, in_channels, drop=0.5)


def narrow(num_classes: int, in_channels: int) -> nn.Module:
    """With fewer features."""
    return TinyNet(num_classes, in_channels, width=5)


def without_norm(num_classes: int, in_channels: int) -> nn.Module:
    """Without BatchNorm, so that batches can be split without a difference."""
    return TinyNet(num_classes, in_channels, norm=False)


def eyes(file: Path, *, cases: int = 40, size: int = 16, domain: str = "target", seed: int = 0) -> Path:
    """Phantoms of two classes as a MedMNIST archive."""
    return fundus_phantoms(file, domain=domain, cases=cases, size=size, seed=seed, task="disc_side")


def checkpoint(file: Path, model: str = NETWORK, *, classes: int = 3, channels: int = 3, seed: int = 1) -> Path:
    """A checkpoint of a network that looks trained: the norms' affines and statistics are spread."""
    torch.manual_seed(seed)
    module = build_network(model, classes=classes, channels=channels).module
    spread_norms(module)
    torch.save({"state_dict": {f"module.{name}": value for name, value in module.state_dict().items()}}, file)
    return file


def spread_norms(module: nn.Module) -> None:
    """Give every BatchNorm an affine and running statistics as after training."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.5)
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a vanilla run of the tiny network on the phantoms in `folder`; `changes` win."""
    usual = {
        "data": folder / "eyes.npz",
        "model": NETWORK,
        "out": folder / "run",
        "method": "vanilla",
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 0.01,
        "bootstrap": 20,
        "accelerator": "cpu",
        "devices": "1",
    }
    return usual | changes


def config(folder: Path, **changes: Any) -> FinetuneConfig:
    """The configuration of `settings`."""
    return config_from_settings(settings(folder, **changes))


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave the figures of reports empty: to draw them takes longer than a tiny run, and tests/report does."""

    def empty(_: Figure, file: Any, **__: Any) -> None:
        file.write('<svg viewBox="0 0 72 72"></svg>')

    patch.setattr("acnorm.report.drawing._laid_out", lambda figure: figure)
    patch.setattr("matplotlib.figure.Figure.savefig", empty)


def weights_of(run: Path, name: str = "last") -> dict[str, Tensor]:
    """The weights in a checkpoint of a run."""
    return torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def flags(values: dict[str, Any]) -> list[str]:
    """Settings as command-line flags."""
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def cli(
    *arguments: str, cwd: Path, timeout: float = 400, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with warnings as errors of its own making only."""
    command = [sys.executable, "-m", "acnorm.cli.main", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    variables = inherited | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"} | (environment or {})
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=timeout)
