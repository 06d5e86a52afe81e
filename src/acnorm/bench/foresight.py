"""What a grid will take: the time and memory of its runs, from those that are finished, or from pilot runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from acnorm.bench.cells import Cell
from acnorm.bench.store import FILE, Store

COSTS = ("seconds", "memory")
REPEATED = ("seed", "fold", "trial")  # runs that differ in these alone cost the same


def foreseen(cells: Sequence[Cell], known: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell: its labels, its address, its state, and the seconds and bytes that it is expected to take.

    Cells that differ only in seed and fold are alike, and expected to take the mean of those that are known. The others
    are expected from a sum of effects, one for each value of each axis, fitted to the logarithms of what is known: a
    method that takes twice as long on one task does so on the others. A value that is not known has no effect.

    Args:
        cells: of a grid.
        known: rows of ``finished`` or of pilot runs, in which case no cell is finished.

    Examples:
        >>> foreseen([], finished(Path("nowhere"))).empty
        True
    """
    rows = pd.DataFrame([{**cell.labels, "address": cell.address} for cell in cells])
    if rows.empty:
        return rows
    rows = rows.assign(state="waiting", seconds=float("nan"), memory=float("nan"))
    if known.empty:
        return rows
    states = known.drop_duplicates("address").set_index("address")["state"]
    rows["state"] = rows["address"].map(states).fillna("waiting")
    labels = [name for name in rows.columns if f"label_{name}" in known and name not in REPEATED]
    asked = rows[labels].map(str)
    seen = known[[f"label_{name}" for name in labels]].map(str).set_axis(labels, axis=1)
    for name in COSTS:
        values = known[name].astype(float)
        alike = asked.agg("|".join, axis=1).map(values.groupby(seen.agg("|".join, axis=1)).mean())
        measured = values.notna()
        rows[name] = alike.fillna(effects(seen[measured], values[measured], asked))
    return rows


def effects(seen: pd.DataFrame, values: pd.Series[float], asked: pd.DataFrame) -> pd.Series[float]:
    """Return the values expected for the asked labels, by effects that multiply, one for each value of each label.

    Args:
        seen: labels, as text, of what was measured.
        values: positive, one for each row of it.
        asked: labels for which values are asked; a value of a label that was not seen has no effect.

    Examples:
        >>> seen = pd.DataFrame({"task": ["eyes", "heart", "eyes"], "method": ["vanilla", "vanilla", "bss"]})
        >>> asked = pd.DataFrame({"task": ["heart", "heart"], "method": ["bss", "vanilla"]})
        >>> effects(seen, pd.Series([10.0, 40.0, 20.0]), asked).round(6).tolist()
        [80.0, 40.0]
    """
    if seen.empty:
        return pd.Series(float("nan"), index=asked.index)
    columns = [(name, value) for name in seen for value in dict.fromkeys(seen[name])]
    one_hot = np.array([(seen[name] == value).to_numpy() for name, value in columns], dtype=float).T
    wanted = np.array([(asked[name] == value).to_numpy() for name, value in columns], dtype=float).T
    means, logs = one_hot.mean(0), np.log(values.to_numpy(dtype=float))
    # the least of the solutions: what no two measurements tell apart has no effect
    strength = np.linalg.lstsq(one_hot - means, logs - logs.mean(), rcond=None)[0]
    known = np.array([asked[name].isin(set(seen[name])).to_numpy() for name, _ in columns]).T
    return pd.Series(np.exp(logs.mean() + np.where(known, wanted - means, 0.0) @ strength), index=asked.index)


def finished(out: Path) -> pd.DataFrame:
    """Return what a bench folder knows of its cells, as ``Store.table`` does; nothing where there is none.

    Args:
        out: the folder, in which nothing is written.

    Examples:
        >>> finished(Path("nowhere")).empty
        True
    """
    if not (out / FILE).is_file():
        return pd.DataFrame()
    store = Store(out)
    known = store.table()
    store.close()
    return known
