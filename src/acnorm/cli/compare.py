"""``acnorm compare``: several methods on one data set and checkpoint, on equal terms."""

from __future__ import annotations

import shlex

from acnorm.cli.parser import Parser

TRIALS = 10  # of --search without a number


def main(argv: list[str]) -> int:
    """Compare methods over seeds and folds, and print what can be concluded."""
    from acnorm.cli import benching

    parser = Parser(
        "compare",
        "Compare ways to fine-tune on the same folds, batches and budget. Takes every setting of acnorm finetune too: "
        "--data, --model, --weights, --task, --epochs, …",
    )
    parser.add_argument("--methods", required=True, nargs="+", metavar="METHOD", help="names from acnorm methods")
    parser.add_argument("--baseline", metavar="METHOD", help="that the others are compared with (the first)")
    parser.add_argument("--seeds", type=int, default=5, help="repeats, each with other folds (5)")
    parser.add_argument("--folds", type=int, default=5, help="of the patients in each repeat (5)")
    parser.add_argument("--fractions", nargs="+", type=float, default=[1.0], help="of the training labels (1.0)")
    parser.add_argument("--metric", help="of the test cases (what the runs choose their epoch by)")
    parser.add_argument(
        "--search",
        nargs="?",
        const=TRIALS,
        type=int,
        metavar="TRIALS",
        help=f"look for the settings of every method on validation cases, with as many trials for each ({TRIALS})",
    )
    benching.add_flags(parser)
    own, others = _parted(argv, parser)
    options = parser.parse(own)
    from acnorm.bench.compare import comparison, refuse_made_here
    from acnorm.training.settings import config_from_flags

    refuse_made_here({argument.partition("=")[0].removeprefix("--").replace("-", "_"): None for argument in others})
    config = config_from_flags([*others, f"--method={options.methods[0]}", f"--out={options.out}"])
    named = ("methods", "seeds", "folds", "fractions", "baseline", "metric", "search")
    grid = comparison(config, **{name: getattr(options, name) for name in named})
    return benching.run(grid, options, shlex.join(["acnorm", "compare", *argv]))


def _parted(argv: list[str], parser: Parser) -> tuple[list[str], list[str]]:
    """The arguments of this verb, and the settings of the runs."""
    known = {option for action in parser._actions for option in action.option_strings}
    own: list[str] = []
    others: list[str] = []
    chosen = own
    for argument in argv:
        if argument.startswith("-") and not _is_number(argument):
            chosen = own if argument.partition("=")[0].replace("_", "-") in known else others
        chosen.append(argument)
    return own, others


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
