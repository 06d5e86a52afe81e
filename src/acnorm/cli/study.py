"""``acnorm bench study``: which measure would have picked the right checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Score the candidates of a bench on its targets, and judge the measures by what fine-tuning gave."""
    parser = Parser(
        "bench study", "Judge transferability measures by the finished runs of a bench (weights × tasks × methods)."
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="the --out of acnorm bench")
    parser.add_argument("--measures", default="all", metavar="A,B", help="names from acnorm measures (all)")
    parser.add_argument(
        "--ac-corr-steps",
        nargs="+",
        default=["1", "5", "epoch"],
        metavar="N",
        help="lengths of the probe: steps, epoch, or such as 3epochs (1 5 epoch)",
    )
    parser.add_argument("--probe-seeds", type=int, default=3, help="probes a candidate and division (3)")
    parser.add_argument("--with-random", action="store_true", help="count random initialisation as a candidate")
    options = parser.parse(argv)
    from acnorm.bench.study import study_of
    from acnorm.report.study import write_study

    study = study_of(
        options.folder,
        measures=options.measures,
        lengths=options.ac_corr_steps,
        seeds=options.probe_seeds,
        with_random=options.with_random,
        told=lambda line: print(f"acnorm: {line}", file=sys.stderr),
    )
    page = write_study(options.folder, study)
    print((options.folder / "study.md").read_text(encoding="utf-8"))
    print(f"report: {page}")
    return 0
