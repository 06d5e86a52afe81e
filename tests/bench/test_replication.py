"""The script that publishes benches: what it adds to runs that are published already."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from acnorm.bench.ranks import mean_ranks

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "replication.py"


@pytest.fixture(scope="module")
def replication() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replication", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs(method: str, **changes: object) -> pd.DataFrame:
    row = {"task": "eyes", "source": "moco", "fraction": 1.0, "method": method, "fold": 0, "score": 0.7}
    content = {"data_sha256": "0" * 16, "weights_sha256": None, "splits_sha256": "5" * 16}
    return pd.DataFrame([{**row, **content, "seed": seed, **changes} for seed in (0, 1)])


def test_runs_of_several_machines_are_put_together(replication: ModuleType, tmp_path: Path):
    runs("vanilla").to_csv(tmp_path / "cells.csv", index=False)
    found = replication.with_published(runs("acnorm"), tmp_path / "cells.csv")
    assert found["method"].tolist() == ["vanilla"] * 2 + ["acnorm"] * 2
    again = replication.with_published(runs("vanilla", score=0.9), tmp_path / "cells.csv")
    assert again["score"].tolist() == [0.9, 0.9]


@pytest.mark.parametrize("changes", [{"data_sha256": "1" * 16}, {"splits_sha256": "6" * 16}])
def test_published_runs_of_something_else_are_not_compared(
    replication: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str]
):
    """Of the seed that was run again; those of other seeds have their own baseline."""
    runs("vanilla").to_csv(tmp_path / "cells.csv", index=False)
    found = replication.with_published(runs("acnorm", **changes).iloc[:1], tmp_path / "cells.csv")
    assert list(zip(found["method"], found["seed"], strict=True)) == [("vanilla", 1), ("acnorm", 0)]
    assert capsys.readouterr().out == ("cells.csv: without 1 run of other data or splits than those here\n")


def test_runs_are_paired_with_those_of_their_own_checkpoint(replication: ModuleType, tmp_path: Path):
    """A source that was pretrained anew is another one; both count."""
    old = pd.concat([runs("vanilla", score=0.5, weights_sha256="a"), runs("acnorm", score=0.6, weights_sha256="a")])
    old.to_csv(tmp_path / "cells.csv", index=False)
    new = [
        runs(method, score=score, weights_sha256="b").iloc[:1]
        for method, score in (("vanilla", 0.8), ("acnorm", 0.7), ("bss", 0.9))
    ]
    both = replication.with_published(pd.concat(new), tmp_path / "cells.csv")
    assert len(both) == 4 + 3
    apart = replication.differences(both, "vanilla").iloc[0]
    assert apart["acnorm"] == pytest.approx((0.1 + 0.1 - 0.1) / 3)
    assert apart["bss"] == pytest.approx(0.1)


def test_methods_are_ranked_over_tasks_where_all_have_runs(replication: ModuleType, tmp_path: Path):
    drawn = np.random.default_rng(0)
    methods, tasks = ["vanilla", "acnorm", "bss"], ["eyes", "heart", "lung", "liver"]
    whole = pd.concat(
        runs(method, task=task, metric="dice", source=source, score=float(drawn.random()))
        for method in methods
        for task in tasks
        for source in ("moco", "supervised")
    )
    some = runs("lwf", task="eyes", metric="dice")
    text = replication.ranked(pd.concat([whole, some]), [*methods, "lwf"], tmp_path / "ranks.svg")
    values = whole.groupby(["task", "method"])["score"].mean().unstack()[methods].to_numpy()
    ranks = dict(zip(methods, mean_ranks(values), strict=True))
    shown = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1] for line in text.splitlines() if line.startswith("| ")
    }
    assert {name: shown[name] for name in methods} == {name: f"{rank:.2f}" for name, rank in ranks.items()}
    assert "lwf" not in text
    assert "4 tasks and 3 that are compared" in text
    assert text.count("Ranks over 4 of 4 tasks, 1 is best;") == 1
    assert re.search(r"\|\n\nRanks over [^\n]+ worse\.\n\n- ", text)
    assert (tmp_path / "ranks.svg").read_text().startswith("<svg")


def test_one_task_has_no_ranks(replication: ModuleType, tmp_path: Path):
    both = pd.concat([runs("vanilla", metric="dice"), runs("acnorm", metric="dice")])
    assert replication.ranked(both, ["vanilla", "acnorm"], tmp_path / "ranks.svg") == ""


def test_parts_of_the_places(replication: ModuleType):
    """Each part has its own places, a mean over the seeds that both methods have."""
    drawn = np.random.default_rng(1)
    rows = [
        runs(method, task=task, source=source, fraction=fraction, metric="dice").assign(score=drawn.random(2))
        for method in ("vanilla", "acnorm")
        for task in ("eyes", "heart")
        for source in ("moco", "supervised")
        for fraction in (0.25, 1.0)
    ]
    table = pd.concat([*rows, runs("bss", task="lung", metric="dice")], ignore_index=True)
    wide = table[table["method"] != "bss"].pivot(
        index=["task", "source", "fraction", "seed"], columns="method", values="score"
    )
    apart = wide["acnorm"] - wide["vanilla"]
    expected = {
        "all places": (8, apart.mean()),
        "25% of the labels": (4, apart.xs(0.25, level="fraction").mean()),
        "moco source": (4, apart.xs("moco", level="source").mean()),
        "seed 1": (8, apart.xs(1, level="seed").mean()),
        "all but heart": (4, apart.xs("eyes", level="task").mean()),
        "means of the tasks": (2, apart.mean()),
    }
    text = replication.parts_of(table, "acnorm", "vanilla")
    shown = {}
    for line in text.splitlines()[2:]:
        name, places, mean = (part.strip() for part in line.strip("|").split("|")[:3])
        shown[name] = (int(places), float(mean))
    for name, (places, mean) in expected.items():
        assert shown[name] == (places, pytest.approx(mean, abs=1e-4))
    assert len(shown) == 1 + 2 + 2 + 2 + 2 + 1


def test_tasks_in_which_all_methods_have_runs(replication: ModuleType):
    table = pd.concat([runs("vanilla"), runs("acnorm"), runs("vanilla", task="heart")])
    assert set(replication.with_all_methods(table)["task"]) == {"eyes"}
