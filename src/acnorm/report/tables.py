"""One table, written as Markdown, LaTeX or HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
_CAPITALS = {"Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"}
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
    "×": r"$\times$",
    "→": r"$\to$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "µ": r"$\mu$",
    **{chr(0x3B1 + at): "o" if name == "omicron" else rf"$\{name}$" for at, name in enumerate(_GREEK)},
    **{chr(0x391 + at): rf"$\{name.title()}$" for at, name in enumerate(_GREEK) if name.title() in _CAPITALS},
}
LAST_LATIN = 0x17F  # letters up to it are known to LaTeX's T1 encoding
_LINES = re.compile(r"\s*[\n\r\v\f\u0085\u2028\u2029]\s*")
_MARKDOWN = re.compile(
    r"\\(?=[!-/:-@[-`{-~])"  # which escapes before punctuation alone
    r"|[|*`~]"
    r"|(?<!\w)_+|_+(?!\w)"  # within a word they stress nothing
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)"  # tags, entities
    r"|\](?=[(\[])"  # of a link
    r"|(?:(?<=\s)|^)#(?=#*\s*$)"  # which would close a title
)


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
    """Return a table in pipes, under its title and above its note.

    Examples:
        >>> print(as_markdown(Table(("method", "runs"), (("a|b", "5"),), title="eyes", note="Of all.")))
        ### eyes
        <BLANKLINE>
        | method | runs |
        |---|---|
        | a\\|b | 5 |
        <BLANKLINE>
        Of all.
    """
    head, *rows = (f"| {' | '.join(map(escape_markdown, row))} |" for row in (table.head, *table.rows))
    title = [f"### {escape_markdown(table.title)}", ""] if table.title else []
    note = ["", escape_markdown(table.note)] if table.note else []
    return "\n".join([*title, head, "|---" * len(table.head) + "|", *rows, *note])


def escape_markdown(text: str) -> str:
    """Return text in one line of which Markdown (CommonMark, and GitHub's tables) takes no sign for its own.

    What has no meaning where it stands stays as it is, such as underscores within words and intervals in brackets.

    Examples:
        >>> print(escape_markdown("<b>bold</b> *macro_auc* 0.8 [0.7, 0.9]"))
        \\<b>bold\\</b> \\*macro_auc\\* 0.8 [0.7, 0.9]
    """
    return _MARKDOWN.sub(lambda found: "".join(f"\\{sign}" for sign in found.group()), _in_one_line(text))


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
    return "".join(LATEX.get(sign, sign) for sign in _in_one_line(text))


def _in_one_line(text: str) -> str:
    return _LINES.sub(" ", text)


def latex_needs(tables: Sequence[str]) -> str:
    """Return the comment that says what tables of ``as_latex`` need: packages and, for some letters, another LaTeX.

    Examples:
        >>> latex_needs(["p"]), latex_needs(["naïve"])
        ('% needs: \\\\usepackage{booktabs}', '% needs: \\\\usepackage{booktabs} \\\\usepackage[T1]{fontenc}')
    """
    letters = sorted({sign for table in tables for sign in table if not sign.isascii()})
    beyond = [sign for sign in letters if ord(sign) > LAST_LATIN]
    told = r"% needs: \usepackage{booktabs}" + (r" \usepackage[T1]{fontenc}" if len(letters) > len(beyond) else "")
    if beyond:
        told += f"\n% needs: XeLaTeX or LuaLaTeX, and a font that has {' '.join(beyond)}"
    return told


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
