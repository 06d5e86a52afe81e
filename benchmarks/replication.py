"""From the benches of the study, the ablation and the methods to what is published of them in docs/results.

    python benchmarks/replication.py --runs runs --out docs/results

For each bench that is there: its runs as NAME_cells.csv (settings, hashes, metrics; one row a run) and NAME_table.md,
differences to plain BatchNorm paired by task, source and seed. A place is a task with a source: its difference is the
mean over seeds, and intervals are t intervals over places, so that many seeds of one place count once.
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

from acnorm.bench.statistics import corrected_resampled_t
from acnorm.bench.store import Store

BENCHES = ("study", "ablation", "methods")
METRIC = "macro_auc"
PLACE = ["task", "source"]
KEPT = ["task", "source", "method", "fraction", "seed", "fold", "accuracy", "macro_auc", "quadratic_kappa", "brier"]
ORIGIN = ["address", "data_sha256", "weights_sha256", "splits_sha256", "code", "training_seconds"]


def runs_of(folder: Path) -> pd.DataFrame:
    """Finished runs, one row each."""
    store = Store(folder)
    table = store.table()
    store.close()
    table = table[table["state"] == "done"].rename(columns=lambda name: name.removeprefix("label_"))
    table = table.rename(columns=lambda name: name.removeprefix("metric_"))
    for name in ("address", "data_sha256", "weights_sha256", "splits_sha256"):
        table[name] = table[name].str[:16]
    if "source" not in table:
        table["source"] = "cifar10"
    return table[[name for name in KEPT + ORIGIN if name in table]].reset_index(drop=True)


def differences(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Each method less the baseline: a row a place, the mean over the seeds that both have finished."""
    wide = runs.pivot_table(index=[*PLACE, "seed"], columns="method", values=METRIC)
    apart = wide.drop(columns=baseline).sub(wide[baseline], axis=0)
    return apart.groupby(level=PLACE).mean()


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
        f"| {first} | places | mean | 95 % over places | better / worse | p of signs |",
        "|---|---|---|---|---|---|",
    ]


def line(name: str, row: dict[str, object]) -> str:
    """One summary as a line of it."""
    figures = f"{row['places']:.0f} | {row['mean']:+.4f} | {row['low']:+.3f} to {row['high']:+.3f}"
    return f"| {name} | {figures} | {row['up']:.0f} / {row['down']:.0f} | {row['p']:.3f} |"


def table_of(runs: pd.DataFrame, order: list[str]) -> tuple[str, pd.DataFrame]:
    """The published table, and its numbers."""
    baseline = order[0]
    apart = differences(runs, baseline)
    present = [name for name in order if name in apart and apart[name].notna().any()]
    rows = pd.DataFrame([summary(apart[name]) for name in present], index=present)
    lines = head(f"macro AUC less that of {baseline}")
    lines += [line(str(name), dict(row)) for name, row in rows.iterrows()]
    of_tasks = apart[present].groupby(level="task").mean()
    lines += ["", "| mean over sources | " + " | ".join(present) + " |", "|---" * (1 + len(present)) + "|"]
    lines += [f"| {task} | " + " | ".join(f"{value:+.3f}" for value in row) + " |" for task, row in of_tasks.iterrows()]
    lines += ["", "| task | source | seeds | " + baseline + " | " + " | ".join(present) + " |"]
    lines += ["|---" * (4 + len(present)) + "|"]
    means = runs.groupby([*PLACE, "method"])[METRIC].mean()
    for task, source in apart.index:
        seeds = runs[(runs["task"] == task) & (runs["source"] == source)]["seed"].nunique()
        cells = [f"{apart.loc[(task, source), name]:+.3f}".replace("+nan", "–").replace("nan", "–") for name in present]
        base = means.get((task, source, baseline), np.nan)
        lines.append(f"| {task} | {source} | {seeds} | {base:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n", rows


def between(runs: pd.DataFrame, pairs: list[tuple[str, str]]) -> str:
    """What each first of a pair gives beyond the second."""
    lines = head("macro AUC")
    for one, other in pairs:
        if {one, other} <= set(runs["method"]):
            found = summary(differences(runs[runs["method"].isin((one, other))], other)[one])
            lines.append(line(f"{one} less {other}", found))
    return "\n".join(lines) + "\n"


def draw(rows: pd.DataFrame, baseline: str, file: Path) -> None:
    """Mean differences with their intervals."""
    figure, axes = plt.subplots(figsize=(6, 0.35 * len(rows) + 1.1), layout="constrained")
    places = np.arange(len(rows))[::-1]
    reach = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
    axes.errorbar(rows["mean"], places, xerr=reach, fmt="o", capsize=3)
    axes.axvline(0, color="0.6", linewidth=1, linestyle=":")
    axes.set(yticks=places, yticklabels=rows.index, xlabel=f"macro AUC less that of {baseline} (95 % over places)")
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    for name in BENCHES:
        if not (options.runs / name / "bench.sqlite").is_file():
            continue
        runs = runs_of(options.runs / name)
        order = ["vanilla", *[method for method in dict.fromkeys(runs["method"]) if method != "vanilla"]]
        text, rows = table_of(runs, order)
        pairs = [("acnorm", "scaling"), ("acnorm", "permuted"), ("permuted", "scaling"), ("acnorm", "identity")]
        pairs += [("vanilla-slow", "vanilla"), ("acnorm-slow", "vanilla-slow")]
        text += "\n" + between(runs, pairs) if name == "ablation" else ""
        runs.to_csv(options.out / f"{name}_cells.csv", index=False, float_format="%.5f")
        (options.out / f"{name}_table.md").write_text(text)
        if len(rows) > 1:
            draw(rows, "vanilla", options.out.parent / "images" / f"{name}.png")
        print(f"{name}: {len(runs)} runs\n{text}")


if __name__ == "__main__":
    main()
