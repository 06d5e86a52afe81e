"""The demo does the whole job, and touches no folder that is not its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml

from acnorm import demo
from acnorm.demo import DemoResult, run_demo
from acnorm.errors import UserError
from acnorm.ranking.rank import Candidate, Ranking
from acnorm.workflows import finetune
from tiny_runs import NETWORK, draw_nothing


@pytest.fixture(scope="module")
def steps() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> DemoResult:
    """A demo of the tiny network on few and small images."""
    out = tmp_path_factory.mktemp("parent") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        patch.setattr(demo, "MODEL", NETWORK)
        patch.setattr(demo, "finetune", partial(finetune, learning_rate=0.1))  # few steps must do
        return run_demo(out, say=steps.append, cases=40, size=16, source_epochs=3, epochs=2)


def test_every_source_is_ranked_and_the_first_is_fine_tuned_with_both_methods(made: DemoResult):
    out = made.report.parent
    files = {str(out / "sources" / task / "model/model.safetensors") for task in demo.SOURCES}
    assert {item.weights for item in made.ranking.candidates} == files
    assert all(item.paper is not None for item in made.ranking.candidates)
    assert list(made.runs) == list(demo.METHODS)
    for method, result in made.runs.items():
        settings = yaml.safe_load((result.path / "config.yaml").read_text())
        assert (settings["method"], settings["weights"]) == (method, made.ranking.candidates[0].weights)
        assert settings["data"] == str(out / "data/target.npz")
        assert len(pd.read_csv(result.path / "metrics.csv")) == 2


def test_the_methods_differ_in_nothing_but_the_method(made: DemoResult):
    first, second = (yaml.safe_load((run.path / "config.yaml").read_text()) for run in made.runs.values())
    assert {name for name in first if first[name] != second[name]} == {"method", "out", "command"}


def test_reports_are_left_for_all_runs_and_for_both_side_by_side(made: DemoResult):
    page = made.report.read_text()
    assert all(method in page for method in demo.METHODS)
    reports = {path.relative_to(made.report.parent).as_posix() for path in made.report.parent.rglob("report.html")}
    runs = {f"sources/{task}/report.html" for task in demo.SOURCES} | {
        f"runs/{name}/report.html" for name in demo.METHODS
    }
    assert reports == runs | {"report.html"}


def test_each_step_is_told(made: DemoResult, steps: list[str]):
    assert steps[0] == "making 40 phantoms for each of 3 source tasks and for the target"
    assert [step for step in steps if step.startswith("training")] == [
        f"training a source checkpoint on the task {task}" for task in demo.SOURCES
    ]
    first = Path(made.ranking.candidates[0].weights).parents[1].name
    assert steps[-2:] == [f"fine-tuning {first} on the target with {method}" for method in demo.METHODS]


def test_an_earlier_demo_is_deleted_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = Ranking((Candidate("a.pth", refused="it looks untrained"),), "one step", ())
    monkeypatch.setattr(demo, "rank", lambda **_: refused)
    monkeypatch.setattr(demo, "_source", lambda out, *_: out / "a.pth")

    def short(**settings: bool) -> None:
        with pytest.raises(UserError, match=r"^no source has a score: it looks untrained$"):
            run_demo(tmp_path / "demo", say=lambda _: None, cases=30, size=16, **settings)

    short()
    (tmp_path / "demo/old").touch()
    with pytest.raises(UserError, match=r"^--out .*demo: holds an earlier demo; --overwrite deletes it first\.$"):
        run_demo(tmp_path / "demo")
    assert (tmp_path / "demo/old").exists()
    short(overwrite=True)
    assert not (tmp_path / "demo/old").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_a_demo_stays(tmp_path: Path, overwrite: bool):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds files that are not a demo's; give another folder\.$"):
        run_demo(tmp_path, overwrite=overwrite)
    with pytest.raises(UserError, match=r"notes\.txt: is a file; give a folder\.$"):
        run_demo(tmp_path / "notes.txt", overwrite=overwrite)
    assert (tmp_path / "notes.txt").read_text() == "mine"
