"""``acnorm bench``: a grid of runs, each run once, and what can be concluded from them."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Run a grid, or tell how far one is, or write its report as it is now."""
    if argv and argv[0] in ("status", "report"):
        return _look(argv[0], argv[1:])
    if argv and argv[0] == "study":
        from acnorm.cli import study

        return study.main(argv[1:])
    parser = Parser(
        "bench", "Run a grid of fine-tuning runs, each once; also: acnorm bench status DIR, report DIR, study DIR."
    )
    parser.add_argument("grid", metavar="GRID.yaml", type=Path, help="which runs; see docs/compare.md")
    from acnorm.cli import benching

    benching.add_flags(parser)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        type=_part,
        metavar="AXIS=VALUE,…",
        help="run a part of the grid, beside what of it is finished: task=…, method=…, fraction=…, seed=…, fold=…",
    )
    parser.add_argument("--data", metavar="DIR", help="below which data and weights of the grid are looked for")
    parser.add_argument("--tracker", action="append", help="of each run, as for acnorm finetune")
    options = parser.parse(argv)

    from acnorm.bench.grid import read_grid

    grid = read_grid(options.grid).selected(options.only)
    grid = grid if options.data is None else replace(grid, folder=options.data)
    if options.tracker is not None:
        grid = replace(grid, base={**grid.base, "tracker": ",".join(options.tracker)})
    return benching.run(grid, options, shlex.join(["acnorm", "bench", *argv]))


def _part(text: str) -> str:
    if text.endswith((".yaml", ".yml")):
        raise argparse.ArgumentTypeError(f"{text} is no AXIS=VALUE; give the grid before --only")
    return text


def _look(what: str, argv: list[str]) -> int:
    about = {
        "status": "Say how many cells of a bench are done, running, waiting and failed.",
        "report": "Write the report of a bench, also while it runs.",
    }
    parser = Parser(f"bench {what}", about[what])
    parser.add_argument("folder", metavar="DIR", type=Path, help="the --out of acnorm bench or acnorm compare")
    folder = parser.parse(argv).folder
    from acnorm.bench.store import Store
    from acnorm.cli import benching

    if what == "report":
        benching.finish(folder)
        return 0
    store = Store.existing(folder)
    print(benching.status(store))
    store.close()
    return 0
