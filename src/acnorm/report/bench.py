"""The report of a bench: what was compared, what can be concluded, tables, figures, costs and what failed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from acnorm.bench.over_tasks import OverTasks, over_tasks
from acnorm.bench.results import Block, Results, results_of
from acnorm.bench.store import Store
from acnorm.bench.words import unfinished_sentence
from acnorm.data.atomic import replacing
from acnorm.errors import counted
from acnorm.report import bench_figures
from acnorm.report.bench_tables import memory, seconds, tables_of
from acnorm.report.critical_difference import critical_difference_diagram
from acnorm.report.drawing import with_prefix
from acnorm.report.page import page
from acnorm.report.search import choices_table, search_sentence
from acnorm.report.tables import as_html, as_latex, as_markdown, escape_markdown, latex_needs

HASH_DIGITS = 16  # as in the names of the run folders


def write_bench_report(folder: Path) -> Path:
    """Write report.html, results.md, results.tex and results.csv of a bench, finished or not, and return the page.

    Args:
        folder: the --out of the bench.

    Raises:
        UserError: it holds no bench, or a metric is asked for that is not measured.

    Examples:
        >>> write_bench_report(Path("nowhere"))
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: nowhere: holds no bench (no bench.sqlite); give the --out of acnorm bench or \
acnorm compare.
    """
    store = Store.existing(folder)
    try:
        results = results_of(store)
    finally:
        store.close()
    over = over_tasks(results)
    with replacing(folder / "results.csv") as draft:
        cells_table(results).to_csv(draft, index=False)
    if results.about.get("search"):
        with replacing(folder / "search.csv") as draft:
            choices_table(results.about).to_csv(draft, index=False)
    with replacing(folder / "results.md") as draft:
        draft.write_text(markdown(results, over), encoding="utf-8")
    with replacing(folder / "results.tex") as draft:
        draft.write_text(latex(results, over), encoding="utf-8")
    with replacing(folder / "report.html") as draft:
        draft.write_text(render(results, folder.resolve().name, over), encoding="utf-8")
    return folder / "report.html"


def cells_table(results: Results) -> pd.DataFrame:
    """Return one row a cell: its place, its state, its costs, its metrics, and what it was made of.

    "address" is the hash of all that decides the result, "…_sha256" those of the content of data, checkpoint and splits
    (16 digits each), "code" the versions of acnorm, with the hash of its source, and of the libraries. "computed_on" is
    the kind of device and the precision.

    Examples:
        >>> cells_table.__name__
        'cells_table'
    """
    kept = results.table.drop(columns=["position", "ratio", "released_test"], errors="ignore")
    hashes = [name for name in kept.columns if name == "address" or name.endswith("_sha256")]
    kept = kept.assign(**{name: kept[name].str[:HASH_DIGITS] for name in hashes})
    if "code" in kept:
        kept["code"] = kept["code"].str.replace(r"\((\w{12})\w+\)", r"(\1)", regex=True)
    return kept.rename(columns=lambda name: str(name).removeprefix("label_").removeprefix("metric_"))


def markdown(results: Results, over: OverTasks | None = None) -> str:
    """Return the comparisons as Markdown: all tables, then what to beware of and what can be concluded.

    Examples:
        >>> import pandas as pd
        >>> markdown(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {}))
        ''
    """
    tables = [as_markdown(table) for tables in tables_of(results, over).values() for table in tables]
    told = [
        *_cautions(results),
        *_sentences(results),
        *(over.sentences if over else ()),
        *([basis(results)] if results.blocks else []),
    ]
    told += [search_sentence(results.about)] if results.about.get("search") else []
    return "".join(f"{part}\n\n" for part in tables) + "".join(f"- {escape_markdown(line)}\n" for line in told)


def latex(results: Results, over: OverTasks | None = None) -> str:
    """Return the tables of a bench for LaTeX, each an environment of its own; they need the package booktabs.

    Examples:
        >>> import pandas as pd
        >>> latex(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {}))
        '% needs: \\\\usepackage{booktabs}\\n'
    """
    tables = [as_latex(table) for tables in tables_of(results, over).values() for table in tables]
    return "\n\n".join([latex_needs(tables), *tables]) + "\n"


def _sentences(results: Results) -> list[str]:
    return [item.sentence for block in results.blocks for item in block.comparisons]


_FOLDS = (
    "Test sets{} are folds of the patients, drawn anew for each seed and the same for all that is compared; "
    "intervals and p values are those of the corrected resampled t-test (Nadeau and Bengio 2003), "
    "since the runs share training cases."
)
_RELEASED = (
    "All runs{} were tested on the test set that came with the data; intervals and p values take the variances "
    "over its patients (by bootstrap) and over the runs together (over the runs alone where cases do not tell "
    "the metric)."
)


def _tasks_of(results: Results, released: bool, kinds: set[bool]) -> str:
    """Of which tasks that is so, where it is not so of all."""
    names = dict.fromkeys(block.task for block in results.blocks if block.released_test == released)
    return f" of {', '.join(names)}" if len(kinds) > 1 else ""


def basis(results: Results) -> str:
    """Return what the intervals are made of.

    Examples:
        >>> import pandas as pd
        >>> basis(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {}))
        'p values are corrected by Holm over all comparisons.'
    """
    kinds = {block.released_test for block in results.blocks}
    told = [_FOLDS.format(_tasks_of(results, False, kinds))] if False in kinds else []
    told += [_RELEASED.format(_tasks_of(results, True, kinds))] if True in kinds else []
    return " ".join([*told, "p values are corrected by Holm over all comparisons."])


def render(results: Results, name: str, over: OverTasks | None = None) -> str:
    """Return the page as text.

    Examples:
        >>> render.__name__
        'render'
    """
    pictures = {key: Markup(with_prefix(svg, key)) for key, svg in _pictures(results, over).items()}
    return page(
        "bench.html",
        name=name,
        results=results,
        over=over,
        sentences=_sentences(results),
        lines=_cautions(results),
        pictures=pictures,
        basis=basis(results),
        tables={
            place: [Markup(as_html(table)) for table in tables] for place, tables in tables_of(results, over).items()
        },
        search_sentence=search_sentence(results.about),
        seconds=seconds,
        memory=memory,
    )


def _pictures(results: Results, over: OverTasks | None) -> dict[str, str]:
    compared = [item for block in results.blocks for item in block.comparisons if item.runs]
    if not compared:
        return {}
    pictures = {"forest": bench_figures.forest(results.blocks)}
    if over and over.critical is not None:
        pictures["ranks"] = critical_difference_diagram(over)
    groups: dict[str, list[Block]] = {}
    for block in results.blocks:
        groups.setdefault(block.group, []).append(block)
    several = {group: blocks for group, blocks in groups.items() if len({block.fraction for block in blocks}) > 1}
    if several:
        pictures["curves"] = bench_figures.curves(several)
    pictures["cost"] = bench_figures.cost_and_gain(results.blocks)
    return pictures


def _cautions(results: Results) -> list[str]:
    cautions = []
    unfinished = results.counts.get("waiting", 0) + results.counts.get("running", 0)
    if results.about.get("searching"):
        cautions.append(search_sentence(results.about))
    elif unfinished:
        cautions.append(unfinished_sentence(unfinished, len(results.table)))
    if results.failed:
        failed = counted(len(results.failed), "cell failed", "cells failed")
        left_out = "is left out, with its" if len(results.failed) == 1 else "are left out, with their"
        cautions.append(f"{failed} twice and {left_out} pairs.")
    codes, devices = _of_finished(results, "code"), _of_finished(results, "computed_on")
    if len(codes) > 1:
        cautions.append(f"Runs were made by {len(codes)} versions of the code; results.csv tells which.")
    if len(devices) > 1:
        told = "; ".join(sorted(devices))
        cautions.append(f"Runs were computed on several devices or in several precisions ({told}): see computed_on.")
    cautions += _without_patients(results)
    if len(results.metrics) > 1:
        cautions.append("Blocks have different metrics, whose differences are not on one scale.")
    few = min((item.runs for block in results.blocks for item in block.comparisons), default=0)
    if 0 < few < 5:
        pairs = counted(few, "pair of runs", "pairs of runs")
        cautions.append(f"Some comparisons rest on {pairs}: their intervals are themselves uncertain.")
    return cautions


def _without_patients(results: Results) -> list[str]:
    """Of comparisons on a released test set whose intervals are of the runs alone."""
    of_all = [item for block in results.blocks if block.released_test for item in block.comparisons if item.runs > 1]
    bare = [item for item in of_all if item.over_patients is None]
    if not bare:
        return []
    which = "All intervals" if len(bare) == len(of_all) else f"{len(bare)} of {len(of_all)} intervals"
    return [
        f"{which} are of the runs alone and not of new patients: cases of some run are not on disk, or do not tell the "
        "metric one by one."
    ]


def _of_finished(results: Results, column: str) -> set[str]:
    """What the finished runs were made by: the versions of the code, or the devices."""
    if column not in results.table:
        return set()
    return set(results.table.loc[results.table["state"] == "done", column].dropna())
