from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt  # which rich is built on

from acnorm.report.tables import (
    LATEX,
    Table,
    as_html,
    as_latex,
    as_markdown,
    escape_latex,
    escape_markdown,
    latex_needs,
)

texts = st.text(alphabet="ab_%&$#{}~^<>|[]–±\\ 0", max_size=8)
signs = st.text(alphabet="ab_*`|~<>&;#[]()!\\ /1-+.é", max_size=9).map(str.strip).filter(bool)
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
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines[2:6])
    assert lines[4] == r"| bn_only\|x | 5 | < 0.001 |"
    assert lines[6:] == ["", "95 %."]


def test_a_table_without_title_and_note_is_its_rows():
    assert as_markdown(Table(("a",), (("b",),))) == "| a |\n|---|\n| b |"


@given(signs, signs, signs)
def test_markdown_prints_names_as_they_are(title: str, column: str, name: str):
    table = Table(("method", column), ((name, "0.1 [0.2, 0.3]"),), title=title)
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(as_markdown(table))
    reader = _Reader()
    reader.feed(page)
    assert reader.cells == [["method", column], [name, "0.1 [0.2, 0.3]"]]
    assert reader.tags == {"h3", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.partition("</h3>")[0] == f"<h3>{escape(title)}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("line\nbreak", "line break"),
        ("t<2>\r\n\n x", "t<2> x"),
        ("<b>x</b>", r"\<b>x\</b>"),
        ("a|b", r"a\|b"),
        ("*a* `b`", r"\*a\* \`b\`"),
        ("_a_ __b__", r"\_a\_ \_\_b\_\_"),
        ("[a](b.html)", r"[a\](b.html)"),
        ("&lt; ~~a~~", r"\&lt; \~\~a\~\~"),
        ("eyes #", r"eyes \#"),
    ],
)
def test_signs_of_markdown_are_escaped(name: str, written: str):
    assert escape_markdown(name) == written


@pytest.mark.parametrize(
    "text",
    [
        "acnorm+l2sp", "macro_auc", "bn-only", "snake_case__twice", "25 % of labels", "learning rate 1e-05", "< 0.001",
        "-0.030 [-0.050, -0.010]", "runs/zoo/2d-moco.pth", r"C:\runs\a.pth", "a & b (c) #1", "Dice > 0.5, p < 0.05.",
    ],
)  # fmt: skip
def test_ordinary_names_and_figures_stay_as_they_are(text: str):
    assert escape_markdown(text) == text


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.add(tag)
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
