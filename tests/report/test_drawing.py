"""Figures become SVG that is the same every time, fits on a page with others and is inert."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import pytest
from matplotlib.figure import Figure

from acnorm.report.drawing import INK, inline_svg, line_style, plain_numbers, sheet, shorten, with_prefix


@inline_svg('Two lines & a "name"')
def drawing(name: str = "a line") -> Figure:
    figure, (axis,) = sheet(2)
    axis.plot([0, 1], [0, 1], "o-", label=name)
    axis.legend()
    axis.set_title(name)
    return figure


def test_it_is_well_formed_and_labelled() -> None:
    root = ElementTree.fromstring(drawing())
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'Two lines & a "name"'
    assert "a line" in "".join(root.itertext())


def test_it_is_the_same_every_time_and_in_every_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        drawn = set(pool.map(drawing, ["a line"] * 8))
    assert drawn == {drawing()}


def test_laying_out_first_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = drawing()
    monkeypatch.setattr("acnorm.report.drawing._laid_out", lambda figure: figure)
    assert drawing() == laid_out


def test_ids_are_unique_within_and_between_figures() -> None:
    both = with_prefix(drawing(), "first") + with_prefix(drawing(), "second")
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(ids) == len(set(ids))
    assert {use for use in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', both) for use in use if use} <= set(ids)


def test_page_colours_follow_the_page() -> None:
    assert INK not in drawing()
    assert "var(--ink)" in drawing()


def test_nothing_is_loaded_from_elsewhere() -> None:
    elsewhere = re.sub(r'xmlns(:xlink)?="[^"]+"', "", drawing())
    assert "http" not in elsewhere
    assert "DOCTYPE" not in elsewhere


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "$\\frac{1$", "50 % & more", "網膜", "a_b^c"])
def test_any_name_is_plain_text(name: str) -> None:
    svg = drawing(name)
    assert "<script" not in svg
    assert name in "".join(ElementTree.fromstring(svg).itertext())


def test_global_settings_are_left_as_they_were() -> None:
    before = dict(matplotlib.rcParams)
    drawing()
    assert dict(matplotlib.rcParams) == before


def test_lines_stay_distinct_beyond_the_palette() -> None:
    styles = [tuple(line_style(index).values()) for index in range(28)]
    assert len(set(styles)) == 28


def test_ticks_and_names_are_short() -> None:
    assert plain_numbers()(0.0001) == "0.0001"
    assert shorten("mild") == "mild"
    assert shorten("x" * 30, 5) == "xxxx…"
