from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnorm.report.tables import LATEX, Table, as_html, as_latex, as_markdown, escape_latex, latex_needs

texts = st.text(alphabet="ab_%&$#{}~^<>|[]–±\\ 0", max_size=8)
TABLE = Table(
    ("method", "runs", "p (Holm)"), (("bn_only|x", "5", "< 0.001"), ("a & b", "", "[+0.1, 25 %]")), "eyes", "95 %."
)


def printed(latex: str) -> str:
    """What LaTeX prints of escaped text: the longest commands first."""
    back = {command: sign for sign, command in LATEX.items()}
    pattern = "|".join(re.escape(command) for command in sorted(back, key=len, reverse=True))
    return re.sub(pattern, lambda found: back[found.group()], latex)


@given(texts.filter(lambda text: "--" not in text))
def test_latex_prints_the_text(text: str):
    escaped = escape_latex(text)
    assert printed(escaped) == text
    bare = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}|\{\[\}|\$[^$]*\$", "", escaped)
    assert not set(bare) & set("&%$#_{}~^\\")


def test_greek_letters_are_commands_and_lines_are_joined():
    assert escape_latex("α-β Ωμ\n\nx") == r"$\alpha$-$\beta$ $\Omega$$\mu$ x"
    assert all(sign.isascii() for sign in escape_latex("αβγδεζηθικλμνξοπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩ±×→≤≥∞µ−–"))


def test_what_latex_needs_is_said():
    assert latex_needs([escape_latex("τ ± 1")]) == r"% needs: \usepackage{booktabs}"
    assert latex_needs(["naïve 你"]) == (
        "% needs: \\usepackage{booktabs} \\usepackage[T1]{fontenc}\n% needs: XeLaTeX or LuaLaTeX, and a font that has 你"
    )


def test_latex_has_a_cell_for_each_column():
    lines = as_latex(TABLE).splitlines()
    assert lines[2] == r"\caption{eyes. 95 \%.}"
    assert r"\begin{tabular}{lrr}" in lines
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 3
    assert all(len(re.findall(r"(?<!\\)&", row)) == 2 for row in rows)
    assert r"bn\_only\textbar{}x & 5 & \textless{} 0.001 \\" in rows
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    depth = [text.count("begin") - text.count("end") for text in ("\n".join(lines),)]
    assert depth == [0]


def test_a_table_without_title_and_note_has_no_caption():
    assert "caption" not in as_latex(Table(("a",), (("b",),)))
    assert "caption" not in as_html(Table(("a",), (("b",),)))


def test_markdown_has_a_cell_for_each_column():
    lines = as_markdown(TABLE).splitlines()
    assert lines[:2] == ["### eyes", ""]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines[2:])
    assert lines[4] == r"| bn_only\|x | 5 | < 0.001 |"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.cells and self.cells[-1] and data.strip():
            self.cells[-1][-1] += data


@pytest.mark.parametrize("evil", ["<script>", "a & b", '"x"'])
def test_html_is_text_not_markup(evil: str):
    page = as_html(Table(("name", "p (Holm)", "runs"), ((evil, evil, "5"),), note=evil))
    reader = _Reader()
    reader.feed(page.partition("</tbody>")[0])
    assert reader.cells == [["Name", "p (Holm)", "Runs"], [evil, evil, "5"]]
