"""One run layer by layer: its ends, its record, and channels that stay in place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from acnorm.inspecting.inspection import inspect_runs
from acnorm.training.finetune import run_finetune
from tiny_runs import NETWORK, config


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
