"""``acnorm inspect``: what fine-tuning did to the affine of norm layers and to the channels."""

from __future__ import annotations

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Inspect the runs named on the command line and print what was found and where the page is.

    Raises:
        UserError: a folder is no finished run, a number is out of its range, or the page cannot be written.
    """
    parser = Parser(
        "inspect",
        "How the affine ratios of finished runs moved, how separable their domains are in affine and in feature space, "
        "and which channels match those of the source. Give runs of several domains, methods and seeds.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished run of acnorm finetune")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for inspect.html, .csv and .json")
    parser.add_argument("--domains", nargs="+", metavar="NAME", help="of each run, in order (the name of its data)")
    parser.add_argument("--images", type=int, default=64, help="test images of each data set to try networks on (64)")
    parser.add_argument("--permutations", type=int, default=999, help="for p values (999)")
    parser.add_argument("--model", help='"module:function" of the runs whose network is your own')
    options = parser.parse(argv)
    from acnorm.report.inspection import PAGE, inspect, sentences

    found = inspect(
        options.runs,
        options.out,
        domains=options.domains,
        images=options.images,
        permutations=options.permutations,
        model=options.model,
    )
    print("\n".join([*sentences(found), *found.missing, f"{options.out}/{PAGE}"]))
    return 0
