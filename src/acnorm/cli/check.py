"""`acnorm check DATA`: is the data sound?"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from acnorm.cli.parser import Parser
from acnorm.data.problems import Problem

if TYPE_CHECKING:
    from acnorm.data.check import CheckReport, Progress

_FILES, _LINES = 3, 20  # shown of one kind of problem, and in all


def main(argv: list[str]) -> int:
    """Check a data set, print what it holds and what is wrong; 2 where something is fatal, else 0.

    Raises nothing for bad data.

    Raises:
        UserError: flags that are not understood.

    Examples:
        >>> main(["nowhere/eyes.npz"])
        nowhere/eyes.npz: 0 cases, format unknown
        <BLANKLINE>
        Fatal (1):
          nowhere/eyes.npz: no such file or folder; check the path
        2
    """
    options = _parser().parse(argv)
    from acnorm.data.check import check

    report = check(options.data, options.format, progress=_progress())
    if options.json:
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_text(report)))
    return 2 if report.fatal else 0


def _parser() -> Parser:
    parser = Parser(
        "check",
        "Read every case; report counts, sizes, duplicates, unreadable files, leakage between splits. "
        "Exit code 2 where something must be mended before training.",
    )
    parser.add_argument("data", metavar="DATA", help="an .npz archive, a table, or a folder")
    parser.add_argument(
        "--format", metavar="NAME", help="of the data; found if left out (a name that is none lists all)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _progress() -> Progress:
    """A bar on stderr where somebody watches it."""
    if not sys.stderr.isatty():
        return iter
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return lambda cases: track(cases, "Reading", console=console, transient=True)


def _text(report: CheckReport) -> list[str]:
    lines = [f"{report.source}: {report.cases} cases, format {report.format}"]
    if report.cases:
        patients = "not given" if report.patients is None else str(report.patients)
        sizes = ", ".join(list(report.sizes)[:5]) + (", ..." if len(report.sizes) > 5 else "")
        channels = " and ".join(sorted(report.channels))
        spacing = f"; spacing in mm: {', '.join(list(report.spacings)[:5])}" if report.spacings else ""
        lines += [f"patients: {patients}; size: {sizes}; channels: {channels}{spacing}", "", *_table(report)]
    lines += ["", *report.notes] if report.notes else []
    for title, fatal in (("Fatal", True), ("Warnings", False)):
        chosen = [problem for problem in report.problems if problem.fatal is fatal]
        if chosen:
            lines += ["", f"{title} ({len(chosen)}):", *(f"  {line}" for line in _grouped(chosen))]
    return lines if report.problems else [*lines, "", "No problem found."]


def _grouped(problems: list[Problem]) -> list[str]:
    """One line for all files of which the same is told, and no more than can be read."""
    alike: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        alike.setdefault((problem.what, problem.remedy), []).append(problem.file)
    lines = []
    for (what, remedy), files in alike.items():
        more = f" and {len(files) - _FILES} more" if len(files) > _FILES else ""
        lines.append(Problem(", ".join(files[:_FILES]) + more, what, remedy).line())
    hidden = len(lines) - _LINES
    return lines if hidden <= 0 else [*lines[:_LINES], f"... and {hidden} more lines; --json tells all"]


def _table(report: CheckReport) -> list[str]:
    """Cases by class (rows) and split (columns), with sums; where a case may hold several, cases that do."""
    splits = list(report.counts)
    rows = [["class" if report.task == "classification" else "cases with", *splits, "all"]]
    for name in report.classes:
        counts = [report.counts[split][name] for split in splits]
        rows.append([name, *map(str, counts), str(sum(counts))])
    if report.task == "classification":
        sums = [sum(report.counts[split].values()) for split in splits]
        rows.append(["all", *map(str, sums), str(sum(sums))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
