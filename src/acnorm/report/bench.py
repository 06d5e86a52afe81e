"""The report of a bench: what was compared, what can be concluded, tables, figures, costs and what failed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from acnorm._version import __version__
from acnorm.bench.results import Block, Level, Results, results_of
from acnorm.bench.statistics import Difference
from acnorm.bench.store import Store
from acnorm.data.atomic import replacing
from acnorm.report import bench_figures, summary
from acnorm.report.drawing import with_prefix
from acnorm.report.search import choices_table, search_rows, search_sentence


def write_bench_report(folder: Path) -> Path:
    """Write report.html, results.md and results.csv of a bench, finished or not, and return the page.

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
    with replacing(folder / "results.csv") as draft:
        cells_table(results).to_csv(draft, index=False)
    if results.about.get("search"):
        with replacing(folder / "search.csv") as draft:
            choices_table(results.about).to_csv(draft, index=False)
    with replacing(folder / "results.md") as draft:
        draft.write_text(markdown(results), encoding="utf-8")
    with replacing(folder / "report.html") as draft:
        draft.write_text(render(results, folder.resolve().name), encoding="utf-8")
    return folder / "report.html"


def cells_table(results: Results) -> pd.DataFrame:
    """Return one row a cell: its place, its state, its costs, its metrics.

    Examples:
        >>> cells_table.__name__
        'cells_table'
    """
    kept = results.table.drop(columns=["position", "ratio", "released_test"], errors="ignore")
    return kept.rename(columns=lambda name: str(name).removeprefix("label_").removeprefix("metric_"))


def markdown(results: Results) -> str:
    """Return the comparisons as Markdown: a table for each block, wins and losses, and what can be concluded.

    Examples:
        >>> import pandas as pd
        >>> markdown(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {}))
        ''
    """
    parts = []
    for block in results.blocks:
        if block.name:
            parts.append(f"### {block.name}")
        parts.append(_block_table(block))
    if len(results.blocks) > 1:
        parts.append(_record_table(results))
    searched = search_rows(results.about)
    if searched:
        rows = [searched[0], ["---"] * len(searched[0]), *searched[1:]]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    parts += [f"- {item.sentence}" for block in results.blocks for item in block.comparisons]
    parts += [f"- {basis(results)}"] if results.blocks else []
    parts += [f"- {search_sentence(results.about)}"] if results.about.get("search") else []
    text = "\n\n".join(part for part in parts if not part.startswith("- "))
    sentences = "\n".join(part for part in parts if part.startswith("- "))
    return "\n\n".join(filter(None, (text, sentences))) + ("\n" if parts else "")


def _block_table(block: Block) -> str:
    lines = [
        f"| | runs | {summary.metric_name(block.metric)} | difference | p (Holm) | better / equal / worse | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    by_name = {item.name: item for item in block.comparisons}
    for level in block.levels:
        item = by_name.get(level.name)
        told = ["baseline", "", ""]
        if item is not None:
            told = ["–", "–", "–"]
            if item.runs:
                record = " / ".join(map(str, item.record))
                told = [amount(item.difference, "+"), p_value(item.corrected), record]
        lines.append("| " + " | ".join([level.name, str(level.runs), amount(level.mean), *told, seconds(level)]) + " |")
    return "\n".join(lines)


def _record_table(results: Results) -> str:
    lines = [f"| against {results.baseline} | better | open | worse |", "|---|---|---|---|"]
    lines += [f"| {name} | {wins} | {ties} | {losses} |" for name, (wins, ties, losses) in results.record().items()]
    return "\n".join(lines)


def amount(value: Difference | None, sign: str = "") -> str:
    """Return a mean with its interval.

    Examples:
        >>> amount(Difference(0.03, -0.01, 0.07), "+"), amount(Difference(0.8)), amount(None)
        ('+0.030 [-0.010, +0.070]', '0.800', '–')
    """
    if value is None or value.mean != value.mean:
        return "–"
    told = f"{value.mean:{sign}.3f}"
    return told if value.low is None else f"{told} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def p_value(value: float | None) -> str:
    """Return a p value as it is written.

    Examples:
        >>> p_value(0.00002), p_value(0.0321), p_value(None)
        ('< 0.001', '0.032', '–')
    """
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(level: Level) -> str:
    """Return the mean time of a run.

    Examples:
        >>> seconds(Level("a", 3, None, 12.34, None)), seconds(Level("a", 0, None, None, None))
        ('12.3', '–')
    """
    return "–" if level.seconds is None else f"{level.seconds:.1f}"


def memory(level: Level) -> str:
    """Return the largest memory of a process.

    Examples:
        >>> memory(Level("a", 3, None, None, 3 * 2**30))
        '3.0 GiB'
    """
    return "–" if level.memory is None else f"{level.memory / 2**30:.1f} GiB"


def basis(results: Results) -> str:
    """Return what the intervals are made of.

    Examples:
        >>> import pandas as pd
        >>> basis(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {}))
        'p values are corrected by Holm over all comparisons.'
    """
    told = []
    if any(not block.released_test for block in results.blocks):
        told.append(
            "Test sets are folds of the patients, drawn anew for each seed and the same for all that is compared; "
            "intervals and p values are those of the corrected resampled t-test (Nadeau and Bengio 2003), "
            "since the runs share training cases."
        )
    if any(block.released_test for block in results.blocks):
        told.append(
            "All runs were tested on the test set that came with the data; intervals and p values take the variances "
            "over its patients (by bootstrap) and over the runs together (over the runs alone where cases do not tell "
            "the metric)."
        )
    return " ".join([*told, "p values are corrected by Holm over all comparisons."])


def render(results: Results, name: str) -> str:
    """Return the page as text.

    Examples:
        >>> render.__name__
        'render'
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"metric_name": summary.metric_name, "p_value": p_value}
    source = files("acnorm.report")
    template = environment.from_string(source.joinpath("bench.html").read_text(encoding="utf-8"))
    pictures = {key: Markup(with_prefix(svg, key)) for key, svg in _pictures(results).items()}
    unfinished = results.counts.get("waiting", 0) + results.counts.get("running", 0)
    return template.render(
        style=Markup(source.joinpath("style.css").read_text(encoding="utf-8")),
        name=name,
        results=results,
        record=len(results.blocks) > 1,
        sentences=[item.sentence for block in results.blocks for item in block.comparisons],
        cautions=_cautions(results, unfinished),
        pictures=pictures,
        basis=basis(results),
        searched=search_rows(results.about),
        search_sentence=search_sentence(results.about),
        amount=amount,
        seconds=seconds,
        memory=memory,
        version=__version__,
    )


def _pictures(results: Results) -> dict[str, str]:
    compared = [item for block in results.blocks for item in block.comparisons if item.runs]
    if not compared:
        return {}
    pictures = {"forest": bench_figures.forest(results.blocks)}
    groups: dict[str, list[Block]] = {}
    for block in results.blocks:
        groups.setdefault(block.group, []).append(block)
    several = {group: blocks for group, blocks in groups.items() if len({block.fraction for block in blocks}) > 1}
    if several:
        pictures["curves"] = bench_figures.curves(several)
    pictures["cost"] = bench_figures.cost_and_gain(results.blocks)
    return pictures


def _cautions(results: Results, unfinished: int) -> list[str]:
    cautions = []
    if results.about.get("searching"):
        cautions.append(search_sentence(results.about))
    elif unfinished:
        cautions.append(f"{unfinished} of {len(results.table)} cells are not finished: the figures are of the others.")
    if results.failed:
        cautions.append(f"{len(results.failed)} cells failed twice and are left out, with their pairs.")
    if len({block.metric for block in results.blocks}) > 1:
        cautions.append("Blocks have different metrics, whose differences are not on one scale.")
    few = min((item.runs for block in results.blocks for item in block.comparisons), default=0)
    if 0 < few < 5:
        cautions.append(f"Some comparisons rest on {few} pairs of runs: their intervals are themselves uncertain.")
    return cautions
