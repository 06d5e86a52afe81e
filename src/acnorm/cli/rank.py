"""``acnorm rank``: which of several checkpoints to fine-tune."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from acnorm.cli.budget import add_budget_flags, check_budget, run_short
from acnorm.cli.parser import Parser
from acnorm.cli.rank_page import add_report_flags, page_of

if TYPE_CHECKING:
    from acnorm.ranking.rank import Ranking


def main(argv: list[str]) -> int:
    """Print the ranking as tables with a line of advice, or as JSON, and write it as CSV where asked."""
    parser = Parser("rank", "Score which of several checkpoints to fine-tune.")
    parser.add_argument("--data", required=True, help="as for acnorm finetune")
    parser.add_argument(
        "--model", required=True, nargs="+", help="the network that all candidates are for, or one for each"
    )
    parser.add_argument("--weights", required=True, nargs="+", metavar="FILE", help="candidate checkpoints")
    parser.add_argument(
        "--measures",
        metavar="A,B",
        help="names from acnorm measures, or all; the first decides (default: those with the most evidence)",
    )
    parser.add_argument("--task", metavar="NAME", help="of acnorm tasks: what volumes are and how they are taken")
    parser.add_argument("--format", help="of the data; found out where not given")
    parser.add_argument("--skip-bad", action="store_true", help="leave out broken cases, and tell them")
    parser.add_argument("--splits", help="file with the split of each case")
    parser.add_argument("--image-size", type=int, help="height and width in pixels")
    parser.add_argument("--patch-size", type=int, help="of label maps, sides of the patches in voxels")
    parser.add_argument(
        "--slices",
        nargs="?",
        const="true",
        choices=("true", "false"),
        help="of label maps, take volumes slice by slice",
    )
    parser.add_argument("--spacing", metavar="MM", help="of label maps, to which volumes are resampled; or median")
    parser.add_argument("--window", metavar="LOW,HIGH", help="of volumes, lowest and highest intensity")
    parser.add_argument(
        "--stage", metavar="N", help="of label maps, the encoder's stage (1: the finest), or several: 2,3"
    )
    parser.add_argument("--voxels", type=int, help="of label maps, of each class in each case (default: 100)")
    parser.add_argument("--probe-steps", type=int, help="optimiser steps of the probe (default: 1)")
    parser.add_argument("--probe-epochs", type=int, help="whole epochs in the place of steps")
    parser.add_argument("--probe-seeds", type=int, default=5, help="probes a candidate (default: 5)")
    parser.add_argument("--layers", metavar="PATTERN", help="norm layers that AC-Corr looks at, such as 'layer4*'")
    parser.add_argument("--seed", type=int, default=0, help="of all draws, and first of the probe seeds (default: 0)")
    parser.add_argument("--minimum-share", type=float, default=0.9, help="least share that must load (default: 0.9)")
    parser.add_argument("--stem-rule", default="sum", help="how a first convolution takes other channels (sum)")
    parser.add_argument("--depth-rule", default="spread", help="how 2D kernels become 3D (spread)")
    parser.add_argument("--cache", metavar="FOLDER", help="keep features there, to be used again")
    add_report_flags(parser)
    parser.add_argument("--csv", metavar="FILE", help="write a row for each candidate and measure")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_budget_flags(parser)
    options = vars(parser.parse(argv))
    options["slices"] = None if options["slices"] is None else options["slices"] == "true"
    as_json, as_csv = options.pop("json"), options.pop("csv")
    short = {name: options.pop(name) for name in ("budget", "runs", "epochs", "method")}
    check_budget(short)
    from acnorm.data.atomic import check_writable
    from acnorm.errors import UserError
    from acnorm.ranking.rank import rank

    if as_csv is not None:
        if Path(as_csv).suffix.lower() != ".csv":
            raise UserError(f"--csv {as_csv}: must end in .csv.")
        check_writable(Path(as_csv))
    write_page = page_of(options)
    ranking = rank(**options)
    write_page(ranking)
    if as_csv is not None:
        _write(ranking, Path(as_csv))
    if as_json:
        found = {} if short["budget"] is None else {"short_finetunes": run_short(ranking, short, options).to_dict()}
        print(json.dumps(ranking.to_dict() | found, indent=1))
        return 0
    print(as_text(ranking))
    if short["budget"] is not None:
        from acnorm.bench.short_finetunes import as_text as short_as_text

        print(short_as_text(run_short(ranking, short, options)))
    return 0


def as_text(ranking: Ranking) -> str:
    """Return the tables and what they do and do not say.

    Examples:
        >>> from acnorm.ranking.rank import Candidate, Ranking
        >>> from acnorm.ranking.result import Score
        >>> candidate = Candidate("a.pth", seconds=1.0, size=64, scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> text = as_text(Ranking((candidate,), "one optimiser step", tied=("a.pth",), by="knn"))
        >>> print("\\n".join(text.splitlines()[:5]))
        candidate  loaded  features  knn  time
        a.pth      100 %   64        1    1.0 s
        <BLANKLINE>
        measure  candidate  score  95 % interval
        knn      a.pth      0.800  0.700 to 0.900
    """
    from acnorm.cli.tables import table
    from acnorm.ranking.tables import notes, places, scores

    parts = [table(places(ranking)), table(scores(ranking)), "\n".join([*notes(ranking), ranking.advice])]
    return "\n\n".join(parts)


def _write(ranking: Ranking, file: Path) -> None:
    from acnorm.data.atomic import replacing

    rows = ranking.rows()
    with replacing(file) as draft, draft.open("w", newline="", encoding="utf-8") as open_file:
        writer = csv.DictWriter(open_file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
