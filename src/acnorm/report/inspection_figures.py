"""Figures of an inspection: how the affine moved, where runs lie, and how channels match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from acnorm.report.drawing import BLUES, DASHES, MUTED, PALETTE, inline_svg, plain_numbers, sheet, shorten

MARKERS = "os^Dv<>P"
PANELS = 12  # heat maps: those of further groups are left out
NAMED = 20  # layers: above this only some are named
WORDS = {
    "matched_is_own": "Channels that match that of their own place",
    "matched": "Mean correlation of matched channels",
    "percentile": "Place of AC-Norm's partner among other channels",
}


@inline_svg("Median distance of the affine ratios from the start, by epoch, one line a run")
def movement_lines(movement: pd.DataFrame) -> Figure:
    """The median movement of the ratios, averaged over layers, of each run by epoch.

    Examples:
        >>> row = {"run": "a", "domain": "eyes", "method": "vanilla", "seed": 0, "layer": "bn1", "channels": 8}
        >>> movement_lines(pd.DataFrame([{**row, "epoch": epoch, "ratio_median": 0.1 * epoch} for epoch in (0, 1)]))[:4]
        '<svg'
    """
    figure, (axis,) = sheet(3.6)
    domains, methods = _levels(movement)
    for (domain, method, _), table in movement.groupby(["domain", "method", "run"], sort=False):
        line = table.groupby("epoch")["ratio_median"].mean()
        look = {
            "color": domains[str(domain)],
            "linestyle": methods[str(method)],
            "marker": "o" if len(line) < 3 else "",
        }
        axis.plot(line.index, line, alpha=0.8, **look)
    axis.set(title="How far the ratios β / |γ| are from the start", xlabel="epochs of fine-tuning")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_formatter(plain_numbers())
    _legend(axis, domains, methods)
    return figure


@inline_svg("Median movement of the affine ratios by layer and epoch, a map for each domain and method")
def movement_maps(movement: pd.DataFrame) -> Figure:
    """The median movement by layer and epoch, averaged over the runs of each domain and method.

    Examples:
        >>> row = {"run": "a", "domain": "eyes", "method": "vanilla", "seed": 0, "layer": "bn1", "channels": 8}
        >>> movement_maps(pd.DataFrame([{**row, "epoch": epoch, "ratio_median": 0.1 * epoch} for epoch in (0, 1)]))[:4]
        '<svg'
    """
    methods, domains = (list(dict.fromkeys(movement[name])) for name in ("method", "domain"))
    found = dict(list(movement.groupby(["method", "domain"], sort=False)))
    groups = [(key, found[key]) for key in product(methods, domains) if key in found][:PANELS]
    columns = min(len(groups), max(1, movement["domain"].nunique()), 4)
    rows = -(-len(groups) // columns)
    layers = movement["layer"].nunique()
    figure, axes = sheet(rows * (1.4 + 0.11 * min(layers, 30)), columns=columns, rows=rows)
    maps = [table.pivot_table(index="layer", columns="epoch", values="ratio_median", sort=False) for _, table in groups]
    highest = max(float(np.nanmax(values.to_numpy())) for values in maps) or 1.0
    shown = None
    for axis, ((method, domain), _), values in zip(axes, groups, maps, strict=False):
        values = values.sort_index(axis=1)
        shown = axis.imshow(values.to_numpy(), aspect="auto", cmap=BLUES, vmin=0, vmax=highest, interpolation="nearest")
        axis.set_title(f"{shorten(str(domain))}, {method}")
        _name_layers(axis, [str(name) for name in values.index], vertical=True, named=axis.get_subplotspec())
        _ticks(axis, [str(epoch) for epoch in values.columns])
        axis.grid(visible=False)
    for axis in axes[len(groups) :]:
        axis.set_visible(False)
    if shown is not None:
        bar = figure.colorbar(shown, ax=axes, shrink=0.6)
        bar.outline.set_visible(False)
        bar.set_label("median |r − r₀|")
    return figure


def _ticks(axis: Axes, names: list[str]) -> None:
    step = -(-len(names) // 8)
    axis.set_xticks(range(0, len(names), step), names[::step])


def _name_layers(axis: Axes, names: list[str], *, vertical: bool = False, named: Any = None) -> None:
    step = -(-len(names) // NAMED)
    if vertical:
        shown = names[::step] if named is None or named.is_first_col() else [""] * len(names[::step])
        axis.set_yticks(range(0, len(names), step), shown, fontsize=7.5)
    else:
        places = range(0, len(names), step)
        axis.set_xticks(places, names[::step], rotation=50, ha="right", rotation_mode="anchor", fontsize=8)


@inline_svg("Runs in the plane of the first two principal components, a picture for each space")
def places(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Runs by their first two principal components in each space: colours are domains, shapes are methods.

    Examples:
        >>> row = {"space": "ratio", "domain": "eyes", "method": "vanilla", "x_share": 0.6, "y_share": 0.3}
        >>> places(pd.DataFrame([{**row, "x": 0.0, "y": 1.0}]), {"ratio": "ratios"})[:4]
        '<svg'
    """
    spaces = list(dict.fromkeys(table["space"]))
    columns = min(2, len(spaces))
    figure, axes = sheet(3.3 * -(-len(spaces) // columns), columns=columns, rows=-(-len(spaces) // columns))
    domains, methods = _levels(table)
    markers = dict(zip(methods, MARKERS * len(methods), strict=False))
    for axis, space in zip(axes, spaces, strict=False):
        chosen = table[table["space"] == space]
        for (domain, method), group in chosen.groupby(["domain", "method"], sort=False):
            axis.scatter(
                group["x"], group["y"], color=domains[domain], marker=markers[method], s=38, alpha=0.8, linewidth=0
            )
        shares = [float(chosen[name].iloc[0]) for name in ("x_share", "y_share")]
        axis.set(title=titles[space], xlabel=f"{shares[0]:.0%} of the variance", ylabel=f"{shares[1]:.0%}")
        axis.xaxis.set_major_formatter(plain_numbers())
        axis.yaxis.set_major_formatter(plain_numbers())
    for axis in axes[len(spaces) :]:
        axis.set_visible(False)
    colours = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=str(name)) for name, colour in domains.items()
    ]
    shapes = [Line2D([], [], color=MUTED, marker=markers[name], linestyle="", label=str(name)) for name in methods]
    figure.legend(handles=[*colours, *shapes], loc="outside lower center", ncols=min(6, len(colours) + len(shapes)))
    return figure


@inline_svg("How channels match those of the source, layer by layer, and where AC-Norm's partners stand")
def alignment(table: pd.DataFrame) -> Figure:
    """Matching of channels by layer, averaged over the runs of each domain and method.

    Examples:
        >>> row = {"domain": "eyes", "method": "vanilla", "layer": "bn1", "channels": 8}
        >>> alignment(pd.DataFrame([{**row, "matched_is_own": 0.5, "matched": 0.4, "percentile": 0.5}]))[:4]
        '<svg'
    """
    figure, axes = sheet(8.2, rows=3)
    domains, methods = _levels(table)
    layers = list(dict.fromkeys(table["layer"]))
    at = {name: place for place, name in enumerate(layers)}
    chance = [1 / int(table.loc[table["layer"] == name, "channels"].iloc[0]) for name in layers]
    for axis, (quantity, title) in zip(axes, WORDS.items(), strict=True):
        for domain, method, line in _means(table, quantity):
            axis.plot(
                [at[name] for name in line.index], line, color=domains[domain], linestyle=methods[method], marker="."
            )
        axis.set_title(title)
        axis.set_xticks(range(len(layers)), [""] * len(layers))
    axes[0].plot(range(len(layers)), chance, color=MUTED, linewidth=1, label="chance")
    axes[0].set_ylim(0, 1.03)
    axes[2].axhline(0.5, color=MUTED, linewidth=1)
    axes[2].set_ylim(0, 1)
    _name_layers(axes[2], layers)
    _legend(axes[0], domains, methods, Line2D([], [], color=MUTED, linewidth=1, label="chance"))
    return figure


def _means(table: pd.DataFrame, quantity: str) -> Iterator[tuple[Any, Any, pd.Series]]:
    for (domain, method), group in table.groupby(["domain", "method"], sort=False):
        yield domain, method, group.groupby("layer", sort=False)[quantity].mean()


def _levels(table: pd.DataFrame) -> tuple[dict[str, str], dict[str, Any]]:
    """A colour for each domain and dashes for each method."""
    domains, methods = (list(dict.fromkeys(table[name].astype(str))) for name in ("domain", "method"))
    return (
        {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(domains)},
        {name: DASHES[at % len(DASHES)] for at, name in enumerate(methods)},
    )


def _legend(axis: Axes, domains: Mapping[str, str], methods: Mapping[str, Any], *further: Line2D) -> None:
    handles = [Line2D([], [], color=colour, label=str(name)) for name, colour in domains.items()]
    handles += [Line2D([], [], color=MUTED, linestyle=dashes, label=str(name)) for name, dashes in methods.items()]
    axis.legend(handles=[*handles, *further], loc="center left", bbox_to_anchor=(1.01, 0.5))
