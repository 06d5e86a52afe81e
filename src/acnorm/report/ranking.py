"""The page of a ranking: scores with intervals, places, agreement, cost, and scores against what fine-tuning gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from acnorm.bench.found_results import Results
from acnorm.bench.judging import judged
from acnorm.data.atomic import replacing
from acnorm.ranking.result import Ranking
from acnorm.ranking.tables import notes, places, scores
from acnorm.report import ranking_figures
from acnorm.report.drawing import with_prefix
from acnorm.report.page import page

JUDGED = ("measure", "scored", "weighted τ", "Spearman", "regret", "picked the best")


def write_ranking(file: Path, ranking: Ranking, results: Sequence[Results] = ()) -> Path:
    """Write the page of a ranking as one file that loads nothing, and return it.

    Args:
        file: of the page.
        ranking: what ``rank`` returned.
        results: what fine-tuning gave for its candidates, where that is known.

    Raises:
        UserError: the file cannot be written.

    Examples:
        >>> write_ranking.__name__
        'write_ranking'
    """
    with replacing(file) as draft:
        draft.write_text(render(ranking, results), encoding="utf-8")
    return file


def render(ranking: Ranking, results: Sequence[Results] = ()) -> str:
    """Return the page as text.

    Examples:
        >>> from acnorm.ranking.result import Candidate, Score
        >>> candidate = Candidate("a.pth", scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> "<h1>Which checkpoint to fine-tune</h1>" in render(Ranking((candidate,), "", ("a.pth",), by="knn"))
        True
    """
    known = [_against(ranking, item, at) for at, item in enumerate(results, 1)]
    return page(
        "ranking.html",
        name="Which checkpoint to fine-tune",
        ranking=ranking,
        places=places(ranking),
        scores=scores(ranking),
        notes=notes(ranking),
        intervals=Markup(with_prefix(ranking_figures.intervals(ranking), "intervals")),
        agreement=agreement_cells(ranking),
        cost=cost_cells(ranking),
        known=known,
    )


def _against(ranking: Ranking, results: Results, at: int) -> dict[str, object]:
    svg = ranking_figures.against(ranking, results)
    return {
        "name": results.name,
        "metric": results.metric,
        "rows": judged_cells(ranking, results),
        "picture": Markup(with_prefix(svg, f"against-{at}")),
    }


def judged_cells(ranking: Ranking, results: Results) -> list[list[str]]:
    """Return a table of how well each measure foretold the results, with its head.

    Examples:
        >>> from acnorm.ranking.result import Candidate, Score
        >>> found = [Candidate(name, scores={"knn": Score(value)}) for name, value in (("a", 1.0), ("b", 0.5))]
        >>> judged_cells(Ranking(tuple(found), "", ("a",)), Results("vanilla", "dice", {"a": 0.75, "b": 0.5}))[1]
        ['knn', '2 of 2', '–', '–', '0.000', 'yes']
    """
    rows = [list(JUDGED)]
    for name in ranking.measures:
        given = {item.weights: item.scores[name].value for item in ranking.candidates}
        if name in ranking.incomparable:
            given = dict.fromkeys(given)
        one = judged(results.better, given)
        figures = [_plain(one.tau, "+.3f"), _plain(one.spearman, "+.3f"), _plain(one.regret, ".3f")]
        hit = "–" if one.hit != one.hit else "yes" if one.hit == 1 else "no" if one.hit == 0 else "among others"
        rows.append([name, f"{one.scored} of {one.candidates}", *figures, hit])
    return rows


def agreement_cells(ranking: Ranking) -> list[list[str]]:
    """Return a table of Kendall's τ of all pairs of measures, with its head; empty where no pair has one.

    Examples:
        >>> agreement_cells(Ranking((), "", (), agreement={("knn", "leep"): -1.0}))
        [['', 'knn', 'leep'], ['knn', '', '-1.00'], ['leep', '-1.00', '']]
    """
    names = list(dict.fromkeys(name for pair in ranking.agreement for name in pair))
    both = {**ranking.agreement, **{(two, one): tau for (one, two), tau in ranking.agreement.items()}}
    if not names:
        return []
    return [["", *names], *([one, *(_pair(both.get((one, two))) for two in names)] for one in names)]


def _pair(tau: float | None) -> str:
    return "" if tau is None else f"{tau:.2f}"


def cost_cells(ranking: Ranking) -> list[list[str]]:
    """Return a table of seconds, a row a candidate, a column a measure, with its head.

    Examples:
        >>> from acnorm.ranking.result import Candidate, Score
        >>> cost_cells(Ranking((Candidate("a", seconds=2.0, scores={"knn": Score(1.0, seconds=0.5)}),), "", ()))
        [['candidate', 'whole', 'features', 'knn'], ['a', '2.0', 'computed', '0.50']]
    """
    rows = [["candidate", "whole", "features", *ranking.measures]]
    for item in (*ranking.candidates, *ranking.baselines):
        seconds = [f"{item.scores[name].seconds:.2f}" for name in ranking.measures]
        rows.append([item.weights, f"{item.seconds:.1f}", "kept" if item.cached else "computed", *seconds])
    return rows


def _plain(value: float, form: str) -> str:
    return "–" if value != value else f"{value:{form}}"
