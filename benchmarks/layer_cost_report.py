"""The table and the figure of layer_cost.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = {"plain BatchNorm": "0.55", "windowed": "C0", "dense": "C1", "two passes (paper)": "C3"}
EVAL_TARGETS = {"AC-Norm, unfolded": 1.05, "AC-Norm, folded": 1.00}


def write_report(
    out: Path,
    command: str,
    machine: Sequence[str],
    costs: dict[str, dict[str, list[dict[str, Any]]]],
    targets: dict[str, dict[str, float]],
    layers: Sequence[dict[str, Any]],
) -> str:
    """Write ``out`` (markdown) and a figure beside it, and return the text."""
    out.parent.mkdir(parents=True, exist_ok=True)
    figure = out.with_suffix(".png")
    draw(figure, layers)
    parts = ["# What AC-Norm costs", f"    {command}", "\n".join(f"- {line}" for line in machine)]
    for network, kinds in costs.items():
        for kind, rows in kinds.items():
            wanted = targets[network] if kind == "training step" else EVAL_TARGETS
            parts += [f"## {network}, 128 × 128: {kind}", network_table(rows, wanted)]
    parts += ["## One layer, by its number of channels", layer_text(), layer_table(layers), f"![]({figure.name})"]
    text = "\n\n".join(parts) + "\n"
    out.write_text(text)
    return text


def network_table(rows: Sequence[dict[str, Any]], targets: dict[str, float]) -> str:
    """One row a variant: median ratio, the middle half of the turns, seconds, target."""
    lines = ["| variant | × plain BatchNorm | middle half | ms | target |", "|---|---|---|---|---|"]
    for row in rows:
        target = f"at most {targets[row['name']]:.2f}" if row["name"] in targets else ""
        middle = f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(f"| {row['name']} | {row['ratio']:.3f} | {middle} | {1e3 * row['seconds']:.1f} | {target} |")
    return "\n".join(lines)


def layer_text() -> str:
    """Say what the numbers of one layer are."""
    return (
        "Forward and backward in train on 8 × C × 4 × 4 values; median ms, and the peak of what the pass keeps in "
        "memory (MB). The matrix of the dense form and of the two passes grows with C²; a dash marks where it was not "
        "tried for want of memory."
    )


def layer_table(layers: Sequence[dict[str, Any]]) -> str:
    """One row a width, time and memory of each form."""
    lines = ["| C | " + " | ".join(f"{form}, ms | MB" for form in COLOURS) + " |", "|---|" + "---|---|" * len(COLOURS)]
    for channels in sorted({row["channels"] for row in layers}):
        found = {row["form"]: row for row in layers if row["channels"] == channels}
        cells = [
            f"{1e3 * found[form]['seconds']:.3f} | {found[form]['bytes'] / 1e6:.2f}" if form in found else "– | –"
            for form in COLOURS
        ]
        lines.append(f"| {channels} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(path: Path, layers: Sequence[dict[str, Any]]) -> None:
    """Time and memory against C, both axes logarithmic."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for panel, key, scale, label in (
        (axes[0], "seconds", 1e3, "time, ms"),
        (axes[1], "bytes", 1e-6, "peak memory, MB"),
    ):
        for form, colour in COLOURS.items():
            points = [(row["channels"], row[key] * scale) for row in layers if row["form"] == form]
            panel.loglog(*zip(*points, strict=True), marker="o", markersize=3, color=colour, label=form, base=2)
        panel.set_yscale("log", base=10)
        panel.set(xlabel="channels C", ylabel=label)
        panel.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.suptitle("One layer, forward and backward")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
