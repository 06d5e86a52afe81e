"""One run layer by layer: its ends, its record, and channels that stay in place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.inspecting.inspection import inspect_runs
from acnorm.training.finetune import run_finetune
from tiny_runs import NETWORK, checkpoint, config


def test_a_run_that_learnt_next_to_nothing_stays_in_place(runs: dict[str, Path], tmp_path: Path):
    folder = runs["near vanilla 0"].parent
    settings = {"data": folder / "near.npz", "weights": folder / "weights.pth", "out": tmp_path / "run"}
    run_finetune(config(folder, learning_rate=1e-9, norm_statistics="frozen", epochs=1, bootstrap=2, **settings))
    found = inspect_runs([tmp_path / "run"], images=4, permutations=5, model=NETWORK)
    assert (found.alignment[["best_is_own", "matched_is_own"]] == 1).all(axis=None)
    assert np.allclose(found.alignment[["own", "matched"]], 1)
    assert found.runs["ratio"].item() < 1e-6


def test_a_run_without_its_record_is_known_at_both_ends(runs: dict[str, Path], tmp_path: Path):
    for method in ("vanilla", "acnorm"):
        run = shutil.copytree(runs[f"near {method} 0"], tmp_path / method)
        (run / "affine.safetensors").unlink()
        bare = inspect_runs([run], images=4, permutations=5, model=NETWORK)
        whole = inspect_runs([runs[f"near {method} 0"]], images=4, permutations=5, model=NETWORK)
        best = int(json.loads((run / "metrics.json").read_text())["best_epoch"]) + 1
        assert (
            bare.missing[0]
            == f"The domains of the runs with {method} are not told apart: all runs are of one domain, near."
        )
        assert (
            bare.missing[1]
            == f"{method}: holds no affine.safetensors, so its affine is known at the start and at the end alone."
        )
        kept = whole.movement[whole.movement["epoch"].isin([0, best])].drop(columns="run")
        pd.testing.assert_frame_equal(kept.reset_index(drop=True), bare.movement.drop(columns="run"))


def test_of_label_maps_patches_are_looked_at_and_the_decoder_is_not_matched(tmp_path: Path):
    data = segmentation_phantoms(tmp_path / "vessels", task="vessel", domain="target", cases=6, size=24, seed=0)
    weights = checkpoint(tmp_path / "weights.pth", "cifar/resnet20")
    settings = {"data": data, "model": "cifar/resnet20", "weights": weights, "patch_size": 16, "patches_per_case": 1}
    run = run_finetune(config(tmp_path, epochs=1, learning_rate=0.001, bootstrap=2, **settings)).path
    found = inspect_runs([run], images=3, permutations=5)
    assert found.missing[0] == (
        "Features of the same images are left out: vessels has no images with classes that can be looked at."
    )
    assert len(found.alignment) == 19
    assert found.movement["layer"].nunique() > 19
    assert found.alignment["matched_is_own"].mean() > 0.9


def test_a_network_without_norm_layers_is_called_so(runs: dict[str, Path], tmp_path: Path):
    model = "tiny_runs:without_norm"
    weights = checkpoint(tmp_path / "weights.pth", model)
    settings = {"data": runs["near vanilla 0"].parent / "near.npz", "weights": weights, "model": model}
    run = run_finetune(config(tmp_path, epochs=1, bootstrap=2, out=tmp_path / "plain", **settings)).path
    found = inspect_runs([run], images=4, permutations=5, model=model)
    assert found.movement.empty
    assert found.alignment.empty
    assert found.missing[-2:] == (
        "plain: its network has no norm layer with γ and β.",
        "plain: no norm layer of its network came from the checkpoint, to be matched.",
    )
