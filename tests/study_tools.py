"""A tiny bench of candidates × targets that was never run: its cells are given results."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from acnorm.bench.grid import Grid
from acnorm.bench.judging import Judged
from acnorm.bench.store import Store
from acnorm.bench.study import Judgement, Study, study_of
from acnorm.bench.study_cells import Truth
from acnorm.bench.study_rows import Row, Rows
from acnorm.training.config import FinetuneConfig
from bench_tools import base, result
from tiny_runs import checkpoint, eyes

NAMES = ("a", "b", "c", "d")
TARGETS = ("left", "right", "odd")


def value_of(row: Any) -> float:
    """A result: better along the alphabet for half of the letters, another order on "odd"."""
    weights = row["label_weights"]
    at = -1 if weights is None or weights != weights else NAMES.index(Path(weights).stem)
    gain = 0.02 * (row.get("label_method") == "acnorm") + 0.001 * row["label_seed"]
    return 0.6 + gain + 0.05 * (at if row["label_task"] != "odd" else (at * 2) % 4)


def study_bench(
    folder: Path, value: Callable[[Any], float | None] = value_of, targets: tuple[str, ...] = TARGETS, **changes: Any
) -> Path:
    """Four checkpoints and random weights on three targets by two methods, two seeds; None is not finished."""
    for at, name in enumerate(NAMES):
        if not (folder / f"{name}.pth").is_file():
            checkpoint(folder / f"{name}.pth", seed=at)
    for at, name in enumerate(targets):
        if not (folder / f"{name}.npz").is_file():
            eyes(folder / f"{name}.npz", seed=at, cases=40 + 2 * at)
    settings = base(folder)
    del settings["data"]
    weights = [None, *(str(folder / f"{name}.pth") for name in NAMES)]
    made = Grid(
        **{
            "base": settings,
            "axes": {"weights": weights, "method": ["vanilla", "acnorm"]},
            "tasks": {name: {"data": str(folder / f"{name}.npz")} for name in targets},
            "exclude": [{"weights": None, "method": "acnorm"}],
            "seeds": (0, 1),
        }
        | changes
    )
    store = Store(folder / "bench")
    with patch(
        "acnorm.bench.grid.config_from_settings", lambda given: FinetuneConfig(**given)
    ):  # parsing takes longest
        cells = made.cells()
    store.plan(cells, {"compare": made.compare, "baseline": made.baseline, "metric": made.metric})
    for _, row in store.table().iterrows():
        found = value(row)
        if found is not None:
            store.finish(row["address"], result(found), seconds=12.0, memory=2**30)
    store.close()
    return folder / "bench"


@cache
def tiny() -> tuple[Path, Study]:
    """A bench with its study, made once; not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="study-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bench = study_bench(folder, targets=("left", "odd"))
    return bench, study_of(bench, measures="knn,leep,ac-corr,affine-drift", lengths=("1", "2epochs"), seeds=2)


def row(name: str, judged: dict[str, Judged], elsewhere: float = 0.1, random: float = 0.2) -> Row:
    """A row of what was judged, against rules with the same regret on every target."""
    rules = [dict.fromkeys(judged, Judged(regret=value)) for value in (elsewhere, random)]
    return Rows({target: {} for target in judged}, *rules).row(name, judged)


def foretold(count: int, regret: float, spearman: float = 0.8) -> dict[str, Judged]:
    """As many targets of about the same figures."""
    return {
        f"t{at}": Judged(spearman, spearman - 0.01 * at, regret + 0.001 * at, float(regret == 0), 4, 4)
        for at in range(count)
    }


def study_of_many(count: int = 8) -> Study:
    """A study of many targets that was never computed: one good measure, one that is wrong, one that says nothing."""
    names = [f"t{at}" for at in range(count)]
    results = {name: {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.8} for name in names}
    truth = Truth(
        "vanilla",
        dict.fromkeys(names, "macro_auc"),
        results,
        {name: dict.fromkeys("abcd", 0.01) for name in names},
        {name: dict.fromkeys("abcd", 3) for name in names},
        {},
        (),
    )
    wrong = foretold(count, 0.3, -0.8)
    empty = dict.fromkeys(names, Judged(candidates=4))
    measures = (row("good", foretold(count, 0.0)), row("wrong", wrong), row("mute", empty))
    rules = (
        row("best on the other targets", foretold(count, 0.1, float("nan"))),
        row("a random pick", foretold(count, 0.2, float("nan"))),
        row("largest", empty),
    )
    layers = {"1": (row("bn1", foretold(count, 0.0)),)}
    scores = {"good": {name: dict(zip("abcd", range(4), strict=True)) for name in names}}
    judgement = Judgement(truth, results, scores, {"mute": "none for a on t0: no head"}, measures, rules, layers)
    return Study((judgement,), (), ("1",), 2, False, False, 0, 96)
