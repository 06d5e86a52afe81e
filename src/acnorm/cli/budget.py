"""``acnorm rank --budget``: short fine-tunes of the candidates that cannot be told apart."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acnorm.bench.short_finetunes import ShortFinetunes
    from acnorm.ranking.result import Ranking

# Settings of rank that finetune has under the same name
SHARED = (
    *("data", "format", "splits", "image_size", "patch_size", "slices", "spacing", "window", "seed"),
    *("minimum_share", "stem_rule", "depth_rule", "task", "skip_bad"),
)


def add_budget_flags(parser: Any) -> None:
    """Add the flags.

    Examples:
        >>> from acnorm.cli.parser import Parser
        >>> parser = Parser("rank", "")
        >>> add_budget_flags(parser)
        >>> parser.parse(["--budget", "2h"]).budget
        '2h'
    """
    parser.add_argument(
        "--budget", metavar="TIME", help="fine-tune those that cannot be told apart for that long: 90s, 30m, 2h"
    )
    parser.add_argument("--runs", metavar="FOLDER", help="with --budget, folder of these runs; gone on with")
    parser.add_argument("--epochs", type=int, help="with --budget, of a whole fine-tuning (default: 20)")
    parser.add_argument("--method", help="with --budget, how to fine-tune, of acnorm methods (default: vanilla)")


def check_budget(short: Mapping[str, Any]) -> None:
    """Refuse flags that do not go together, before anything is computed.

    Raises:
        UserError: in one line.

    Examples:
        >>> check_budget({"budget": None, "runs": None, "epochs": None, "method": None})
    """
    from acnorm.errors import UserError

    if short["budget"] is None:
        for name in ("runs", "epochs", "method"):
            if short[name] is not None:
                raise UserError(f"--{name}: is for short fine-tunes; give --budget too, such as 2h.")
        return
    from acnorm.bench.durations import seconds_of

    seconds_of(short["budget"])
    if short["runs"] is None:
        raise UserError(f"--budget {short['budget']}: give --runs FOLDER, where the short fine-tunes are kept.")
    if short["epochs"] is not None and short["epochs"] < 1:
        raise UserError(f"--epochs is {short['epochs']}, must be 1 or more.")
    if short["method"] is not None:
        from acnorm.tuning.method import make_method

        make_method(short["method"])
    from acnorm.bench.short_finetunes import check_runs

    check_runs(Path(short["runs"]))


def run_short(ranking: Ranking, short: Mapping[str, Any], options: Mapping[str, Any]) -> ShortFinetunes:
    """Run the short fine-tunes, telling each step on stderr.

    Args:
        ranking: of the candidates.
        short: values of the flags of this file.
        options: values of the other flags of ``acnorm rank``.

    Examples:
        >>> run_short.__name__
        'run_short'
    """
    from acnorm.bench.short_finetunes import fine_tune_tied

    shared = {name: options[name] for name in SHARED if options[name] is not None}
    given = {name: value for name, value in short.items() if value is not None}
    return fine_tune_tied(
        ranking, **given, **shared, told=lambda line: print(f"acnorm: {line}", file=sys.stderr, flush=True)
    )
