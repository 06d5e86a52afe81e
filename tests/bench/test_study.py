"""A whole study of a tiny bench."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from acnorm.bench.judging import judged
from acnorm.bench.study import study_of
from acnorm.errors import UserError
from study_tools import tiny

FORMS = ("ac-corr", "ac-corr a channel", "affine-drift")


def test_every_measure_is_judged_by_its_own_scores():
    bench, study = tiny()
    assert [item.truth.name for item in study.judgements] == ["vanilla", "acnorm"]
    assert study.targets == ("left", "odd")
    assert (study.unfinished, study.cells, study.one_size) == (0, 36, True)
    for item in study.judgements:
        names = ["knn", "leep", *(f"{form}, {length}" for length in ("1 step", "2 epochs") for form in FORMS)]
        assert [row.name for row in item.measures] == names
        for row in item.measures:
            for target in study.targets:
                assert row.by_target[target] == judged(item.results[target], item.scores[row.name][target])
        assert list(item.results["left"]) == ["a", "b", "c", "d"]
        assert [row.name for row in item.layers["1"]] == ["bn1", "bn2"]
        assert item.layers.keys() == {"1", "2epochs"}
    lines = []
    again = study_of(
        bench, measures="knn,leep,ac-corr,affine-drift", lengths=("1", "2epochs"), seeds=2, told=lines.append
    )
    assert again.judgements[0].scores == study.judgements[0].scores
    assert lines[0] == "scoring 1 of 10: random initialisation on left"
    assert len(lines) == 10


def test_random_initialisation_may_be_a_candidate():
    bench, study = tiny()
    found = study_of(bench, measures="knn,leep", seeds=2, with_random=True)
    vanilla = found.judgements[0]
    assert next(iter(vanilla.results["left"])) == "random initialisation"
    knn, leep = (row.by_target["left"] for row in vanilla.measures)
    assert (knn.scored, leep.scored, leep.candidates) == (5, 4, 5)
    assert vanilla.layers == {}
    ours = {row.name: row for row in study.judgements[0].rules}
    theirs = {row.name: row for row in vanilla.rules}
    name = "always random initialisation"
    assert ours[name].regret.mean == pytest.approx(theirs[name].regret.mean)
    assert np.isnan(theirs["largest"].regret.mean)


def test_refusals(tmp_path: Path):
    bench = tiny()[0]
    with pytest.raises(UserError, match=r"^--ac-corr-steps: 'soon' is no length; give steps from 1, or epoch, or"):
        study_of(bench, lengths=("soon",))
    with pytest.raises(UserError, match=r"^--ac-corr-steps is epoch 1epochs, must be one length or several diff"):
        study_of(bench, lengths=("epoch", "1epochs"))
    with pytest.raises(UserError, match=r"^--ac-corr-steps is 1 1, must be one length or several different ones\.$"):
        study_of(bench, lengths=("1", "1"))
    with pytest.raises(UserError, match=r"^--probe-seeds is 0, must be 1 or more\.$"):
        study_of(bench, seeds=0)
    with pytest.raises(UserError, match=r"^--measures: 'knm' is none; there are "):
        study_of(bench, measures="knm")
    with pytest.raises(UserError, match="holds no bench"):
        study_of(tmp_path)


def test_data_that_are_gone_are_told(tmp_path: Path):
    bench = tiny()[0]
    moved = Path(shutil.copytree(bench.parent, tmp_path / "copy"))
    for file in (moved / "bench/configs").iterdir():
        file.write_text(file.read_text().replace(str(bench.parent / "odd.npz"), str(moved / "gone.npz")))
    with pytest.raises(UserError, match=r"gone\.npz: no such file or folder; check the path"):
        study_of(moved / "bench", measures="knn", seeds=2)
