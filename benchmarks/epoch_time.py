"""How long an epoch takes on two CPU cores, how much of it waits for data, and how much memory it needs.

    python benchmarks/epoch_time.py --data ../shared/data

Each row is one ``acnorm finetune --task …`` with a ResNet-18 encoder and random weights; the first epoch, which also
reads the files, is told apart from the later ones. An epoch ends with the validation cases, segmented whole. Memory is
the largest of the process and its workers.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

DATA = {"vessel-segmentation": "vessels/DRIVE", "cardiac-segmentation": "cardiac"}
EPOCHS = 4
HEADER = (
    "| task | workers | first epoch, s | later epochs, s | waiting for data, first | later | peak memory, GB |\n"
    "|---|---|---|---|---|---|---|"
)


def measure(task: str, data: Path, workers: int, epochs: int) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--task", task, "--data", str(data / DATA[task]), "--model", "monai/resnet18", "--method", "vanilla"]
        flags += ["--epochs", str(epochs), "--workers", str(workers), "--out", f"{folder}/run", "--bootstrap", "10"]
        command = [sys.executable, "-m", "acnorm.cli.main", "finetune", *flags, "--accelerator", "cpu"]
        # through a shell of its own, so that the peak of other rows does not count
        watched = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", watched, *command], check=True, capture_output=True, text=True)
        history = pd.read_csv(Path(folder) / "run" / "metrics.csv")
    first, later = history.iloc[0], history.iloc[1:]
    waiting = first["waiting"] / first["seconds"], later["waiting"].sum() / later["seconds"].sum()
    return (
        f"| {task} | {workers} | {first['seconds']:.1f} | {later['seconds'].mean():.1f} | {100 * waiting[0]:.1f} % | "
        f"{100 * waiting[1]:.1f} % | {int(done.stdout) / 1e6:.2f} |"
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tasks", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/epoch_time.md"))
    options = parser.parse_args()
    lines = ["# What an epoch takes", "", "    python benchmarks/epoch_time.py", ""]
    lines += [f"- {platform.machine()}, Python {platform.python_version()}, {options.epochs} epochs a row", "", HEADER]
    for task in options.tasks:
        for workers in options.workers:
            lines.append(measure(task, options.data, workers, options.epochs))
            print(lines[-1], flush=True)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
