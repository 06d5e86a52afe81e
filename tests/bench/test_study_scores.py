"""Scores of a study are those of ``rank`` on the training cases of the cells, and are computed once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from acnorm.bench import study_scores
from acnorm.bench.store import Store
from acnorm.bench.study_cells import Scoring, read_truths
from acnorm.bench.study_scores import Asked, Scorer
from acnorm.errors import UserError
from acnorm.ranking.rank import rank
from study_tools import tiny


@pytest.fixture(scope="module")
def scoring() -> Scoring:
    truth = read_truths(Store.existing(tiny()[0]))[0]
    return truth.scorings["left", "b"][0]


def asked(folder: Path, *measures: str, lengths: tuple[str, ...] = ("1",)) -> Asked:
    return Asked(measures, lengths, 2, folder)


def test_scores_are_those_of_rank_on_the_same_training_cases(scoring: Scoring, tmp_path: Path):
    found = Scorer(asked(tmp_path, "knn", "logme", "ac-corr", lengths=("1", "2epochs"))).score(scoring)
    same = {"data": scoring.config.data, "model": scoring.config.model, "weights": scoring.config.weights}
    same |= {"splits": scoring.splits, "probe_seeds": 2, "seed": scoring.config.seed}
    (one,) = rank(**same, measures="knn,logme,ac-corr,affine-drift").candidates
    (epochs,) = rank(**same, measures="ac-corr", probe_epochs=2).candidates
    assert found.measures["knn"].value == one.scores["knn"].value
    assert found.measures["logme"].value == one.scores["logme"].value
    assert found.readings["1"].paper == pytest.approx(one.paper, rel=1e-12)
    assert found.readings["1"].per_channel == pytest.approx(one.per_channel, rel=1e-12)
    assert found.readings["1"].drift == pytest.approx(one.scores["affine-drift"].value, rel=1e-9)
    assert found.readings["2epochs"].paper == pytest.approx(epochs.paper, rel=1e-12)
    assert found.size == one.size
    assert found.parameters == 6 * 3 * 9 + 6 + 2 * 6 + 8 * 6 * 9 + 8 + 2 * 8


def test_what_is_kept_is_not_computed_again(scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = Scorer(asked(tmp_path, "knn", "ac-corr")).score(scoring)
    more = Scorer(asked(tmp_path, "knn", "logme", "ac-corr", lengths=("1", "2"))).score(scoring)
    assert set(more.measures) == {"knn", "logme"}
    assert set(more.readings) == {"1", "2"}
    assert more.measures["knn"] == first.measures["knn"]
    monkeypatch.setattr(Scorer, "_computed", lambda *_: pytest.fail("computed"))
    assert Scorer(asked(tmp_path, "logme", "ac-corr", lengths=("2",))).score(scoring) == more
    (file,) = (tmp_path / "scores").iterdir()
    assert set(json.loads(file.read_text())["measures"]) == {"knn", "logme"}


def test_a_broken_file_is_made_anew(scoring: Scoring, tmp_path: Path):
    first = Scorer(asked(tmp_path, "knn")).score(scoring)
    (file,) = (tmp_path / "scores").iterdir()
    file.write_text("{")
    assert Scorer(asked(tmp_path, "knn")).score(scoring) == first


def test_other_files_or_code_have_scores_of_their_own(
    scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Scorer(asked(tmp_path, "knn")).score(scoring)
    monkeypatch.setattr(study_scores, "code_version", lambda: "other")
    Scorer(asked(tmp_path, "knn")).score(scoring)
    assert len(list((tmp_path / "scores").iterdir())) == 2


@pytest.mark.parametrize("changed", ["data", "weights"])
def test_files_that_have_changed_since_the_bench_ran_are_refused(scoring: Scoring, tmp_path: Path, changed: str):
    assert scoring.inputs().weights == scoring.weights
    other = replace(scoring, **{changed: "0" * 64})
    told = rf"{getattr(scoring.config, changed)}: has changed since the bench ran; put back what it was, or run the "
    with pytest.raises(UserError, match=told):
        Scorer(asked(tmp_path, "knn")).score(other)


def test_random_weights_have_reasons_for_what_they_lack(tmp_path: Path):
    truth = read_truths(Store.existing(tiny()[0]))[0]
    fresh = truth.scorings["left", "random initialisation"][0]
    found = Scorer(asked(tmp_path, "knn", "leep", "ac-corr")).score(fresh)
    assert 0 <= found.measures["knn"].value <= 1
    assert found.measures["leep"].value is None
    assert "no head of its own" in found.measures["leep"].reason
    assert found.readings == {}
    assert "not trained" in found.reason


def test_volumes_slice_by_slice_are_refused(scoring: Scoring, tmp_path: Path):
    from dataclasses import replace

    sliced = replace(scoring, config=replace(scoring.config, slices=True))
    with pytest.raises(UserError, match="volumes with classes, slice by slice, have no scores; leave this target out"):
        Scorer(asked(tmp_path, "knn")).score(sliced)
