"""The published comparison of measures on MedMNIST (Juodelyte et al., arXiv 2412.20172), recomputed from its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acnorm.ranking.agreement import regret, weighted_tau

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def tables(real_data: Path) -> Path:
    folder = real_data / "transferability"
    if not folder.is_dir():
        pytest.skip(f"no published comparison: {folder} is not there")
    return folder


def by_source(file: Path) -> pd.DataFrame:
    """One row a source (or architecture), one column a target."""
    return pd.read_csv(file, index_col="source").drop(columns="Unnamed: 0", errors="ignore")


def paired(tables: Path, measure: str, kind: str) -> list[tuple[list[float], list[float]]]:
    """Fine-tuned AUC and score over candidates, for eleven targets; a target's own source has no AUC and is left out."""
    truth, scores = by_source(tables / f"AUCs_{kind}.csv"), by_source(tables / f"{measure}_{kind}.csv")
    pairs = []
    for target in truth.columns.drop("chestmnist", errors="ignore"):
        known = truth[target].dropna()
        assert len(known) == {"dataset": 14, "model": 9}[kind]
        pairs.append((known.tolist(), scores.loc[known.index, target].tolist()))
    assert len(pairs) == 11
    return pairs


@pytest.mark.parametrize(
    ("measure", "over_sources", "over_architectures"),
    [
        ("logme", 0.335, 0.036),
        ("leep", 0.351, -0.200),
        ("nleep", 0.411, -0.151),
        ("parc", 0.297, -0.104),
        ("ncti", 0.183, -0.084),
        ("lp", 0.440, -0.211),
        ("fu", 0.410, -0.286),
    ],
)
def test_mean_weighted_tau(tables: Path, measure: str, over_sources: float, over_architectures: float):
    for kind, expected in (("dataset", over_sources), ("model", over_architectures)):
        taus = [weighted_tau(truth, scores) for truth, scores in paired(tables, measure, kind)]
        assert round(float(np.mean(taus)), 3) == expected


def test_sfda_is_not_defined_where_all_its_scores_are_one(tables: Path):
    taus = [weighted_tau(truth, scores) for truth, scores in paired(tables, "sfda", "dataset")]
    assert np.isnan(taus).sum() == 2


@pytest.mark.parametrize(
    ("measure", "expected", "best"),
    [
        ("logme", 0.0066, 5),
        ("leep", 0.0055, 5),
        ("nleep", 0.0126, 4),
        ("parc", 0.0142, 3),
        ("lp", 0.0094, 4),
        ("fu", 0.0053, 6),
    ],
)
def test_mean_regret(tables: Path, measure: str, expected: float, best: int):
    lost = [regret(truth, scores) for truth, scores in paired(tables, measure, "dataset")]
    assert round(float(np.mean(lost)), 4) == expected
    assert sum(loss == 0 for loss in lost) == best


def test_always_imagenet_loses_least(tables: Path):
    truth = by_source(tables / "AUCs_dataset.csv").drop(columns="chestmnist")
    known = [truth[target].dropna() for target in truth]
    lost = [regret(results.tolist(), (results.index == "imagenet").astype(float).tolist()) for results in known]
    assert round(float(np.mean(lost)), 4) == 0.0052
    assert sum(loss == 0 for loss in lost) == 7
    random = [regret(results.tolist(), [0.0] * len(results)) for results in known]
    assert round(float(np.mean(random)), 4) == 0.0367
