"""A cell for workers of a Ray cluster that trains nothing: it writes down that it ran, and may be killed on its way."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

FAILING, RAISING, KILLED, SLEEPING = 9, 10, 11, 12  # batch sizes
SECONDS_OF_SLEEP = 120  # nobody waits for its end
HELD = 0.5  # the learning rate of cells that run until a file of that name lies beside attempts.txt


def main(arguments: Sequence[str]) -> int:
    """As ``acnorm.bench.work.main``; its batch size tells what becomes of it. One to be killed is killed once."""
    settings = yaml.safe_load(Path(arguments[0]).read_text())
    run = Path(settings["out"])
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text("half: done\n")
    again = "--resume" in arguments
    with (run.parents[1] / "attempts.txt").open("a") as attempts:
        attempts.write(f"{run.name} {os.getpid()} {again} {os.environ['OMP_NUM_THREADS']}\n")
    if settings["batch_size"] == KILLED and not again:
        os.kill(os.getpid(), signal.SIGKILL)
    if settings["batch_size"] == SLEEPING:
        wait_for(run / "never")
    if settings.get("learning_rate") == HELD:
        wait_for(run.parents[1] / "released")
    if settings["batch_size"] == RAISING:
        raise ValueError("nobody foresaw this")
    if settings["batch_size"] == FAILING:
        print("the loss is not finite.", file=sys.stderr)
        return 1
    metrics = {"macro_auc": {"value": 0.8, "low": None, "high": None}}
    content = {"monitor": "val_macro_auc", "seconds": 1.0, "splits": {"test": {"metrics": metrics}}}
    (run / "metrics.json").write_text(json.dumps(content))
    return 0


def wait_for(file: Path) -> None:
    """Until a file is there or the time is up; as training does, it comes back to Python now and then."""
    deadline = time.monotonic() + SECONDS_OF_SLEEP
    while time.monotonic() < deadline and not file.exists():
        time.sleep(0.01)
