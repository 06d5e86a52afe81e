"""Short fine-tunes of tied candidates: real runs of a tiny network, seconds long."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from acnorm.bench import short_finetunes
from acnorm.bench.halving import Halving, Tried
from acnorm.bench.short_finetunes import ShortFinetunes, as_text, fine_tune_tied
from acnorm.errors import RunError, UserError
from acnorm.ranking.result import Candidate, Ranking, Score
from acnorm.training.finetune import run_finetune
from tiny_runs import NETWORK, checkpoint, config, equal, eyes, weights_of


class Ticking:
    """A clock that moves a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("short")
    eyes(folder / "eyes.npz")
    for at, name in enumerate("abc"):
        checkpoint(folder / f"{name}.pth", seed=at)
    return folder


def ranking(folder: Path, *tied: str, by: str = "knn") -> Ranking:
    candidates = tuple(Candidate(str(folder / f"{name}.pth"), model=NETWORK, scores={by: Score(0.5)}) for name in "abc")
    return Ranking(candidates, "", tuple(str(folder / f"{name}.pth") for name in tied), by=by)


def short(folder: Path, runs: Path, *tied: str, budget: str | float = "1h", **changes) -> ShortFinetunes:
    settings = {"epochs": 2, "batch_size": 8, "bootstrap": 20, "accelerator": "cpu", "devices": "1"} | changes
    return fine_tune_tied(ranking(folder, *tied), budget=budget, runs=runs, data=str(folder / "eyes.npz"), **settings)


@pytest.fixture(scope="module")
def whole(folder: Path) -> ShortFinetunes:
    return short(folder, folder / "runs", "a", "b")


def test_the_best_on_validation_is_found_and_its_run_goes_on(folder: Path, whole: ShortFinetunes):
    assert whole.halving.complete
    assert [item.epochs for item in whole.halving.tried] == [2, 2]
    best = max(whole.halving.tried, key=lambda item: item.best(2))
    assert whole.best == best.name
    assert whole.monitor == "val_macro_auc"
    text = as_text(whole)
    assert text.splitlines()[0] == "Short fine-tunes (vanilla, macro AUC on validation cases, of 2 epochs):"
    assert f"Fine-tune {whole.best}: ahead of " in text or "are alike after 2 epochs: take either." in text
    assert re.search(r"\nCost: .* of 1 h\.\nGo on with it: acnorm finetune --data .* --resume$", text)
    runs = sorted(path.name.rpartition("-")[0] for path in (folder / "runs").iterdir() if path.is_dir())
    assert runs == ["a", "b"]
    assert not list((folder / "runs").rglob("metrics.json"))  # nothing was measured on test cases
    assert not list((folder / "runs").rglob("per_case.csv"))


def test_in_steps_a_run_is_the_same_as_in_one(folder: Path, whole: ShortFinetunes, tmp_path: Path):
    run = next((folder / "runs").glob("a-*"))
    settings = {"out": tmp_path / "one", "weights": str(folder / "a.pth"), "epochs": 2, "learning_rate": 0.001}
    one = run_finetune(config(folder, **settings)).path
    assert equal(weights_of(run), weights_of(one))


def test_the_same_call_goes_on_and_what_was_spent_counts(folder: Path, whole: ShortFinetunes):
    again = short(folder, folder / "runs", "a", "b")
    assert again.halving == whole.halving
    assert again.best == whole.best


def test_a_small_budget_is_kept_by_a_fake_clock(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each step takes a second, of which epochs take a tenth: a budget of two seconds is two steps."""
    read = short_finetunes._history
    monkeypatch.setattr(short_finetunes, "_history", lambda *run: ((values := read(*run)[0]), [0.1] * len(values)))
    done = short(folder, tmp_path / "runs", "a", "b", "c", budget=2.0, clock=Ticking())
    assert [item.epochs for item in done.halving.tried] == [1, 1, 0]
    assert done.halving.seconds == 2.0
    assert done.best is None
    text = as_text(done)
    assert "c.pth: not begun" in text
    assert f"Nothing can be said yet: {folder / 'c.pth'} has not begun." in text
    assert "Cost: 2 s of 2 s; the next step would not have fitted, and a larger --budget goes on from here." in text
    more = short(folder, tmp_path / "runs", "a", "b", "c", budget=3.9, clock=Ticking())
    assert [item.epochs for item in more.halving.tried] == [1, 1, 1]
    assert more.best is not None


def test_a_kill_before_a_step_was_noted_loses_nothing(folder: Path, tmp_path: Path, whole: ShortFinetunes):
    shutil.copytree(folder / "runs", tmp_path / "runs")
    file = tmp_path / "runs/halving.json"
    saved = json.loads(file.read_text())
    for item in saved["tried"]:
        item.update(values=[], seconds=[], starting=0.0)
    file.write_text(json.dumps(saved | {"complete": False, "seconds": 0.0, "monitor": ""}))
    again = short(folder, tmp_path / "runs", "a", "b")
    assert [item.values for item in again.halving.tried] == [item.values for item in whole.halving.tried]


def test_a_candidate_that_fails_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(settings, **more):
        if "a.pth" in settings.weights:
            raise RunError("the loss is not finite.")
        return run_finetune(settings, **more)

    monkeypatch.setattr(short_finetunes, "run_finetune", failing)
    done = short(folder, tmp_path / "runs", "a", "b", "c", epochs=1)
    assert f"{folder / 'a.pth'}: failed: the loss is not finite." in as_text(done)
    assert done.best in (str(folder / "b.pth"), str(folder / "c.pth"))
    again = short(folder, tmp_path / "runs", "a", "b", "c", epochs=1)
    assert "failed: the loss is not finite." in as_text(again)
    monkeypatch.setattr(short_finetunes, "run_finetune", run_finetune)
    mended = short(folder, tmp_path / "runs", "a", "b", "c", epochs=1)
    assert [item.epochs for item in mended.halving.tried] == [1, 1, 1]
    assert "failed" not in as_text(mended)


def test_where_nothing_is_tied_nothing_is_run(folder: Path, tmp_path: Path):
    done = short(folder, tmp_path / "runs", "a")
    assert as_text(done) == f"No short fine-tunes: {folder / 'a.pth'} is told from the others by knn."
    assert not (tmp_path / "runs").exists()
    assert done.to_dict()["best"] is None


def test_other_candidates_and_other_folders_are_refused(folder: Path, whole: ShortFinetunes, tmp_path: Path):
    with pytest.raises(
        UserError, match=r"^--runs .*: holds short fine-tunes of other candidates \(.*\); give another fo"
    ):
        short(folder, folder / "runs", "a", "c")
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(
        UserError, match=r"^--runs .*: holds files but no short fine-tunes \(no halving\.json\); give a"
    ):
        short(folder, tmp_path, "a", "b")
    with pytest.raises(UserError, match=r"^--runs .*thesis\.doc: is a file; give a folder\.$"):
        short(folder, tmp_path / "thesis.doc", "a", "b")
    (tmp_path / "halving.json").write_text("{")
    with pytest.raises(UserError, match=r"^.*halving\.json: is damaged; give another --runs\.$"):
        short(folder, tmp_path, "a", "b")


def test_a_figure_that_an_epoch_does_not_have_is_null_in_json():
    tried = [Tried("a", [float("nan"), 0.5], [1.0, 1.0]), Tried("b", [0.5, 0.4], [1.0, 1.0])]
    found = ShortFinetunes(Halving(tried, 2.0, True), "val_dice", 60.0, 2, "vanilla")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["tried"][0]["values"] == [None, 0.5]
    never = [Tried(name, [float("nan")], [1.0]) for name in "ab"]
    without = ShortFinetunes(Halving(never, 2.0, True), "val_dice", 60.0, 1, "vanilla")
    assert "a: mean Dice –, 1 epochs, 1 s" in as_text(without)
    assert "a and b are alike after 1 epochs: take either." in as_text(without)
    assert "a and b are alike after 2 epochs: take either." in as_text(found)


def test_equal_ones_are_told_as_alike():
    tried = [Tried("a", [0.5], [1.0]), Tried("b", [0.5], [1.0], left=1)]
    found = ShortFinetunes(Halving(tried, 2.0, True), "val_dice", 60.0, 20, "vanilla")
    assert "a and b are alike after 1 epochs: take either." in as_text(found)
    assert "  b: mean Dice 0.500, 1 epochs, left after 1, 1 s" in as_text(found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "bn-only"}, "method was 'vanilla', is 'bn-only'"),
        ({"epochs": 3, "seed": 1}, "epochs was 2, is 3, seed was 0, is 1"),
    ],
)
def test_runs_of_other_settings_are_refused_even_where_none_would_go_on(folder, whole, changes, told):
    with pytest.raises(UserError) as error:
        short(folder, folder / "runs", "a", "b", **changes)
    assert str(error.value) == (
        f"--runs {folder / 'runs'}: holds short fine-tunes with other settings ({told}); use the same, or give another "
        "folder."
    )


@pytest.mark.parametrize("budget", [0, -1.0, float("inf"), float("nan")])
def test_a_budget_is_a_time(folder: Path, tmp_path: Path, budget: float):
    with pytest.raises(UserError, match=r"^--budget is .*, must be seconds above 0, or a time such as 90s, 30m or 2h"):
        short(folder, tmp_path / "runs", "a", "b", budget=budget)


def test_where_all_that_went_on_failed_the_best_of_the_others_is_told():
    tried = [Tried("a", [0.5], [1.0], left=1), Tried("b", [0.4], [1.0], left=1)]
    tried += [Tried("c", [0.9], [1.0], reason="the loss is not finite."), Tried("d", reason="no memory.")]
    found = ShortFinetunes(Halving(tried, 4.0, True), "val_dice", 60.0, 20, "vanilla")
    assert found.best == "a"
    assert "Fine-tune a: ahead of b by 0.100 in mean Dice after 1 epochs." in as_text(found)
