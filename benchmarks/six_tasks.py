"""Plain BatchNorm against AC-Norm on real images of all six tasks, three seeds.

    python benchmarks/six_tasks.py --data ../shared/data --runs runs/tasks
    python benchmarks/six_tasks.py --data ../shared/data --runs runs/tasks --table-only

Each cell is one ``acnorm finetune --task …`` in a folder of its own; finished cells are kept and interrupted ones
resumed, so the command can be stopped and given again, or given more seeds. Sources are CIFAR-10 ResNet-20 and, for the
tasks of other images, a ResNet-10 that is first trained here to tell six radiological modalities apart (MedNIST); 3D
networks take its kernels inflated. The table goes to docs/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

METHODS = ("vanilla", "acnorm")
CIFAR, MEDNIST = "weights/resnet20-12fca82f.th", "mednist"
SGD = ("--optimizer", "sgd")
SOURCE = ("--image-size", "64", "--epochs", "6", "--batch-size", "64", "--method", "vanilla", "--augment", "standard")


@dataclass(frozen=True)
class Task:
    """One task: its data, network and source, what is changed of the preset to fit two cores, and its main metric."""

    data: str
    model: str
    source: str
    metric: str
    flags: dict[str, str] = field(default_factory=dict)


TASKS = {
    "dr-grading": Task("dr_grading/idrid", "cifar/resnet20", CIFAR, "macro_auc", {"image-size": "64"}),
    "vessel-segmentation": Task(
        "vessels/DRIVE", "cifar/resnet20", CIFAR, "dice_vessel", {"epochs": "12", "patches-per-case": "8"}
    ),
    "nodule-classification": Task(
        "nodules/luna16_patches_50.npz", "cifar/resnet20", CIFAR, "macro_auc", {"image-size": "32", "epochs": "6"}
    ),
    "nodule-segmentation": Task(
        "nodules/lidc", "monai/resnet10", MEDNIST, "dice_nodule", {"epochs": "12", "patch-size": "32"}
    ),
    "liver-tumor-segmentation": Task(
        "liver", "monai/resnet10", MEDNIST, "dice", {"epochs": "12", "patches-per-case": "32"}
    ),
    "cardiac-segmentation": Task("cardiac", "monai/resnet10", MEDNIST, "dice", {"epochs": "8"}),
}


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    task: str
    method: str
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where its run is."""
        return runs / f"{self.task}-{self.method}-seed{self.seed}"

    def command(self, data: Path, runs: Path) -> list[str]:
        """The command that makes it."""
        task, out = TASKS[self.task], self.folder(runs)
        weights = source_weights(runs) if task.source == MEDNIST else data / task.source
        flags = ["--task", self.task, "--data", str(data / task.data), "--model", task.model]
        flags += ["--weights", str(weights), "--method", self.method, "--seed", str(self.seed)]
        flags += [part for name, value in task.flags.items() for part in (f"--{name}", value)]
        flags += [*SGD, "--out", str(out)]
        return flags + (["--resume"] if (out / "config.yaml").is_file() else [])


def source_weights(runs: Path) -> Path:
    """The checkpoint of the source that is trained here."""
    return runs / "source-mednist" / "model" / "model.safetensors"


def finetune(flags: list[str]) -> subprocess.CompletedProcess[str]:
    """Run ``acnorm finetune`` on one thread, so that the machine is shared evenly."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "acnorm.cli.main", "finetune", *flags]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def make_source(data: Path, runs: Path) -> None:
    """Train the ResNet-10 source, unless it is there."""
    if source_weights(runs).is_file():
        return
    flags = ["--data", str(data / "source" / "mednist_64.npz"), "--model", "monai/resnet10", *SGD, *SOURCE]
    done = finetune([*flags, "--out", str(runs / "source-mednist"), "--overwrite"])
    if done.returncode:
        sys.exit(f"the source: {done.stderr.strip().splitlines()[-1:]}")


def run_cells(cells: list[Cell], data: Path, runs: Path, processes: int) -> None:
    """Run what is not finished."""

    def run(cell: Cell) -> None:
        if (cell.folder(runs) / "metrics.json").is_file():
            return
        done = finetune(cell.command(data, runs))
        state = "done" if done.returncode == 0 else f"FAILED ({done.stderr.strip().splitlines()[-1:]})"
        print(f"{cell.folder(runs).name}: {state}", flush=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(run, cells))


def rows_of(cells: list[Cell], runs: Path) -> pd.DataFrame:
    """One row a finished cell and metric of the test split."""
    rows = []
    for cell in cells:
        file = cell.folder(runs) / "metrics.json"
        if not file.is_file():
            continue
        found = json.loads(file.read_text())
        for metric, interval in found["splits"]["test"]["metrics"].items():
            facts = {"cases": found["splits"]["test"]["cases"], "best_epoch": found["best_epoch"] + 1}
            row = {"task": cell.task, "method": cell.method, "seed": cell.seed, "metric": metric}
            rows.append(row | {"value": interval["value"], **facts, "seconds": found["seconds"]})
    return pd.DataFrame(rows)


def paired_cases(task: str, seed: int, runs: Path) -> np.ndarray:
    """The difference of every test case, AC-Norm − BatchNorm, in its main metric; of classification, right or wrong."""
    column = TASKS[task].metric
    values = []
    for method in METHODS:
        table = pd.read_csv(Cell(task, method, seed).folder(runs) / "per_case.csv", dtype={"id": str, "patient": str})
        table = table[table["split"] == "test"].set_index("id").sort_index()
        if column == "macro_auc":
            table[column] = (table["label"] == table["prediction"]).astype(float)
        table["patient"] = table["patient"].fillna(pd.Series(table.index, index=table.index))
        values.append(table)
    apart = values[1][column] - values[0][column]
    return apart.groupby(values[0]["patient"]).mean().dropna().to_numpy()


def table_of(rows: pd.DataFrame, runs: Path) -> str:
    """The published table: means over seeds and paired differences, with two intervals each."""
    lines = [
        "| task | test cases | metric | BatchNorm | AC-Norm | difference | 95 % over seeds | 95 % over patients |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, about in TASKS.items():
        chosen = rows[(rows["task"] == task) & (rows["metric"] == about.metric)]
        wide = chosen.pivot(index="seed", columns="method", values="value").dropna()
        if set(METHODS) - set(wide.columns) or wide.empty:
            continue
        apart = wide["acnorm"] - wide["vanilla"]
        seeds = "–"
        if len(apart) > 1:
            half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
            seeds = f"{apart.mean() - half:+.3f} to {apart.mean() + half:+.3f} (n = {len(apart)})"
        means = " | ".join(f"{wide[method].mean():.3f} ± {wide[method].std(ddof=1):.3f}" for method in METHODS)
        lines.append(
            f"| {task} | {chosen['cases'].iloc[0]} | {about.metric.replace('_', ' ')} | {means} | "
            f"{apart.mean():+.3f} | {seeds} | {over_patients(task, list(wide.index), runs)} |"
        )
    return "\n".join(lines)


def over_patients(task: str, seeds: list[int], runs: Path) -> str:
    """The bootstrap interval of the mean difference over test patients of all seeds; for AUC that of accuracy."""
    apart = [paired_cases(task, seed, runs) for seed in seeds]
    draw = np.random.default_rng(0)
    means = [np.mean([draw.choice(values, len(values)).mean() for values in apart]) for _ in range(2000)]
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{low:+.3f} to {high:+.3f}" + (" (accuracy)" if TASKS[task].metric == "macro_auc" else "")


def main() -> None:
    """Run the grid and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/tasks"))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--table-only", action="store_true", help="of the cells that are finished")
    options = parser.parse_args()
    cells = [Cell(task, method, seed) for seed in range(options.seeds) for task in options.tasks for method in METHODS]
    if not options.table_only:
        options.runs.mkdir(parents=True, exist_ok=True)
        make_source(options.data, options.runs)
        run_cells(cells, options.data, options.runs, options.processes)
    rows = rows_of(cells, options.runs)
    rows.to_csv(options.out / "six_tasks_cells.csv", index=False, float_format="%.5f")
    table = table_of(rows, options.runs)
    (options.out / "six_tasks_table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
