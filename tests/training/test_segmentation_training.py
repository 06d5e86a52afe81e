"""Segmentation through the same training loop as classification: it learns, and a resumed run is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from acnorm.core.census import acnorm_layers
from acnorm.core.convert import convert
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.segmentation import PreparedSegmentation, load_segmentation
from acnorm.models.sources import build_unet
from acnorm.training.fit import fit
from acnorm.training.module import FinetuneModule
from acnorm.training.run_folder import RunFolder
from acnorm.training.segmentation import SegmentationObjective
from tiny_runs import config, equal, spread_norms, weights_of

PATCH = (16, 16)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> PreparedSegmentation:
    """Bright discs on noise, of other sizes than the patches."""
    root = tmp_path_factory.mktemp("discs")
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    rows, columns = np.indices((30, 26))
    for at in range(14):
        draw = np.random.default_rng(at)
        row, column, radius = draw.integers(8, 20), draw.integers(8, 18), draw.integers(4, 7)
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        pixels = draw.normal(90, 20, disc.shape) + 80 * disc
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{at:02}.png")
        Image.fromarray(disc.astype(np.uint8)).save(root / "masks" / f"{at:02}.png")
    return load_segmentation(root, patch_size=16, per_case=4)


def module_of(discs: PreparedSegmentation, out: Path, *, method: str, **changes: object) -> FinetuneModule:
    torch.manual_seed(0)
    network = build_unet("cifar/resnet20", classes=2, channels=1)
    spread_norms(network.module.encoder)
    module = convert(network.module) if method == "acnorm" else network.module
    objective = SegmentationObjective(2, IntensityPreprocessing(1, PATCH), discs.val.labelled)
    made = config(out, out=out, learning_rate=0.02, head_rate=3.0, **changes)
    return FinetuneModule(module, network.head, discs, made, objective)


def train(module: FinetuneModule, resume_from: Path | None = None) -> Path:
    run = RunFolder(Path(module.config.out))
    fit(module, module.config, run, resume_from=resume_from)
    return run.path


@pytest.mark.parametrize("method", ["vanilla", "acnorm"])
def test_it_learns_and_keeps_the_best_epoch(discs: PreparedSegmentation, tmp_path: Path, method: str):
    module = module_of(discs, tmp_path / "run", method=method, epochs=6)
    run = train(module)
    history = pd.read_csv(run / "metrics.csv")
    assert list(history) == ["epoch", "learning_rate", "train_loss", "val_loss", "val_dice", "seconds", "waiting"]
    assert history["train_loss"].iloc[-1] < 0.6 * history["train_loss"].iloc[0]
    assert history["val_dice"].max() > 0.7
    assert torch.load(run / "checkpoints/best.ckpt", weights_only=True)["epoch"] == history["val_dice"].argmax()
    assert bool(acnorm_layers(module.network)) == (method == "acnorm")


def test_a_resumed_run_is_as_if_it_had_never_stopped(discs: PreparedSegmentation, tmp_path: Path):
    whole = train(module_of(discs, tmp_path / "whole", method="acnorm", epochs=2))

    class Stop(Exception):
        pass

    stopped = module_of(discs, tmp_path / "stopped", method="acnorm", epochs=2)
    steps = stopped.training_step

    def step(batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        if stopped.current_epoch == 1:
            raise Stop
        return steps(batch, batch_idx)

    stopped.training_step = step
    with pytest.raises(Stop):
        train(stopped)
    again = module_of(discs, tmp_path / "stopped", method="acnorm", epochs=2)
    train(again, resume_from=tmp_path / "stopped/checkpoints/last.ckpt")
    assert equal(weights_of(whole), weights_of(tmp_path / "stopped"))
