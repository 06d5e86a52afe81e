"""Plain BatchNorm against AC-Norm on real images: CIFAR-10 ResNets tuned to RetinaMNIST and IDRiD.

    python benchmarks/batchnorm_vs_acnorm.py --data ../shared/data --runs runs/first
    python benchmarks/batchnorm_vs_acnorm.py --data ../shared/data --runs runs/first --select

Each cell is one ``acnorm finetune`` in a folder of its own; finished cells are kept and interrupted ones resumed, so
the command can be stopped and given again, or given more seeds. ``--select`` runs the grid of learning rates
from which the default was chosen, on validation only, and prints it. The table goes to docs/results/.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from acnorm.training.metrics import classification_metrics

DATA = {"retinamnist": ("dr_grading/retinamnist.npz", 32), "idrid": ("dr_grading/idrid", 64)}
WEIGHTS = {"resnet20": "weights/resnet20-12fca82f.th", "resnet56": "weights/resnet56-4bfd9763.th"}
METHODS = ("vanilla", "acnorm")
METRICS = {"macro_auc": "macro AUC", "quadratic_kappa": "quadratic kappa", "accuracy": "accuracy"}
RATES = (0.003, 0.01, None, 0.1, 0.3)  # None: the default, whose cells are those of seed 0 of the grid
RESAMPLES = 2000


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    data: str
    model: str
    method: str
    seed: int
    rate: float | None = None

    def folder(self, runs: Path) -> Path:
        """Where its run is."""
        rate = "" if self.rate is None else f"-rate{self.rate:g}"
        return runs / f"{self.data}-{self.model}-{self.method}{rate}-seed{self.seed}"

    def command(self, data: Path, runs: Path) -> list[str]:
        """The command that makes it."""
        images, size = DATA[self.data]
        out = self.folder(runs)
        flags = ["--data", str(data / images), "--image-size", str(size), "--model", f"cifar/{self.model}"]
        flags += ["--weights", str(data / WEIGHTS[self.model]), "--method", self.method, "--seed", str(self.seed)]
        flags += ["--optimizer", "sgd", "--out", str(out)]
        if self.rate is not None:
            flags += ["--learning-rate", str(self.rate)]
        if (out / "config.yaml").is_file():
            flags.append("--resume")
        return [sys.executable, "-m", "acnorm.cli.main", "finetune", *flags]


def run_cells(cells: list[Cell], data: Path, runs: Path, processes: int) -> None:
    """Run what is not finished, each run on one thread so that the machine is shared evenly."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(cell: Cell) -> None:
        if (cell.folder(runs) / "metrics.json").is_file():
            return
        done = subprocess.run(cell.command(data, runs), env=environment, capture_output=True, text=True, check=False)
        state = "done" if done.returncode == 0 else f"FAILED ({done.stderr.strip().splitlines()[-1:]})"
        print(f"{cell.folder(runs).name}: {state}", flush=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(run, cells))


def value(cell: Cell, runs: Path, split: str, metric: str) -> float:
    """One metric of one finished cell."""
    metrics = json.loads((cell.folder(runs) / "metrics.json").read_text())
    return float(metrics["splits"][split]["metrics"][metric]["value"])


def differences(pairs: list[tuple[Path, Path]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """AC-Norm minus BatchNorm on the test cases, one column a metric: one row a seed, and one row a resample of cases.

    The same resampled cases are used for both methods and all seeds.
    """
    tables = [tuple(_test_cases(folder) for folder in pair) for pair in pairs]
    draw, cases = np.random.default_rng(0), len(tables[0][0])
    samples = []
    for _ in range(RESAMPLES):
        chosen = draw.integers(cases, size=cases)
        samples.append(pd.DataFrame([_difference(*pair, chosen) for pair in tables]).mean())
    return pd.DataFrame([_difference(*pair, np.arange(cases)) for pair in tables]), pd.DataFrame(samples)


def _difference(plain: pd.DataFrame, acnorm: pd.DataFrame, chosen: np.ndarray) -> pd.Series:
    before, after = (_metrics(table.iloc[chosen]) for table in (plain, acnorm))
    return after - before


def _test_cases(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "per_case.csv", dtype={"id": str})
    return table[table["split"] == "test"].sort_values("id")


def _metrics(table: pd.DataFrame) -> pd.Series:
    probabilities = table.filter(like="probability_").to_numpy(float)
    return pd.Series(classification_metrics(table["label"].to_numpy(np.int64), probabilities))[list(METRICS)]


def result_rows(runs: Path, seeds: int) -> list[dict[str, object]]:
    """One row a data set, network and metric, over the seeds that both methods have finished."""
    rows: list[dict[str, object]] = []
    for data, model in itertools.product(DATA, WEIGHTS):
        found = [
            [Cell(data, model, method, seed) for method in METHODS]
            for seed in range(seeds)
            if all((Cell(data, model, m, seed).folder(runs) / "metrics.json").is_file() for m in METHODS)
        ]
        if not found:
            continue
        folders = [(plain.folder(runs), acnorm.folder(runs)) for plain, acnorm in found]
        over_seeds, over_cases = differences(folders)
        for metric, title in METRICS.items():
            plain, acnorm = (np.array([value(pair[at], runs, "test", metric) for pair in found]) for at in (0, 1))
            point, (low, high) = over_seeds[metric].to_numpy(), over_cases[metric].quantile([0.025, 0.975])
            rows.append(
                {
                    "data": data,
                    "network": model,
                    "metric": title,
                    "seeds": len(found),
                    "BatchNorm": _spread(plain),
                    "AC-Norm": _spread(acnorm),
                    "difference": f"{point.mean():+.3f}",
                    "95 % over seeds": _interval_over_seeds(point),
                    "95 % over cases": f"[{low:+.3f}, {high:+.3f}]",
                    "p": stats.ttest_rel(acnorm, plain).pvalue if len(point) > 1 else float("nan"),
                }
            )
    return _with_holm(rows)


def cell_rows(cells: list[Cell], runs: Path) -> pd.DataFrame:
    """One row a finished cell: its metrics on validation and test."""
    rows = []
    for cell in cells:
        if (cell.folder(runs) / "metrics.json").is_file():
            scores = {
                f"{split}_{metric}": value(cell, runs, split, metric) for split in ("val", "test") for metric in METRICS
            }
            rows.append({"data": cell.data, "network": cell.model, "method": cell.method, "seed": cell.seed, **scores})
    return pd.DataFrame(rows)


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def _interval_over_seeds(point: np.ndarray) -> str:
    if len(point) < 2:
        return "one seed"
    half = stats.t.ppf(0.975, len(point) - 1) * point.std(ddof=1) / np.sqrt(len(point))
    return f"[{point.mean() - half:+.3f}, {point.mean() + half:+.3f}]"


def _with_holm(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Holm's correction of the paired t-tests on macro AUC, the metric that runs are chosen by."""
    tested = [row for row in rows if row["metric"] == "macro AUC" and int(str(row["seeds"])) > 1]
    primary = sorted(tested, key=lambda row: float(str(row["p"])))
    largest = 0.0
    for place, row in enumerate(primary):
        largest = max(largest, min(1.0, float(str(row["p"])) * (len(primary) - place)))
        row["Holm p"] = f"{largest:.3f}"
    for row in rows:
        row["p"] = "" if int(str(row["seeds"])) < 2 else f"{float(str(row['p'])):.3f}"
        row.setdefault("Holm p", "")
    return rows


def markdown(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table."""
    if not rows:
        return "No seed is finished with both methods yet."
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def select(data: Path, runs: Path, processes: int) -> None:
    """Run the learning rates with both methods and print validation macro AUC."""
    cells = [Cell(name, "resnet20", method, 0, rate) for method in METHODS for rate in RATES for name in DATA]
    run_cells(cells, data, runs, processes)
    for cell in cells:
        if (cell.folder(runs) / "metrics.json").is_file():
            auc = value(cell, runs, "val", "macro_auc")
            rate = "default" if cell.rate is None else f"{cell.rate:g}"
            print(f"{cell.data} {cell.method} rate {rate}: validation macro AUC {auc:.3f}")


def main() -> None:
    """Run the grid and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/first"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/batchnorm_vs_acnorm_table.md"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--sets", nargs="+", default=list(DATA), choices=list(DATA), help="data sets to run")
    parser.add_argument("--select", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    options = parser.parse_args()
    if options.select:
        select(options.data, options.runs, options.processes)
        return
    cells = [
        Cell(data, model, method, seed)
        for model in options.models
        for seed in range(options.seeds)
        for data in options.sets
        for method in METHODS
    ]
    if not options.table_only:
        run_cells(cells, options.data, options.runs, options.processes)
    rows = result_rows(options.runs, options.seeds)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(markdown(rows) + "\n", encoding="utf-8")
    cell_rows(cells, options.runs).round(4).to_csv(options.out.with_name("batchnorm_vs_acnorm_cells.csv"), index=False)
    print(options.out)


if __name__ == "__main__":
    main()
