"""Means over divisions, and scores that may not be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acnorm.bench.store import Store
from acnorm.bench.study_cells import Scoring, Source, Truth, read_truths
from acnorm.bench.study_means import Means, in_words
from acnorm.bench.study_scores import Asked, Scored, Value
from acnorm.ranking.trajectory import Reading
from study_tools import tiny


def scored(knn: float | None, total: float | None = None, *, size: int = 8, reason: str | None = None) -> Scored:
    readings = {} if total is None else {"1": Reading({"bn1": total}, {"bn1": 4}, {"bn1": 0.5})}
    measures = {"knn": Value(knn, None if knn is not None else reason), "gbc": Value(1.0)}
    return Scored(size, 10, measures, readings, reason)


def means(found: dict[tuple[str, str], Scored]) -> Means:
    """Of candidates a and b on the target x, on divisions 0 and 1."""
    config = read_truths(Store.existing(tiny()[0]))[0].scorings["left", "a"][0].config
    scorings = {}
    for name, splits in found:
        source = Source(name, "net", f"{name}.pth")
        scorings.setdefault(("x", name), []).append(Scoring("x", source, splits, config))
    truth = Truth("vanilla", {}, {"x": dict.fromkeys("ab", 0.5)}, {}, {}, scorings, ())
    asked = Asked(("knn", "gbc", "ac-corr", "affine-drift"), ("1",), 1, Path("nowhere"))
    return Means(truth, {("x", name, splits): item for (name, splits), item in found.items()}, asked)


def test_scores_are_means_over_divisions():
    of = means({("a", "0"): scored(0.5, 2.0), ("a", "1"): scored(0.7, 4.0), ("b", "0"): scored(0.9, 1.0)})
    assert of.names == ["knn", "gbc", "ac-corr, 1 step", "ac-corr a channel, 1 step", "affine-drift, 1 step"]
    assert of.scores("knn", "x") == {"a": pytest.approx(0.6), "b": 0.9}
    assert of.scores("ac-corr, 1 step", "x") == {"a": 3.0, "b": 1.0}
    assert of.scores("ac-corr a channel, 1 step", "x") == {"a": 0.75, "b": 0.25}
    assert of.scores("affine-drift, 1 step", "x") == {"a": 0.5, "b": 0.5}
    assert of.layers("1", {"x": {}}) == {"bn1": {"x": {"a": 3.0, "b": 1.0}}}
    assert of.reasons == {}


def test_what_has_no_score_has_a_reason():
    of = means({("a", "0"): scored(None, reason="all cases are of one class"), ("b", "0"): scored(0.9, 1.0)})
    assert of.scores("knn", "x") == {"a": None, "b": 0.9}
    assert of.scores("ac-corr, 1 step", "x")["a"] is None
    told = "none for a on x: all cases are of one class"
    assert of.reasons == {"knn": told, "ac-corr, 1 step": told}


def test_scores_of_other_sizes_are_not_compared():
    of = means({("a", "0"): scored(0.5, size=8), ("b", "0"): scored(0.9, size=16)})
    assert of.scores("knn", "x") == {"a": 0.5, "b": 0.9}
    assert of.scores("gbc", "x") == {"a": None, "b": None}
    assert of.reasons == {"gbc": "scores cannot be compared over features of different sizes (8, 16)"}


def test_layers_of_different_networks_are_left_out():
    other = replace(scored(0.5, 1.0), readings={"1": Reading({"norm": 1.0}, {"norm": 4}, {"norm": 0.0})})
    assert means({("a", "0"): scored(0.5, 1.0), ("b", "0"): other}).layers("1", {"x": {}}) == {}


def test_lengths_in_words():
    assert [in_words(length) for length in ("1", "12", "epoch", "1epoch", "2epochs", "10epochs")] == [
        "1 step",
        "12 steps",
        "1 epoch",
        "1 epoch",
        "2 epochs",
        "10 epochs",
    ]
