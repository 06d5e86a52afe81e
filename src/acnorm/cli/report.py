"""`acnorm report`: the HTML page of one run, or of several side by side."""

from __future__ import annotations

from pathlib import Path

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Write the report of the runs named on the command line and print its path.

    Raises:
        UserError: a folder is not a run, or the report cannot be written.
    """
    parser = Parser("report", "Write one self-contained HTML page about a run, or several side by side.")
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="folder of a run")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="page to write (default: RUN/report.html for one run, ./report.html for several)",
    )
    arguments = parser.parse(argv)
    from acnorm.report.write import write_report

    print(write_report(arguments.runs, arguments.out))
    return 0
