"""From the benches of the study, the ablation and the methods to what is published of them in docs/results.

    python benchmarks/replication.py --runs runs --out docs/results

For each bench that is there, or published: its runs as NAME_cells.csv (settings, hashes, metrics; one row a run) and
NAME_table.md, differences to plain BatchNorm paired by task, source, share of the labels and seed. Runs that are
published and not in the folder stay, so that a bench grows from several machines. A place is a task with a source and a
share: its difference is the mean over seeds, and intervals are t intervals over places, so that many seeds of one count
once. Ranks over tasks and their tests are those of ``acnorm bench report``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from acnorm.bench.judging import judged, over_targets
from acnorm.bench.over_tasks import over_tasks
from acnorm.bench.ranks import LEAST_TASKS
from acnorm.bench.results import Block, Level, Results, metric_of
from acnorm.bench.statistics import corrected_resampled_t, holm
from acnorm.bench.store import Store
from acnorm.errors import counted
from acnorm.report.bench_tables import p_value, ranks_table
from acnorm.report.critical_difference import critical_difference_diagram
from acnorm.report.drawing import PAGE_COLOURS
from acnorm.report.tables import as_markdown

BENCHES = {
    "study": "test",
    "ablation": "test",
    "other_norms": "test",
    "methods": "test",
    "small": "test",
    "controls": "test",
    "recipes": "val",
}
DIGITS = 5  # of what is published
RANKED = ("methods", "small", "controls")  # which compare methods, the others forms and recipes of one
PLACE = ["task", "source", "fraction"]
CELL = [*PLACE, "method", "seed", "fold"]
MEASURED = ["metric", "score", "accuracy", "macro_auc", "quadratic_kappa", "brier"]
CONTENT = ["data_sha256", "weights_sha256", "splits_sha256"]
PAIR = ["seed", "weights_sha256"]  # runs of one are paired: sources that are pretrained anew are others
ORIGIN = ["address", *CONTENT, "code", "training_seconds"]


def runs_of(folder: Path, split: str) -> pd.DataFrame:
    """Finished runs with metrics of a split, a row each; the score is the metric by which runs choose their epoch."""
    store = Store(folder)
    table = store.table(split)
    store.close()
    table = table[table["state"] == "done"]
    for _, done in table.groupby("label_task"):
        metric = metric_of(done, None)
        table.loc[done.index, "metric"] = metric
        table.loc[done.index, "score"] = done[f"metric_{metric}"]
    table = table.rename(columns=lambda name: name.removeprefix("label_").removeprefix("metric_"))
    for name in ("address", "data_sha256", "weights_sha256", "splits_sha256"):
        table[name] = table[name].str[:16]
    return table[[name for name in CELL + MEASURED + ORIGIN if name in table]].reset_index(drop=True)


def published(file: Path) -> pd.DataFrame:
    """Runs that are published."""
    return pd.read_csv(file, dtype=dict.fromkeys((*CONTENT, "address"), str))


def with_published(runs: pd.DataFrame, file: Path) -> pd.DataFrame:
    """These runs, and those that are published and were not run here: of the same data and splits alone.

    Those of a seed that began with another checkpoint stay beside the new ones.
    """
    if not file.is_file():
        return runs
    before = published(file)
    here = [name for name in CELL if name != "method"]
    cases = ["data_sha256", "splits_sha256"]
    now = before[here].merge(runs[[*here, *cases]].drop_duplicates(here), how="left", on=here, indicator="known")
    same = (before[cases].fillna("").to_numpy() == now[cases].fillna("").to_numpy()).all(axis=1)
    kept = same | (now["known"] == "left_only").to_numpy()
    if not kept.all():
        count = counted((~kept).sum(), "run")
        print(f"{file.name}: without {count} of other data or splits than those here")
    both = pd.concat([before[kept], runs])
    return both.drop_duplicates([*CELL, "weights_sha256"], keep="last").reset_index(drop=True)


def differences(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Each method less the baseline: a row a place, the mean over the seeds and checkpoints that both have finished."""
    wide = with_names(runs).pivot_table(index=[*PLACE, *PAIR], columns="method", values="score")
    apart = wide.drop(columns=baseline).sub(wide[baseline], axis=0)
    return apart.groupby(level=PLACE).mean()


def with_names(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of which those without a checkpoint have a name for that, which tables by it would leave out."""
    return runs.assign(weights_sha256=runs["weights_sha256"].fillna("none"))


def summary(apart: pd.Series) -> dict[str, object]:
    """Mean over places with its t interval, how many are above and below 0, and the two-sided p of their signs."""
    values = apart.dropna().to_numpy()
    up, down = int((values > 0).sum()), int((values < 0).sum())
    over = corrected_resampled_t(values, ratio=0.0)  # places do not share training cases
    sign = stats.binomtest(up, up + down).pvalue if up + down else np.nan
    low, high = (np.nan if end is None else end for end in (over.low, over.high))
    found = {"places": len(values), "mean": over.mean, "low": low, "high": high}
    return {**found, "up": up, "down": down, "p": sign}


def head(first: str) -> list[str]:
    """The head of a table of summaries."""
    return [
        f"| {first} | places | mean | 95 % over places | better / worse | p of signs | Holm |",
        "|---" * 7 + "|",
    ]


def lines_of(rows: pd.DataFrame) -> list[str]:
    """Summaries as lines of it; p values of the signs as they are and corrected for there being several."""
    corrected = holm([None if np.isnan(p) else float(p) for p in rows["p"]])
    found = []
    for (name, row), holms in zip(rows.iterrows(), corrected, strict=True):
        figures = f"{row['places']:.0f} | {row['mean']:+.4f} | {row['low']:+.3f} to {row['high']:+.3f}"
        signs = f"{row['up']:.0f} / {row['down']:.0f} | {chance(row['p'])} | {chance(holms)}"
        found.append(f"| {name} | {figures} | {signs} |")
    return found


def number(value: float | None, form: str = ".3f") -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None or np.isnan(value) else format(value, form)


def chance(value: float | None) -> str:
    """A p value, or a dash where there is none, which tables of numbers have as NaN."""
    return p_value(None if value is None or np.isnan(value) else value)


def name_of(place: tuple[str, str, float], fractions: int) -> str:
    """A place in words: its share of the labels where a task has several."""
    task, source, fraction = place
    return f"{task}, {source}" + (f", {fraction:.0%}" if fractions > 1 else "")


def table_of(runs: pd.DataFrame, order: list[str]) -> tuple[str, pd.DataFrame]:
    """The published table, and its numbers."""
    baseline = order[0]
    apart = differences(runs, baseline)
    present = [name for name in order if name in apart and apart[name].notna().any()]
    rows = pd.DataFrame([summary(apart[name]) for name in present], index=present)
    lines = head(f"{scores_of(runs)} less that of {baseline}") + lines_of(rows)
    of_tasks = apart[present].groupby(level="task").mean().T
    lines += ["", "| mean over a task's places | " + " | ".join(of_tasks) + " |", "|---" * (1 + len(of_tasks.T)) + "|"]
    lines += [
        f"| {name} | " + " | ".join(number(one, "+.3f") for one in row) + " |" for name, row in of_tasks.iterrows()
    ]
    return "\n".join([*lines, "", *places_of(runs, apart[present], baseline)]) + "\n", rows


def places_of(runs: pd.DataFrame, apart: pd.DataFrame, baseline: str) -> list[str]:
    """Each place's seeds, its baseline's mean and the differences, the longer side down the page."""
    columns, fractions = {}, runs.groupby("task")["fraction"].nunique()
    for place, row in apart.iterrows():
        here = runs.set_index(PLACE).loc[[place]]
        facts = {"seeds": str(here["seed"].nunique())}
        facts[baseline] = number(here.loc[here["method"] == baseline, "score"].mean())
        differences = {name: number(value, "+.3f") for name, value in row.items()}
        columns[name_of(place, fractions[place[0]])] = {**facts, **differences}
    table = pd.DataFrame(columns)
    table = table if len(table) > len(table.T) else table.T
    lines = ["| | " + " | ".join(table) + " |", "|---" * (1 + len(table.T)) + "|"]
    return lines + [f"| {name} | " + " | ".join(row) + " |" for name, row in table.iterrows()]


def parts_of(runs: pd.DataFrame, method: str, baseline: str) -> str:
    """A method less the baseline over parts of the places: by share of labels, source, seed, and without each task."""
    runs = runs[runs["method"].isin((method, baseline))]
    apart = differences(runs, baseline)[method].dropna()
    rows = {"all places": apart}
    for name, told in (("fraction", "{:.0%} of the labels"), ("source", "{} source")):
        rows |= {told.format(value): part for value, part in apart.groupby(level=name)}
    rows |= {f"seed {seed}": differences(part, baseline)[method] for seed, part in runs.groupby("seed")}
    rows |= {f"all but {task}": apart.drop(task, level="task") for task in apart.index.unique("task")}
    rows["means of the tasks"] = apart.groupby(level="task").mean()
    lines = [
        f"| {method} less {baseline} | places | mean | 95 % over places | better / worse | p of signs |",
        "|---" * 6 + "|",
    ]
    for name, values in rows.items():
        row = summary(values)
        spans = f"{row['mean']:+.4f} | {number(row['low'], '+.3f')} to {number(row['high'], '+.3f')}"
        lines.append(f"| {name} | {row['places']} | {spans} | {row['up']} / {row['down']} | {chance(row['p'])} |")
    return "\n".join(lines) + "\n"


def scores_of(runs: pd.DataFrame) -> str:
    """What is compared, in words."""
    return " or ".join(dict.fromkeys(name.replace("_", " ").replace("auc", "AUC") for name in runs["metric"]))


def between(runs: pd.DataFrame, pairs: list[tuple[str, str]]) -> str:
    """What each first of a pair gives beyond the second."""
    found = {}
    for one, other in pairs:
        if {one, other} <= set(runs["method"]):
            found[f"{one} less {other}"] = summary(differences(runs[runs["method"].isin((one, other))], other)[one])
    return "\n".join(head(scores_of(runs)) + lines_of(pd.DataFrame(found.values(), index=list(found)))) + "\n"


def ranked(runs: pd.DataFrame, order: list[str], image: Path) -> str:
    """Comparison over tasks, as ``acnorm bench report`` makes it, of the methods that have runs of every task."""
    in_tasks = runs.groupby("method")["task"].nunique()
    names = [name for name in order if in_tasks[name] == runs["task"].nunique()]
    blocks = []
    for (task, source, fraction), rows in runs.groupby(PLACE, sort=False):
        chosen = with_names(rows[rows["method"].isin(names)])
        values = chosen.pivot_table(index=[*PAIR, "fold"], columns="method", values="score")
        levels = tuple(Level(name, len(values), None, None, None) for name in names)
        metric = str(rows["metric"].iloc[0])
        blocks.append(Block(f"{task}, {source}", source, fraction, metric, False, levels, (), str(task), values))
    over = over_tasks(Results(tuple(blocks), runs, {}, order[0], {}))
    if over is None or len(names) < 2:
        return ""
    if over.groups and len(names) > 2:
        drawn = critical_difference_diagram(over).replace('style="', 'style="background: white; ', 1)
        for ink, name in PAGE_COLOURS.items():  # which a page of its own has not
            drawn = drawn.replace(name, ink)
        image.write_text(drawn, encoding="utf-8")
    table = ranks_table(over, "method", order[0])
    return "\n".join([as_markdown(table), "", *(f"- {line}" for line in over.sentences)]) + "\n"


def with_all_methods(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the tasks in which every method has some."""
    methods = runs.groupby("task")["method"].nunique()
    return runs[runs["task"].isin(methods.index[methods == runs["method"].nunique()])]


def judge_scores(runs: pd.DataFrame, file: Path, method: str) -> str:
    """How published scores of checkpoints, of ``acnorm bench study``, go with what a method made of them."""
    scores = pd.read_csv(file)
    results = runs[runs["method"] == method].groupby(["task", "source"])["score"].mean()
    measures = list(scores.columns[scores.columns.get_loc("knn") :])
    lines = [f"| measure, against {method} | weighted τ | Spearman | targets + / − | regret |", "|---" * 5 + "|"]
    for measure in measures:
        by_target = []
        for target, rows in scores.groupby("target"):
            known = {name: value for name, value in rows.set_index("candidate")[measure].items() if pd.notna(value)}
            found = results.loc[target]
            by_target.append(judged(found.to_dict(), {name: known.get(name) for name in found.index}))
        ranks = [one.spearman for one in by_target if not np.isnan(one.spearman)]
        signs = f"{sum(rank > 0 for rank in ranks)} / {sum(rank < 0 for rank in ranks)}"
        spans = [over_targets([getattr(one, name) for one in by_target]) for name in ("tau", "spearman", "regret")]
        tau, rank, lost = (f"{one.mean:+.3f} [{number(one.low, '+.3f')}, {number(one.high, '+.3f')}]" for one in spans)
        lines.append(f"| {measure} | {tau} | {rank} | {signs} | {lost.replace('+', '')} |")
    return "\n".join(lines) + "\n"


def draw(rows: pd.DataFrame, what: str, file: Path) -> None:
    """Mean differences with their intervals."""
    figure, axes = plt.subplots(figsize=(6, 0.35 * len(rows) + 1.1), layout="constrained")
    places = np.arange(len(rows))[::-1]
    reach = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
    axes.errorbar(rows["mean"], places, xerr=reach, fmt="o", capsize=3)
    axes.axvline(0, color="0.6", linewidth=1, linestyle=":")
    axes.set(yticks=places, yticklabels=rows.index, xlabel=f"{what} (95 % over places)")
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    for name, split in BENCHES.items():
        file, here = options.out / f"{name}_cells.csv", (options.runs / name / "bench.sqlite").is_file()
        if not here and not file.is_file():
            continue
        runs = with_published(runs_of(options.runs / name, split), file) if here else published(file)
        runs = runs.round(DIGITS)  # so that the published runs alone give the same tables
        order = ["vanilla", *[method for method in dict.fromkeys(runs["method"]) if method != "vanilla"]]
        text, rows = table_of(runs, order)
        pairs = [("acnorm", "scaling"), ("acnorm", "permuted"), ("permuted", "scaling"), ("acnorm", "identity")]
        pairs += [("acnorm", "borrowing"), ("acnorm", "dense"), ("acnorm", "top-5")]
        pairs += [("vanilla-slow", "vanilla"), ("acnorm-slow", "vanilla-slow"), ("acnorm-adamw", "vanilla-adamw")]
        pairs += [("acnorm-adamw", "scaling-adamw"), ("acnorm-adamw", "permuted-adamw")]
        if name in RANKED:
            image = options.out.parent / "images" / f"{name}_ranks.svg"
            text += "\n" + ranked(runs, order, image)
            whole = with_all_methods(runs)
            if LEAST_TASKS <= whole["task"].nunique() < runs["task"].nunique():
                text += "\n" + ranked(whole, order, image)
        if name == "small":
            text += "\n" + parts_of(runs, "acnorm", "vanilla")
        if name == "study":
            text += "\n" + judge_scores(runs, options.out / "study_scores.csv", "acnorm")
        text += "\n" + between(runs, pairs) if name in ("ablation", "other_norms", "controls") else ""
        runs.to_csv(file, index=False, float_format=f"%.{DIGITS}f")
        (options.out / f"{name}_table.md").write_text(text)
        if len(rows) > 1:
            what = f"{scores_of(runs)} less that of plain BatchNorm"
            draw(rows, what, options.out.parent / "images" / f"{name}.png")
        print(f"{name}: {len(runs)} runs\n{text}")


if __name__ == "__main__":
    main()
