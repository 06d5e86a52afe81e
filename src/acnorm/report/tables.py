"""One table, written as Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # behind \\ a bracket would be a length
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
}


@dataclass(frozen=True)
class Table:
    """Text in rows and columns, the first of which names the rows.

    Args:
        head: names of the columns.
        rows: as long as the head.
        title: of the table; empty where there is one.
        note: what its figures mean.

    Examples:
        >>> Table(("method", "runs"), (("vanilla", "5"),)).head
        ('method', 'runs')
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    note: str = ""


def as_markdown(table: Table) -> str:
    """Return a table in pipes, under its title.

    Examples:
        >>> print(as_markdown(Table(("method", "runs"), (("a|b", "5"),), title="eyes")))
        ### eyes
        <BLANKLINE>
        | method | runs |
        |---|---|
        | a\\|b | 5 |
    """
    rows = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (table.head, *table.rows)]
    lines = [rows[0], "|---" * len(table.head) + "|", *rows[1:]]
    return "\n".join([f"### {table.title}", "", *lines] if table.title else lines)


def as_latex(table: Table) -> str:
    """Return a table for LaTeX with the package booktabs: title and note are the caption.

    Examples:
        >>> print(as_latex(Table(("method", "labels"), (("bn_only", "25 %"),), title="eyes", note="Of all.")))
        \\begin{table}
        \\centering
        \\caption{eyes. Of all.}
        \\begin{tabular}{lr}
        \\toprule
        method & labels \\\\
        \\midrule
        bn\\_only & 25 \\% \\\\
        \\bottomrule
        \\end{tabular}
        \\end{table}
    """
    told = " ".join(filter(None, (f"{table.title}." if table.title else "", table.note)))
    head, *rows = (" & ".join(map(escape_latex, row)) + r" \\" for row in (table.head, *table.rows))
    lines = [r"\begin{table}", r"\centering", *([rf"\caption{{{escape_latex(told)}}}"] if told else [])]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}", r"\toprule", head, r"\midrule", *rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def escape_latex(text: str) -> str:
    """Return text as LaTeX prints it.

    Examples:
        >>> escape_latex("p_1 < 5 %")
        'p\\\\_1 \\\\textless{} 5 \\\\%'
    """
    return "".join(LATEX.get(sign, sign) for sign in text)


def as_html(table: Table) -> str:
    """Return a table for a page, without its title.

    Examples:
        >>> as_html(Table(("method", "runs"), (("<a>", "5"),))).partition('<tbody>')[2]
        '\\n<tr><th scope="row">&lt;a&gt;</th><td class="number">5</td></tr>\\n</tbody>\\n</table>'
    """
    first, *others = table.head
    head = f'<th scope="col">{_capital(first)}</th>'
    head += "".join(f'<th scope="col" class="number">{_capital(name)}</th>' for name in others)
    rows = "\n".join(_html_row(row) for row in table.rows)
    note = f"\n<caption>{escape(table.note)}</caption>" if table.note else ""
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>{note}\n</table>"


def _html_row(row: Sequence[str]) -> str:
    cells = "".join(f'<td class="number">{escape(cell)}</td>' for cell in row[1:])
    return f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>'


def _capital(name: str) -> str:
    return escape(name if name.startswith("p ") else name[:1].upper() + name[1:])
