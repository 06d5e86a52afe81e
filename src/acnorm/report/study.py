"""The report of a study: tables as Markdown, as CSV and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from acnorm.bench.study import Study
from acnorm.bench.study_words import basis, cautions, sentences
from acnorm.data.atomic import replacing
from acnorm.report import study_figures
from acnorm.report.drawing import with_prefix
from acnorm.report.page import page
from acnorm.report.study_csv import cells_table, measures_table
from acnorm.report.study_tables import (
    MEASURES,
    RULES,
    layer_cells,
    measure_cells,
    ordered,
    result_cells,
    rule_cells,
    target_cells,
)
from acnorm.report.tables import Table, as_markdown


def write_study(folder: Path, study: Study) -> Path:
    """Write study.md, study.csv, study_measures.csv and study.html into a bench folder, and return the page.

    Args:
        folder: of the bench.
        study: of its cells.

    Examples:
        >>> write_study.__name__
        'write_study'
    """
    texts = {"study.md": markdown(study), "study.html": render(study, folder.resolve().name)}
    for name, text in texts.items():
        with replacing(folder / name) as draft:
            draft.write_text(text, encoding="utf-8")
    for name, table in {"study.csv": cells_table(study), "study_measures.csv": measures_table(study)}.items():
        with replacing(folder / name) as draft:
            table.to_csv(draft, index=False)
    return folder / "study.html"


def markdown(study: Study) -> str:
    """Return the study as Markdown.

    Examples:
        >>> markdown(Study((), (), (), 3, False, True, 0, 0)).splitlines()[0]
        '# Which measure would have picked the right checkpoint'
    """
    count = len({name for item in study.judgements for results in item.results.values() for name in results})
    parts = [
        "# Which measure would have picked the right checkpoint",
        f"{count} candidates on {len(study.targets)} targets: {', '.join(study.targets)}.",
        "\n".join(f"- {line}" for line in cautions(study)),
    ]
    for item in study.judgements:
        parts += [f"## Fine-tuned by {item.truth.name}", "\n".join(f"- {line}" for line in sentences(item))]
        parts += [_table([list(MEASURES), *map(measure_cells, item.measures)])]
        parts += ["### Rules that look at no score", _table([list(RULES), *map(rule_cells, ordered(item.rules))])]
        parts += ["### Target by target", _table(target_cells(item))]
        if layer_cells(item):
            parts += ["### AC-Corr layer by layer", _table(layer_cells(item))]
        parts += ["### What fine-tuning gave (mean ± deviation over runs)", _table(result_cells(item))]
        parts += ["\n".join(f"- {name}: {reason}" for name, reason in item.reasons.items())]
    return "\n\n".join(part for part in [*parts, basis(study)] if part) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    return as_markdown(Table(tuple(head), tuple(map(tuple, body))))


def render(study: Study, name: str) -> str:
    """Return the page as text.

    Examples:
        >>> render.__name__
        'render'
    """
    pages = [
        {
            "name": item.truth.name,
            "anchor": f"way-{at}",
            "sentences": sentences(item),
            "measures": [list(MEASURES), *map(measure_cells, item.measures)],
            "rules": [list(RULES), *map(rule_cells, ordered(item.rules))],
            "targets": target_cells(item),
            "layers": layer_cells(item),
            "results": result_cells(item),
            "reasons": item.reasons,
            "order": Markup(with_prefix(study_figures.orders(item), f"order-{at}")),
            "lost": Markup(with_prefix(study_figures.regrets(item), f"lost-{at}")),
        }
        for at, item in enumerate(study.judgements, 1)
    ]
    return page("study.html", name=name, ways=pages, lines=cautions(study), basis=basis(study), targets=study.targets)
