"""Make the zoo of small checkpoints, and fine-tune each on two targets against random initialisation.

    python benchmarks/zoo.py --data ../shared/data --runs runs/zoo                # the checkpoints (make zoo)
    python benchmarks/zoo.py --data ../shared/data --runs runs/zoo --finetune     # and the targets, then the table
    python benchmarks/zoo.py --runs runs/zoo --table-only

What is in the zoo stands in zoo.yaml. Finished runs are kept and interrupted ones resumed, so the command can be given
again, also with more seeds. The table goes to docs/results/zoo_table.md, its numbers to zoo_cells.csv.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import stats

RECIPE = Path(__file__).with_suffix(".yaml")
RANDOM = "random"


@dataclass(frozen=True)
class Run:
    """One command in a folder of its own."""

    verb: str
    folder: Path
    flags: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether it has its metrics."""
        return (self.folder / "metrics.json").is_file()

    def go(self) -> None:
        """Run it, on one thread, so that the machine is shared evenly."""
        if self.finished:
            return
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        resume = ["--resume"] if (self.folder / "config.yaml").is_file() else []
        command = [sys.executable, "-m", "acnorm.cli.main", self.verb, *self.flags, "--out", str(self.folder), *resume]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        state = "done" if done.returncode == 0 else f"FAILED ({done.stderr.strip().splitlines()[-1:]})"
        print(f"{self.folder.name}: {state}", flush=True)


def flags_of(values: dict[str, Any]) -> list[str]:
    """Settings as flags."""
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def checkpoints(size: str, zoo: dict[str, Any], data: Path, runs: Path) -> dict[str, Run]:
    """The pretraining runs of one size of network."""
    found = {}
    for name, recipe in zoo["checkpoints"].items():
        settings = {**zoo["flags"], **recipe, "data": data / recipe["data"], "model": zoo["model"]}
        found[name] = Run("pretrain", runs / f"{size}-{name}", tuple(flags_of(settings)))
    return found


def targets(size: str, zoo: dict[str, Any], data: Path, runs: Path, seed: int) -> dict[tuple[str, str], Run]:
    """The fine-tuning runs of one size and seed, by checkpoint and target."""
    found = {}
    for name in (RANDOM, *zoo["checkpoints"]):
        for target, about in zoo["targets"].items():
            settings = {**about["flags"], "data": data / about["data"], "model": zoo["model"], "seed": seed}
            settings["method"] = "vanilla"
            if name != RANDOM:
                settings["weights"] = runs / f"{size}-{name}" / "model" / "encoder.safetensors"
            folder = runs / f"{size}-{name}-on-{target}-seed{seed}"
            found[name, target] = Run("finetune", folder, tuple(flags_of(settings)))
    return found


def rows_of(recipe: dict[str, Any], runs: Path, seeds: int) -> pd.DataFrame:
    """One row a finished fine-tuning run."""
    rows = []
    for size, zoo in recipe.items():
        for seed in range(seeds):
            for (name, target), run in targets(size, zoo, Path(), runs, seed).items():
                if not run.finished:
                    continue
                metric = zoo["targets"][target]["metric"]
                found = json.loads((run.folder / "metrics.json").read_text())
                value = found["splits"]["test"]["metrics"][metric]["value"]
                facts = {"size": size, "checkpoint": name, "target": target, "seed": seed, "metric": metric}
                rows.append(facts | {"value": value, "seconds": found["seconds"]})
    return pd.DataFrame(rows)


def table_of(recipe: dict[str, Any], runs: Path, rows: pd.DataFrame) -> str:
    """The published table: for each checkpoint its neighbours' accuracy at the end, and its targets against random."""
    lines = []
    for size, zoo in recipe.items():
        names = list(zoo["targets"])
        if not names:
            continue
        metrics = [zoo["targets"][name]["metric"].replace("_", " ") for name in names]
        heads = [f"{name} ({metric})" for name, metric in zip(names, metrics, strict=True)]
        lines += [f"### {size}: {zoo['model']}", ""]
        lines += ["| checkpoint | neighbours on own images | minutes | " + " | ".join(heads) + " |"]
        lines += ["|---" * (3 + len(heads)) + "|"]
        for name in (RANDOM, *zoo["checkpoints"]):
            file = runs / f"{size}-{name}" / "metrics.json"
            made = json.loads(file.read_text()) if file.is_file() else None
            neighbours = "–" if made is None else _number(made["last_epoch"].get("val_knn_accuracy"))
            minutes = "–" if made is None else f"{made['seconds'] / 60:.1f}"
            cells = [_against_random(rows, size, name, target) for target in names]
            lines.append(f"| {name} | {neighbours} | {minutes} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _against_random(rows: pd.DataFrame, size: str, name: str, target: str) -> str:
    """Mean over seeds, and the paired difference to random initialisation with its 95 % interval."""
    if rows.empty:
        return "–"
    chosen = rows[(rows["size"] == size) & (rows["target"] == target)]
    wide = chosen.pivot(index="seed", columns="checkpoint", values="value")
    if name not in wide or wide[name].isna().all():
        return "–"
    mean = f"{wide[name].mean():.3f}"
    if name == RANDOM or RANDOM not in wide:
        return mean
    apart = (wide[name] - wide[RANDOM]).dropna()
    if len(apart) < 2:
        return f"{mean} ({apart.mean():+.3f}, n = {len(apart)})"
    half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
    return f"{mean} ({apart.mean():+.3f} ± {half:.3f}, n = {len(apart)})"


def main() -> None:
    """Make what is not there and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--sizes", nargs="+", default=["2d", "2d-resnet10", "3d"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--finetune", action="store_true", help="fine-tune on the targets as well")
    parser.add_argument("--table-only", action="store_true", help="of what is finished")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe = {size: zoo for size, zoo in recipe.items() if size in options.sizes}
    if not options.table_only:
        options.runs.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(options.processes) as pool:
            made = [
                run
                for size, zoo in recipe.items()
                for run in checkpoints(size, zoo, options.data, options.runs).values()
            ]
            list(pool.map(Run.go, made))
            for seed in range(options.seeds if options.finetune else 0):
                for size, zoo in recipe.items():
                    list(pool.map(Run.go, targets(size, zoo, options.data, options.runs, seed).values()))
    if options.finetune or options.table_only:
        rows = rows_of(recipe, options.runs, options.seeds)
        rows.to_csv(options.out / "zoo_cells.csv", index=False, float_format="%.5f")
        table = table_of(recipe, options.runs, rows)
        (options.out / "zoo_table.md").write_text(table + "\n")
        print(table)


if __name__ == "__main__":
    main()
