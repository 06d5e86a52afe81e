"""The main job on real images from foreign checkpoints: what loads, what is refused, and better than chance."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

import acnorm
from acnorm.checkpoints.load import load_checkpoint
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.ranking.rank import rank

pytestmark = pytest.mark.real
FILES = {20: "resnet20-12fca82f.th", 32: "resnet32-d509ac18.th", 56: "resnet56-4bfd9763.th"}


@pytest.mark.parametrize("depth", FILES)
def test_the_cifar_checkpoints_load_whole(real_data: Path, depth: int):
    network = build_network(f"cifar/resnet{depth}", classes=5, channels=3)
    report = load_checkpoint(
        network.module, real_data / "weights" / FILES[depth], head=network.head, stem=network.stem, minimum_share=1.0
    )
    assert (report.parameter_share, report.norm_share) == (1.0, 1.0)
    assert (report.missing, report.adapted) == ((), ())
    assert len(report.trained_norms) == depth - 1
    assert set(report.head) == {"linear.weight", "linear.bias"}


def test_a_checkpoint_of_another_network_is_refused(real_data: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"wnet_drive.*\.pth: only 0\.0% of the parameters of CifarResNet would load"):
        acnorm.finetune(
            data=real_data / "dr_grading/retinamnist.npz",
            model="cifar/resnet20",
            weights=real_data / "weights/wnet_drive_model_checkpoint.pth",
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["vanilla", "acnorm"])
def test_two_epochs_on_retinamnist_are_better_than_chance(real_data: Path, tmp_path: Path, method: str):
    result = acnorm.finetune(
        data=real_data / "dr_grading/retinamnist.npz",
        model="cifar/resnet20",
        weights=real_data / "weights" / FILES[20],
        method=method,
        out=tmp_path / "run",
        epochs=2,
        image_size=32,
        bootstrap=200,
    )
    auc = result.metrics["splits"]["test"]["metrics"]["macro_auc"]
    assert auc["low"] > 0.55
    assert result.metrics["resampled"] == "cases"
    assert len(pd.read_csv(tmp_path / "run/per_case.csv").query("split == 'test'")) == 400


def test_idrid_from_the_released_folder(real_data: Path, tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        acnorm.finetune(
            data=real_data / "dr_grading/idrid",
            model="cifar/resnet20",
            weights=real_data / "weights" / FILES[20],
            method="acnorm",
            out=tmp_path / "run",
            epochs=1,
            image_size=32,
            bootstrap=50,
        )
    table = pd.read_csv(tmp_path / "run/per_case.csv")
    assert table["split"].value_counts().to_dict() == {"test": 103, "val": 83}
    assert "IDRiD_064" in (tmp_path / "run/data.json").read_text()  # of both halves, with two grades
    assert (tmp_path / "run/report.html").stat().st_size > 50_000
    predicted = acnorm.predict(tmp_path / "run", real_data / "dr_grading/idrid")
    assert len(pd.read_csv(predicted)) == 516


def test_checkpoints_are_scored_on_retinamnist(real_data: Path):
    ranking = rank(
        data=real_data / "dr_grading/retinamnist.npz",
        model="cifar/resnet20",
        weights=[real_data / "weights" / FILES[20]],
        image_size=32,
        probe_seeds=2,
    )
    (candidate,) = ranking.candidates
    assert candidate.refused is None
    assert 0 < candidate.per_channel < candidate.paper
