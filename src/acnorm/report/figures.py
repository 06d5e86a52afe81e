"""The figures of a classification run, each a function of plain arrays that gives inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, average_precision_score, confusion_matrix, precision_recall_curve, roc_curve

from acnorm.report.drawing import (
    BLUES,
    INK,
    MUTED,
    PALETTE,
    inline_svg,
    line_style,
    plain_numbers,
    sheet,
    shorten,
)
from acnorm.report.records import Metric

Labels = npt.NDArray[np.int64]
Truth = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]
BINS = 10
NUMBERED = 16  # classes: above this a confusion matrix has no room for numbers


@inline_svg("Number of cases of each class in each split, as bars")
def class_counts(
    counts: Mapping[str, Sequence[int]], classes: Sequence[str], totals: Mapping[str, int] | None = None
) -> Figure:
    """Cases of each class, one panel for each split, whose cases are ``totals`` where one may hold several classes.

    Examples:
        >>> class_counts({"train": [3, 4]}, ["no", "yes"])[:4]
        '<svg'
    """
    figure, axes = sheet(0.9 + 0.3 * len(classes), columns=len(counts))
    for axis, (split, numbers) in zip(axes, counts.items(), strict=True):
        bars = axis.barh(range(len(classes)), numbers, color=PALETTE[0], height=0.66)
        axis.bar_label(bars, padding=3, color=INK)
        axis.set_title(f"{split}: {sum(numbers) if totals is None else totals[split]} cases")
        axis.set_yticks(range(len(classes)), map(shorten, classes) if axis is axes[0] else [""] * len(classes))
        axis.set_xlim(0, 1.18 * max(1, *numbers))
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        axis.invert_yaxis()
    return figure


@inline_svg("Learning curves by epoch: loss, validation metrics and learning rate")
def learning_curves(history: pd.DataFrame, best_epoch: int | None) -> Figure:
    """Loss, validation metrics and learning rate by epoch, with the epoch that was kept.

    Examples:
        >>> learning_curves(pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5]}), best_epoch=2)[:4]
        '<svg'
    """
    figure, (loss, metric, rate) = sheet(3.1, columns=3)
    for axis, title, columns in (
        (loss, "Loss", {"train_loss": "training", "val_loss": "validation"}),
        (
            metric,
            "Validation metrics",
            {
                "val_macro_auc": "macro AUC",
                "val_accuracy": "accuracy",
                "val_dice": "Dice",
                "val_quadratic_kappa": "quadratic kappa",
                "val_macro_average_precision": "macro average precision",
                "val_knn_accuracy": "accuracy of neighbours",
                "val_feature_spread": "spread of features",
            },
        ),
        (rate, "Learning rate", {"learning_rate": "_unnamed"}),
    ):
        axis.set_title(title)
        for index, (column, name) in enumerate(columns.items()):
            plot_epochs(axis, history, column, label=name, **line_style(index))
        _mark_best(axis, best_epoch, named=axis is rate)
        epoch_axis(axis)
        if axis.get_legend_handles_labels()[1]:
            axis.legend()
    rate.set_ylim(bottom=0)
    return figure


@inline_svg("Dice of each case, one panel for each class, one row for each split")
def case_scores(scores: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """The Dice of every case as a dot, with the mean as a line.

    Examples:
        >>> case_scores(pd.DataFrame({"split": ["test"], "dice_LV": [0.8]}), ["LV"])[:4]
        '<svg'
    """
    splits = list(dict.fromkeys(scores["split"]))
    figure, axes = sheet(0.9 + 0.45 * len(splits), columns=len(classes))
    for axis, name in zip(axes, classes, strict=True):
        for row, split in enumerate(splits):
            values = scores.loc[scores["split"] == split, f"dice_{name}"].to_numpy(dtype=float)
            spread = 0.5 * (np.arange(len(values)) % 5 / 4 - 0.5)  # side by side, so that equal ones are seen
            axis.scatter(values, row + spread, s=14, color=PALETTE[row % len(PALETTE)], alpha=0.7, linewidths=0)
            axis.plot([values.mean()] * 2, [row - 0.4, row + 0.4], color=INK, linewidth=1.4)
        axis.set_title(f"Dice {shorten(name)}")
        axis.set_xlim(-0.03, 1.03)
        axis.set_yticks(range(len(splits)), splits if axis is axes[0] else [""] * len(splits))
        axis.invert_yaxis()
    return figure


def plot_epochs(axis: Axes, history: pd.DataFrame, column: str, label: str, **style: Any) -> None:
    """Draw one column by epoch, without the epochs at which it was not measured."""
    if column not in history.columns:
        return
    measured = history[["epoch", column]].replace([np.inf, -np.inf], np.nan).dropna()
    marker = "o" if len(measured) < 25 else ""
    axis.plot(measured["epoch"], measured[column], label=label, marker=marker, markersize=3.5, **style)


def epoch_axis(axis: Axes) -> None:
    """Whole epochs below, plain numbers at the side."""
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_formatter(plain_numbers())


def _mark_best(axis: Axes, best_epoch: int | None, named: bool) -> None:
    if best_epoch is not None:
        name = f"epoch kept: {best_epoch}" if named else None
        axis.axvline(best_epoch, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label=name)


@inline_svg("Metrics of validation and test with their 95 % intervals")
def intervals(rows: Mapping[str, Mapping[str, Metric]], names: Sequence[str]) -> Figure:
    """One panel for each metric, one line with its interval for each row (a split, or a run).

    Examples:
        >>> intervals({"test": {"Accuracy": Metric(0.6, 0.5, 0.7)}}, ["Accuracy"])[:4]
        '<svg'
    """
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure, axes = sheet(lines * (0.85 + 0.22 * len(rows)), columns=columns, rows=lines)
    for axis in axes[len(names) :]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        for index, metrics in enumerate(rows.values()):
            _interval(axis, index, metrics.get(name, Metric(None)))
        first = axes.index(axis) % columns == 0
        axis.set_yticks(range(len(rows)), map(shorten, rows) if first else [""] * len(rows))
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_title(name)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.xaxis.set_major_formatter(plain_numbers())
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    return figure


def _interval(axis: Axes, row: int, metric: Metric) -> None:
    if metric.value is None:
        return
    colour = PALETTE[row % len(PALETTE)]
    if metric.low is not None and metric.high is not None:
        axis.plot([metric.low, metric.high], [row, row], color=colour, linewidth=2, solid_capstyle="round")
    axis.plot(metric.value, row, "o", color=colour, markersize=5.5)


@inline_svg("Confusion matrix: cases by true and predicted class, as counts and as shares of the true class")
def confusion(labels: Labels, predictions: Labels, classes: Sequence[str]) -> Figure:
    """True against predicted class: counts, and each as a share of its row.

    Examples:
        >>> confusion(np.array([0, 1]), np.array([1, 1]), ["no", "yes"])[:4]
        '<svg'
    """
    counts = confusion_matrix(labels, predictions, labels=range(len(classes)))
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = min(4.4, 1.9 + 0.42 * len(classes))
    figure, axes = sheet(side, columns=2, width=min(9.4, 2 * side + 1.4), layout="compressed")
    _matrix(
        axes[0],
        "Cases",
        counts / max(1, counts.max()),
        [[str(count) for count in row] for row in counts],
        classes,
    )
    _matrix(
        axes[1],
        "Share of the true class (%)",
        share,
        [[f"{100 * part:.0f}" for part in row] for row in share],
        classes,
    )
    axes[1].set_yticklabels([])
    axes[1].set_ylabel("")
    return figure


def _matrix(axis: Axes, title: str, shade: Shares, texts: list[list[str]], classes: Sequence[str]) -> None:
    axis.pcolormesh(shade, cmap=BLUES, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    axis.set(title=title, xlabel="predicted class", ylabel="true class", aspect="equal")
    ticks = np.arange(len(classes)) + 0.5
    names = [shorten(name, 16) for name in classes]
    axis.set_xticks(ticks, names, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(ticks, names)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.invert_yaxis()
    if len(classes) > NUMBERED:
        return
    for row, column in np.ndindex(shade.shape):
        # Not the page's ink: the cell keeps its colour when the page turns dark.
        colour = "#ffffff" if shade[row, column] > 0.5 else "#10202e"
        axis.text(column + 0.5, row + 0.5, texts[row][column], ha="center", va="center", color=colour, fontsize=9)


@inline_svg("ROC and precision-recall curves of each class against the rest")
def discrimination(truth: Truth, shares: Shares, classes: Sequence[str]) -> Figure:
    """ROC and precision-recall of each class, from what cases show and its probability, both [case, class].

    A class without cases, or without others, has no curve.

    Examples:
        >>> discrimination(np.array([[False], [True]]), np.array([[0.1], [0.6]]), ["yes"])[:4]
        '<svg'
    """
    figure, (roc, recall) = sheet(4.3 + 0.2 * -(-len(classes) // 3), columns=2)
    roc.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    for index in range(len(classes)):
        hit = truth[:, index]
        if hit.all() or not hit.any():
            continue
        false_rate, true_rate, _ = roc_curve(hit, shares[:, index])
        precision, sensitivity, _ = precision_recall_curve(hit, shares[:, index], drop_intermediate=True)
        average = average_precision_score(hit, shares[:, index])
        area = auc(false_rate, true_rate)
        name = f"{shorten(classes[index])}: AUC {area:.3f}, AP {average:.3f}"
        roc.plot(false_rate, true_rate, label=name, **line_style(index))
        recall.step(sensitivity, precision, where="post", **line_style(index))
    roc.set(title="ROC", xlabel="1 − specificity", ylabel="sensitivity")
    recall.set(title="Precision and recall", xlabel="recall (sensitivity)", ylabel="precision")
    for axis in (roc, recall):
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    if roc.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=min(3, len(classes)), fontsize=8.5)
    return figure


@inline_svg("Reliability diagram: share of right answers against confidence, and how often each confidence is given")
def calibration(
    right: Truth, confidence: Shares, error: float | None, names: tuple[str, str] = ("right", "wrong")
) -> Figure:
    """Share of right answers against confidence in ten bins, and the number of answers in each bin.

    Examples:
        >>> calibration(np.array([True, False]), np.array([0.9, 0.6]), error=0.25)[:4]
        '<svg'
    """
    confidence = confidence.clip(0, 1)
    observed, expected = calibration_curve(right.astype(int), confidence, n_bins=BINS, pos_label=1)
    figure, (reliability, histogram) = sheet(3.6, columns=2)
    reliability.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    reliability.plot(expected, observed, "o-", color=PALETTE[0], markersize=5)
    reliability.fill_between(expected, expected, observed, color=PALETTE[0], alpha=0.15, linewidth=0)
    title = "Reliability" if error is None else f"Reliability (ECE {error:.3f})"
    reliability.set(title=title, xlabel="confidence", ylabel="share of right answers", ylim=(-0.02, 1.02))
    edges = np.linspace(0, 1, BINS + 1).tolist()
    groups = [confidence[right], confidence[~right]]
    histogram.hist(groups, bins=edges, stacked=True, color=list(PALETTE[:2]), label=list(names), rwidth=0.92)
    histogram.set(title="How sure the model is", xlabel="confidence", ylabel="cases")
    histogram.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    histogram.legend()
    for axis in (reliability, histogram):
        axis.set_xlim(-0.02, 1.02)
    return figure
