"""The tables of a study for other programs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from acnorm.bench.study import Study
from acnorm.bench.study_means import in_words


def cells_table(study: Study) -> pd.DataFrame:
    """Return one row a target and candidate: what fine-tuning gave under each way, and every score.

    Scores that differ between ways of fine-tuning (of other training cases) have a column for each.

    Examples:
        >>> cells_table(Study((), (), (), 3, False, True, 0, 0)).empty
        True
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for item in study.judgements:
        truth = item.truth
        for target, results in truth.results.items():
            deviations, runs = truth.deviations[target], truth.runs[target]
            for name, mean in results.items():
                source = truth.scorings[target, name][0].source
                row = rows.setdefault((target, name), {"target": target, "candidate": name})
                row |= {"model": source.model, "weights": source.weights, "metric": truth.metrics[target]}
                row |= dict(zip(_of(truth.name), (mean, deviations[name], runs[name]), strict=True))
    given = [column for item in study.judgements for column in _of(item.truth.name)]
    for measure in dict.fromkeys(name for item in study.judgements for name in item.scores):
        by_truth = {item.truth.name: item.scores[measure] for item in study.judgements if measure in item.scores}
        alike = _alike(by_truth)
        for (target, name), row in rows.items():
            values = {truth: by.get(target, {}).get(name) for truth, by in by_truth.items()}
            if alike:
                row[measure] = next((value for value in values.values() if value is not None), None)
            else:
                row |= {f"{measure} ({truth})": value for truth, value in values.items()}
    table = pd.DataFrame(list(rows.values()))
    if table.empty:
        return table
    first = ["target", "candidate", "model", "weights", "metric", *given]
    counts = {f"{item.truth.name} runs": "Int64" for item in study.judgements}
    return table[[*first, *(name for name in table.columns if name not in first)]].astype(counts)


def _of(truth: str) -> tuple[str, str, str]:
    """The columns of what one way of fine-tuning gave."""
    return truth, f"{truth} deviation", f"{truth} runs"


def _alike(by_truth: dict[str, Any]) -> bool:
    """Whether no candidate has different scores under two ways of fine-tuning."""
    found: dict[tuple[str, str], set[float]] = {}
    for by in by_truth.values():
        for target, values in by.items():
            for name, value in values.items():
                if value is not None:
                    found.setdefault((target, name), set()).add(value)
    return all(len(values) < 2 for values in found.values())


def measures_table(study: Study) -> pd.DataFrame:
    """Return one row a way of fine-tuning and measure, rule or layer, with its figures over targets.

    Examples:
        >>> measures_table(Study((), (), (), 3, False, True, 0, 0)).empty
        True
    """
    rows = []
    for item in study.judgements:
        kinds = [("measure", item.measures), ("rule", item.rules)]
        kinds += [(f"ac-corr of one layer, {in_words(length)}", each) for length, each in item.layers.items()]
        for kind, found in kinds:
            for row in found:
                figures = {"tau": row.tau, "spearman": row.spearman, "regret": row.regret, "hits": row.hits}
                figures |= {"regret_less_elsewhere": row.less, "regret_less_random": row.than_random}
                flat = {
                    f"{name}{end}": getattr(value, field)
                    for name, value in figures.items()
                    for field, end in (("mean", ""), ("low", "_low"), ("high", "_high"), ("targets", "_targets"))
                }
                signs = {"positive": row.positive, "negative": row.negative, "direction": row.direction}
                rows.append({"method": item.truth.name, "kind": kind, "name": row.name, **flat, **signs})
    return pd.DataFrame(rows)
