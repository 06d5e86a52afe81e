"""One look for all figures, and the way from a Matplotlib figure to inline SVG.

Colours that belong to the page rather than to the data (ink, muted, grid) are written as CSS variables,
so a figure follows the page into its dark and its printed form.
"""

from __future__ import annotations

import html
import io
import re
import threading
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, ParamSpec

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# Okabe and Ito's colours, told apart with any colour vision; their yellow is too pale on white paper.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a58")
DASHES = ("-", "--", ":", "-.")
INK, MUTED, GRID = "#1d2833", "#5d6b78", "#dfe4e8"
PAGE_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)"}
BLUES = LinearSegmentedColormap.from_list("blues", ["#eef5fa", "#7fb8d8", "#0072b2", "#023a5c"])
WIDTH = 9.4  # inches: the page's column

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "acnorm",
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
# Matplotlib's settings are global, so one figure is drawn at a time.
_LOCK = threading.Lock()
Layout = Literal["constrained", "compressed"]
Arguments = ParamSpec("Arguments")


def inline_svg(label: str) -> Callable[[Callable[Arguments, Figure]], Callable[Arguments, str]]:
    """Make a function that draws a figure give its inline SVG, with `label` for readers who do not see it.

    The same figure gives the same text, on any day.

    Examples:
        >>> @inline_svg("An empty figure")
        ... def nothing() -> Figure:
        ...     return Figure()
        >>> nothing().startswith('<svg role="img" aria-label="An empty figure"')
        True
    """

    def decorate(draw: Callable[Arguments, Figure]) -> Callable[Arguments, str]:
        @wraps(draw)
        def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
            buffer = io.StringIO()
            with _LOCK, matplotlib.rc_context(_STYLE), warnings.catch_warnings():
                # The browser draws the text, so a glyph that Matplotlib's own font lacks is no loss.
                warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
                nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
                _laid_out(draw(*args, **kwargs)).savefig(buffer, format="svg", dpi=150, metadata=nothing)
            return _inline(buffer.getvalue(), label)

        return drawn

    return decorate


def _laid_out(figure: Figure) -> Figure:
    """The figure with its axes where its layout puts them, and without the layout.

    Saving a figure with a layout draws it twice, the first time for the layout alone.
    """
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        FigureCanvasSVG(figure)  # whose texts are as wide as those of the file
        figure.dpi = 72
        engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


def _inline(document: str, label: str) -> str:
    body = document[document.index("<svg") :]
    opening, rest = body.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', opening)
    assert box is not None
    for colour, variable in PAGE_COLOURS.items():
        rest = rest.replace(colour, variable)
    width = float(box.group(1).split()[2]) / 72
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" viewBox="{box.group(1)}" '
        f'style="max-width: {width:.2f}in" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{rest}'
    )


def with_prefix(svg: str, prefix: str) -> str:
    """The figure with its ids, and what refers to them, made its own, so that many fit on one page.

    Examples:
        >>> with_prefix('<path id="a"/><use href="#a"/>', "left")
        '<path id="left-a"/><use href="#left-a"/>'
    """
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)


def sheet(
    height: float, columns: int = 1, rows: int = 1, width: float = WIDTH, layout: Layout = "constrained"
) -> tuple[Figure, list[Axes]]:
    """An empty figure of the page's width and its axes, row by row.

    Examples:
        >>> figure, axes = sheet(3, columns=2)
        >>> len(axes)
        2
    """
    figure = Figure(figsize=(width, height), layout=layout)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the index-th line: new dashes once the colours are used up.

    Examples:
        >>> line_style(1)
        {'color': '#d55e00', 'linestyle': '-'}
    """
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": DASHES[index // len(PALETTE) % len(DASHES)]}


def plain_numbers() -> FuncFormatter:
    """Ticks such as 0.001, without powers and offsets."""
    return FuncFormatter(lambda value, _: f"{value:.4g}")


def shorten(name: str, length: int = 22) -> str:
    """A name cut to fit beside an axis.

    Examples:
        >>> shorten("proliferative diabetic retinopathy")
        'proliferative diabeti…'
    """
    return name if len(name) <= length else name[: length - 1] + "…"
