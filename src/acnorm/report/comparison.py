"""Several runs side by side: overlaid learning curves, the settings that differ, which figure is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from acnorm.report import summary
from acnorm.report.drawing import inline_svg, line_style, sheet, shorten
from acnorm.report.figures import epoch_axis, plot_epochs
from acnorm.report.records import Metric, Run
from acnorm.training.metrics import LOWER_IS_BETTER

OWN_TO_EACH_RUN = ("out", "command")


@inline_svg("Learning curves of all runs: training loss, validation loss and validation macro AUC by epoch")
def overlaid_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Losses and validation macro AUC of several runs by epoch.

    Examples:
        >>> overlaid_curves({"a": pd.DataFrame({"epoch": [1], "val_loss": [0.5]})})[:4]
        '<svg'
    """
    figure, axes = sheet(3.1 + 0.2 * -(-len(histories) // 4), columns=3)
    titles = {"train_loss": "Training loss", "val_loss": "Validation loss"}
    dice = any("val_dice" in history for history in histories.values())
    titles |= {"val_dice": "Validation Dice"} if dice else {"val_macro_auc": "Validation macro AUC"}
    for axis, (column, title) in zip(axes, titles.items(), strict=True):
        for index, (name, history) in enumerate(histories.items()):
            plot_epochs(axis, history, column, label=shorten(name, 28), **line_style(index))
        axis.set_title(title)
        epoch_axis(axis)
    lines = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=4)
    return figure


def run_names(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder, with as many parents as it takes to tell them apart.

    Raises:
        ValueError: two runs are the same folder.
    """
    for depth in range(1, 1 + max(len(run.folder.parts) for run in runs)):
        names = ["/".join(run.folder.parts[-depth:]) for run in runs]
        if len(set(names)) == len(runs):
            return names
    raise ValueError("two runs are the same folder")


def differing_settings(runs: Sequence[Run]) -> dict[str, list[object]]:
    """The settings that are not the same in all runs, with their values run by run.

    Examples:
        >>> from pathlib import Path
        >>> def run(**config: object) -> Run:
        ...     return Run(Path("a"), config, None, None, None, None, None, (), None)
        >>> differing_settings([run(seed=0, out="a", lr=1), run(seed=1, out="b", lr=1)])
        {'seed': [0, 1]}
    """
    keys = dict.fromkeys(key for run in runs for key in run.config if key not in OWN_TO_EACH_RUN)
    rows = {key: [run.config.get(key) for run in runs] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def best_rows(metric: str, values: Sequence[Metric | None]) -> list[bool]:
    """Which of the values is the best: the highest, or the lowest for Brier score and calibration error.

    Examples:
        >>> best_rows("accuracy", [Metric(0.6), None, Metric(0.7)])
        [False, False, True]
        >>> best_rows("brier", [Metric(0.6), Metric(0.7)])
        [True, False]
    """
    known = [value.value for value in values if value is not None and value.value is not None]
    if len(known) < 2 or metric.startswith("volume_error"):  # neither more nor less of it is better
        return [False] * len(values)
    best = min(known) if metric.startswith(LOWER_IS_BETTER) else max(known)
    return [value is not None and value.value == best for value in values]


def same_test_cases(runs: Sequence[Run]) -> bool | None:
    """Whether all runs were tested on the same cases; None where that cannot be known."""
    known = []
    for run in runs:
        test = run.split_cases("test")
        if test is not None:
            known.append(frozenset(zip(test["id"], test["label"], strict=True)))
        elif run.scores is not None:
            known.append(frozenset((name, -1) for name in run.scores.loc[run.scores["split"] == "test", "id"]))
    if len(set(known)) > 1:
        return False
    return True if len(known) == len(runs) else None


def cautions(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """What to know before comparing: what holds for all runs is said once, the rest with the run's name."""
    told = {name: summary.cautions(run) for run, name in zip(runs, names, strict=True)}
    shared = [line for line in next(iter(told.values())) if all(line in lines for lines in told.values())]
    own = [f"{name}: {line}" for name, lines in told.items() for line in lines if line not in shared]
    if same_test_cases(runs) is False:
        shared.insert(0, "The runs were not tested on the same cases: their test figures cannot be compared.")
    return shared + own
