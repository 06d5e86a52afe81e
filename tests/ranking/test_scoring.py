"""One candidate's evidence: its patients and labels, its probes from one reading of the file, its gradients by seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from acnorm.checkpoints.load import load_checkpoint
from acnorm.core.convert import convert
from acnorm.data.batches import EpochBatches
from acnorm.data.loading import load_data
from acnorm.models.sources import build_network
from acnorm.ranking import scoring
from acnorm.ranking.ac_corr import ac_corr
from acnorm.ranking.gradient_ratio import gradient_ratio
from acnorm.ranking.probe import probe
from acnorm.ranking.rank import chosen_measures
from acnorm.ranking.scoring import Task
from tiny_runs import NETWORK, checkpoint, eyes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    eyes(folder / "eyes.npz", cases=60)
    checkpoint(folder / "a.pth")
    return folder


def task(folder: Path, measures: str) -> Task:
    probe = {"steps": None, "epochs": None, "layers": None}
    return Task(load_data(folder / "eyes.npz"), chosen_measures(measures), 3, 0.9, None, range(3, 5), probe)


def loaded(folder: Path, seed: int):
    torch.manual_seed(seed)
    network = build_network(NETWORK, classes=2, channels=3)
    report = load_checkpoint(network.module, folder / "a.pth", head=network.head, stem=network.stem)
    return network, report


def test_probes_are_those_of_the_file_read_anew_for_each_seed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    reads = []
    monkeypatch.setattr(
        scoring, "load_checkpoint", lambda *given, **flags: reads.append(given) or load_checkpoint(*given, **flags)
    )
    whole = task(folder, "ac-corr")
    found = whole.found(NETWORK, str(folder / "a.pth"))
    assert len(reads) == 1
    expected = []
    for seed in (3, 4):
        network, report = loaded(folder, seed)
        module = convert(network.module, report.trained_norms)
        probe(module, network.head, whole.data.train, seed=seed)
        expected.append(ac_corr(module).paper)
    assert found.results["ac-corr"].values.tolist() == expected
    assert found.candidate.paper == pytest.approx(np.mean(expected))
    assert found.candidate.paper_deviation == pytest.approx(np.std(expected, ddof=1))
    assert found.scores["ac-corr"].high - found.scores["ac-corr"].value == pytest.approx(2 * np.std(expected, ddof=1))


def test_the_gradient_ratio_is_the_mean_over_the_first_batches_of_the_seeds(folder: Path):
    whole = task(folder, "gradient-ratio")
    found = whole.found(NETWORK, str(folder / "a.pth"))
    network, _ = loaded(folder, 3)
    train, expected = whole.data.train, []
    for seed in (3, 4):
        items = [train[key] for key in next(iter(EpochBatches(len(train), 64, seed=seed)))]
        batch = (torch.stack([item[name] for item in items]) for name in ("image", "label"))
        expected.append(gradient_ratio(network.module, network.head, *batch))
    assert found.results["gradient-ratio"].values.tolist() == pytest.approx(expected, rel=1e-5)
    assert found.candidate.size is None  # no pass was needed


def test_random_weights_have_a_gradient_ratio_but_no_probe(folder: Path):
    found = task(folder, "ac-corr,gradient-ratio").found(NETWORK, None)
    assert list(found.scores) == ["ac-corr", "gradient-ratio"]
    assert found.scores["gradient-ratio"].value > 0
    assert "constant over channels" in found.scores["ac-corr"].reason
    assert (found.candidate.weights, found.candidate.loaded) == ("random initialisation", 0.0)


def test_patients_are_grouped_and_cases_without_one_stand_alone(tmp_path: Path):
    rows = []
    for at in range(40):
        Image.new("RGB", (16, 16), (at * 6, at % 2 * 200, 30)).save(tmp_path / f"{at}.png")
        rows.append({"image": f"{at}.png", "label": "ab"[at % 2], "patient": f"P{at // 2 * 2 + at % 2}"})
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    with_patients = Task(load_data(tmp_path / "table.csv"), chosen_measures("knn"), 0, 0.9, None, range(1), {})
    assert set(with_patients.groups) == {f"patient {case.patient}" for case in with_patients.data.train.cases}
    pd.DataFrame(rows).drop(columns="patient").to_csv(tmp_path / "table.csv", index=False)
    without = Task(load_data(tmp_path / "table.csv"), chosen_measures("knn"), 0, 0.9, None, range(1), {})
    assert without.groups == [f"case {case.id}" for case in without.data.train.cases]
    assert without.labels.tolist() == [case.label for case in without.data.train.cases]
