"""Runs as vectors, and where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from acnorm.core.correlation import affine_ratio
from acnorm.inspecting.folders import affine_after, read_runs
from acnorm.inspecting.spaces import places_of, scores_of, vectors_of
from tiny_runs import NETWORK


def test_vectors_are_of_the_affine_before_folding(runs: dict[str, Path]):
    read = read_runs(list(runs.values()), model=NETWORK)
    vectors, left_out = vectors_of(read, {"near": None, "far": None})
    expected = torch.cat([affine_ratio(*affine) for affine in affine_after(read[2]).values()]).double()
    assert np.allclose(vectors["ratio"][2], expected)
    assert vectors["affine"].shape == (5, 2 * 14)
    assert left_out == [
        "Features of the same images are left out: near has no images with classes that can be looked at.",
        "Features of each run's own images are left out: near has no images with classes that can be looked at.",
    ]


def test_principal_components_keep_the_distances_they_can(runs: dict[str, Path]):
    values = np.random.default_rng(0).normal(size=(5, 2))
    read = read_runs(list(runs.values()), model=NETWORK)
    places = places_of({"ratio": values, "same": np.ones((5, 2))}, read)
    scaled = (values - values.mean(0)) / values.std(0)
    got = places[["x", "y"]].to_numpy()
    assert np.allclose(np.linalg.norm(got[0] - got[3]), np.linalg.norm(scaled[0] - scaled[3]))
    assert np.isclose(places["x_share"][0] + places["y_share"][0], 1)
    assert set(places["space"]) == {"ratio"}


def test_runs_of_each_method_are_scored_by_themselves(runs: dict[str, Path]):
    read = read_runs(list(runs.values()), model=NETWORK)
    values = np.array([[0.0], [0.1], [5.0], [9.0], [9.1]])
    table, missing = scores_of({"ratio": values}, read)
    assert table.set_index("statistic")["value"][["neighbour", "centroid"]].tolist() == [1.0, 1.0]
    assert missing == ["The domains of the runs with acnorm are not told apart: all runs are of one domain, near."]


def test_networks_of_other_sizes_are_not_compared(runs: dict[str, Path], monkeypatch):
    read = read_runs(list(runs.values())[:2], model=NETWORK)
    sizes = iter((3, 4))
    monkeypatch.setattr("acnorm.inspecting.spaces._ratios", lambda _: np.zeros(next(sizes)))
    vectors, left_out = vectors_of(read, {"near": None})
    assert list(vectors) == ["affine"]
    assert left_out[0] == "Affine ratios β / |γ| are left out: the runs' networks differ in size."
