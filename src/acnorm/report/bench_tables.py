"""The tables of a bench: one of each block, wins and losses, and all over tasks."""

from __future__ import annotations

from acnorm.bench.over_tasks import Against, OverTasks
from acnorm.bench.results import Block, Comparison, Level, Results
from acnorm.bench.statistics import Difference
from acnorm.bench.words import MARGIN, NO_SHARES
from acnorm.report import summary
from acnorm.report.search import search_table
from acnorm.report.tables import Table

NOTHING = "–"
_COUNTED = "runs that were better, equal and worse than the same run of the baseline"
_NEEDED = (
    f"runs needed: of each, to see a difference of {100 * MARGIN:g} % four times in five (none: it takes more cases)"
)


def tables_of(results: Results, over: OverTasks | None) -> dict[str, list[Table]]:
    """Return all tables by their place: those of the "blocks", the "record", the "ranks" over tasks, the
    "pairs", and the settings that a "search" chose.

    Examples:
        >>> import pandas as pd
        >>> tables_of(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {}), None)
        {'blocks': [], 'record': [], 'ranks': [], 'pairs': [], 'search': []}
    """
    compare = str(results.about.get("compare", ""))
    paired = over is not None and any(row.tasks for row in over.against)
    return {
        "blocks": [block_table(block, compare, first=place == 0) for place, block in enumerate(results.blocks)],
        "record": [record_table(results)] if len(results.blocks) > 1 else [],
        "ranks": [ranks_table(over, compare, results.baseline)] if over is not None and paired else [],
        "pairs": [pairs_table(over)] if over is not None and over.pairs else [],
        "search": [search_table(results.about)] if (results.about.get("search") or {}).get("choices") else [],
    }


def block_table(block: Block, compare: str, *, first: bool = False) -> Table:
    """Return the table of one block: a row for each that is compared.

    Examples:
        >>> block_table(Block("eyes", "", 1.0, "dice", False, (), ()), "method").title
        'eyes'
    """
    by_name = {item.name: item for item in block.comparisons}
    share = not block.metric.startswith(NO_SHARES)
    head = ("runs", summary.metric_name(block.metric), "difference", "p (Holm)", "better / equal / worse")
    return Table(
        head=(compare, *head, "runs needed", "seconds"),
        rows=tuple(_row(level, by_name.get(level.name), share=share) for level in block.levels),
        title=block.name,
        note=_note(block, first=first),
    )


def _note(block: Block, *, first: bool) -> str:
    told = "Means over runs with 95 % intervals."
    told += " Less is better." if block.lower_is_better else ""
    return f"{told} Better / equal / worse: {_COUNTED}; {_NEEDED}." if first else told


def _row(level: Level, item: Comparison | None, *, share: bool) -> tuple[str, ...]:
    told = ("baseline", "", "", "") if item is None else (NOTHING,) * 4
    if item is not None and item.runs:
        record = " / ".join(map(str, item.record))
        told = (amount(item.difference, "+"), p_value(item.corrected), record, _runs_needed(item, share=share))
    return (level.name, str(level.runs), amount(level.mean), *told, seconds(level))


def _runs_needed(item: Comparison, *, share: bool) -> str:
    if not share or item.needed == 0:
        return NOTHING
    return "none" if item.needed is None else str(item.needed)


def record_table(results: Results) -> Table:
    """Return in how many blocks each was better, open and worse.

    Examples:
        >>> import pandas as pd
        >>> record_table(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {})).head
        ('against vanilla', 'better', 'open', 'worse')
    """
    return Table(
        head=(f"against {results.baseline}", "better", "open", "worse"),
        rows=tuple((name, *map(str, counts)) for name, counts in results.record().items()),
        note="Tables of results in which it was better or worse beyond chance, and in which that stays open.",
    )


def ranks_table(over: OverTasks, compare: str, baseline: str) -> Table:
    """Return the mean rank of each over tasks, and what the signed-rank test says of it, the best first.

    Examples:
        >>> over = OverTasks(("vanilla", "bss"), ("a", "b"), (), ("dice",), ranks=(1.5, 1.5))
        >>> ranks_table(over, "method", "vanilla").rows[0]
        ('vanilla', '1.50', 'baseline', '', '', '')
    """
    by_name = {row.name: row for row in over.against}
    ranks = over.ranks or (float("nan"),) * len(over.names)
    rows = sorted(zip(over.names, ranks, strict=True), key=lambda row: row[1])
    return Table(
        head=(compare, "mean rank", "mean difference", "better / equal / worse", "p (Wilcoxon)", "p (Holm)"),
        rows=tuple((name, _rank(rank), *_against(by_name.get(name))) for name, rank in rows),
        title="over tasks",
        note=f"Ranks over {len(over.tasks)} of {len(over.tasks) + len(over.left_out)} tasks, 1 is best; differences "
        f"from {baseline}, positive where better, with the 95 % interval of a t-test over tasks; tasks "
        "that were better, equal and worse.",
    )


def _rank(rank: float) -> str:
    return NOTHING if rank != rank else f"{rank:.2f}"


def _against(row: Against | None) -> tuple[str, ...]:
    if row is None:
        return "baseline", "", "", ""
    p = row.tested.p if row.tested else None
    return amount(row.difference, "+"), " / ".join(map(str, row.record)), p_value(p), p_value(row.corrected)


def pairs_table(over: OverTasks) -> Table:
    """Return the p values of all pairs by Nemenyi's test.

    Examples:
        >>> pairs = ((1.0, 0.02), (0.02, 1.0))
        >>> pairs_table(OverTasks(("a", "b"), ("x", "y", "z"), (), ("dice",), pairs=pairs)).rows
        (('a', '–', '0.020'), ('b', '0.020', '–'))
    """
    return Table(
        head=("", *over.names),
        rows=tuple(
            (name, *(NOTHING if other == name else p_value(p) for other, p in zip(over.names, row, strict=True)))
            for name, row in zip(over.names, over.pairs, strict=True)
        ),
        title="pairs over tasks",
        note="p values of Nemenyi's test for each pair, corrected for the number of pairs.",
    )


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
