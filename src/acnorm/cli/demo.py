"""``acnorm demo``: the whole job on generated images."""

from __future__ import annotations

import logging
import time

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Run the demo, print the ranking and the two runs side by side, and where the report is."""
    parser = Parser("demo", "The whole job on generated images, in minutes.")
    parser.add_argument("--out", default="demo", help="folder for everything (default: demo)")
    parser.add_argument("--overwrite", action="store_true", help="delete an earlier demo there first")
    options = parser.parse(argv)
    for handler in logging.getLogger().handlers:  # the steps are told here; each run keeps its own log
        handler.setLevel(logging.ERROR)
    from pathlib import Path

    from acnorm.cli.rank import as_text
    from acnorm.cli.tables import metrics_table
    from acnorm.demo import run_demo

    start = time.perf_counter()
    result = run_demo(Path(options.out), overwrite=options.overwrite, say=lambda step: print(f"· {step}", flush=True))
    print()
    print(as_text(result.ranking))
    print()
    print(metrics_table({name: run.metrics for name, run in result.runs.items()}))
    print("One seed on generated images: a demonstration of the steps, not evidence for either method.")
    print(f"\nreport: {result.report} ({time.perf_counter() - start:.0f} s in all)")
    return 0
