"""The whole job on generated images: sources, ranking, fine-tuning with BatchNorm and AC-Norm, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from acnorm.data.phantoms import Task, fundus_phantoms
from acnorm.errors import UserError
from acnorm.ranking.rank import Ranking, rank
from acnorm.report.write import write_report
from acnorm.training.finetune import Result
from acnorm.workflows import finetune

MODEL = "cifar/resnet20"
SOURCES: tuple[Task, ...] = ("grade", "lesion_type", "disc_side")
METHODS = ("vanilla", "acnorm")
_MARK = ".acnorm-demo"


@dataclass(frozen=True)
class DemoResult:
    """What the demo made: the ranking of its sources, one run a method, and the report of the runs side by side."""

    ranking: Ranking
    runs: dict[str, Result]
    report: Path


def run_demo(
    out: Path,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
    cases: int = 400,
    size: int = 32,
    source_epochs: int = 8,
    epochs: int = 12,
) -> DemoResult:
    """Make phantoms and three source checkpoints, rank them, and fine-tune from the first with both methods.

    Args:
        out: folder for everything; new or empty.
        overwrite: delete an earlier demo there first.
        say: told each step in a sentence.
        cases: images a data set.
        size: height and width in pixels.
        source_epochs: of pretraining.
        epochs: of fine-tuning.

    Raises:
        UserError: the folder holds something that is not an earlier demo, or is one and ``overwrite`` is not given.

    Examples:
        >>> run_demo.__name__
        'run_demo'
    """
    _prepare_folder(out, overwrite)
    say(f"making {cases} phantoms for each of {len(SOURCES)} source tasks and for the target")
    target = fundus_phantoms(out / "data" / "target.npz", domain="target", cases=cases, size=size, seed=100)
    zoo = [_source(out, task, cases, size, source_epochs, say) for task in SOURCES]
    say("ranking the sources by AC-Corr after one optimiser step")
    ranking = rank(data=target, model=MODEL, weights=zoo, measures=("ac-corr", "knn", "linear-probe"))
    first = ranking.candidates[0]
    if first.paper is None:
        raise UserError(f"no source has a score: {first.refused}")
    runs = {}
    for method in METHODS:
        say(f"fine-tuning {Path(first.weights).parents[1].name} on the target with {method}")
        settings = {"weights": first.weights, "method": method, "epochs": epochs}
        runs[method] = finetune(data=target, model=MODEL, out=out / "runs" / method, **settings)
    report = write_report([result.path for result in runs.values()], out / "report.html")
    return DemoResult(ranking, runs, report)


def _source(out: Path, task: Task, cases: int, size: int, epochs: int, say: Callable[[str], None]) -> Path:
    say(f"training a source checkpoint on the task {task}")
    data = fundus_phantoms(out / "data" / f"{task}.npz", domain="source", cases=cases, size=size, seed=1, task=task)
    settings = {"method": "vanilla", "epochs": epochs, "bootstrap": 100}
    run = finetune(data=data, model=MODEL, out=out / "sources" / task, **settings)
    return run.path / "model" / "model.safetensors"


def _prepare_folder(out: Path, overwrite: bool) -> None:
    if out.is_file():
        raise UserError(f"--out {out}: is a file; give a folder.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / _MARK).is_file():
            raise UserError(f"--out {out}: holds files that are not a demo's; give another folder.")
        if not overwrite:
            raise UserError(f"--out {out}: holds an earlier demo; --overwrite deletes it first.")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()
