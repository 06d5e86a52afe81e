"""The page of ``acnorm rank``: its flags, looked through before anything is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acnorm.errors import UserError

if TYPE_CHECKING:
    from acnorm.ranking.result import Ranking


def add_report_flags(parser: Any) -> None:
    """Add ``--report`` and ``--results``."""
    parser.add_argument("--report", metavar="FILE", help="write a page with figures (.html)")
    parser.add_argument(
        "--results",
        metavar="BENCH",
        help="folder of acnorm bench, or CSV of weights and results, to compare scores with (for --report)",
    )


def page_of(options: dict[str, Any]) -> Callable[[Ranking], None]:
    """Take both flags out of the options and return what writes the page; nothing where none is asked for.

    Raises:
        UserError: the file has another suffix or cannot be written, results are given without it, or do not fit.
    """
    report, given = options.pop("report"), options.pop("results")
    if report is None:
        if given is not None:
            raise UserError("--results: is shown on a page; give --report FILE.html as well.")
        return lambda _: None
    file = Path(report)
    if file.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--report {report}: must end in .html.")
    return _writer(file, given, options)


def _writer(file: Path, given: str | None, options: Mapping[str, Any]) -> Callable[[Ranking], None]:
    from acnorm.bench.found_results import read_results
    from acnorm.data.atomic import check_writable

    check_writable(file)
    results = () if given is None else read_results(Path(given), Path(options["data"]), options["weights"])

    def write(ranking: Ranking) -> None:
        from acnorm.report.ranking import write_ranking

        write_ranking(file, ranking, results)

    return write
