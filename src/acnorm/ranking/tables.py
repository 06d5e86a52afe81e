"""A ranking as rows of texts, and what must be said beside them."""

from __future__ import annotations

from acnorm.ranking.result import Ranking


def places(ranking: Ranking) -> list[list[str]]:
    """Return a row a candidate: what loaded, and its place by each measure ("=": cannot be told from the first).

    Examples:
        >>> from acnorm.ranking.result import Candidate, Score
        >>> candidate = Candidate("a.pth", seconds=1.0, size=64, scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> ranking = Ranking((candidate,), "one optimiser step", tied=("a.pth",), by="knn", cases=9)
        >>> places(ranking)[1]
        ['a.pth', '100 %', '64', '1', '1.0 s']
    """
    everyone = (*ranking.candidates, *ranking.baselines)
    several = len({item.model for item in everyone}) > 1
    rows = [["candidate", *(["model"] if several else []), "loaded", "features", *ranking.measures, "time"]]
    for item in everyone:
        places = []
        for name in ranking.measures:
            score = item.scores[name]
            alike = sum(other.scores[name].tied for other in ranking.candidates) > 1
            none = "" if item in ranking.baselines else ("none" if score.value is None else "-")
            places.append(none if score.place is None else f"{score.place}{'=' * (score.tied and alike)}")
        size = "" if item.size is None else str(item.size)
        models = [item.model] if several else []
        rows.append([item.weights, *models, f"{100 * item.loaded:.0f} %", size, *places, f"{item.seconds:.1f} s"])
    return rows


def scores(ranking: Ranking) -> list[list[str]]:
    """Return a row a measure and candidate.

    Examples:
        >>> from acnorm.ranking.result import Candidate, Score
        >>> candidate = Candidate("a.pth", seconds=1.0, size=64, scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> ranking = Ranking((candidate,), "one optimiser step", tied=("a.pth",), by="knn", cases=9)
        >>> scores(ranking)[1]
        ['knn', 'a.pth', '0.800', '0.700 to 0.900']
    """
    rows = [["measure", "candidate", "score", "95 % interval"]]
    for name in ranking.measures:
        for item in (*ranking.candidates, *ranking.baselines):
            score = item.scores[name]
            label = f"{item.weights}, {item.model}" if item in ranking.baselines else item.weights
            if score.value is None:
                rows.append([name, label, "none", ""])
                continue
            interval = "" if score.low is None else f"{number(score.low)} to {number(score.high)}"
            rows.append([name, label, number(score.value), interval])
            if name == "ac-corr" and item.per_channel is not None:
                rows[-1][2] += f" ({item.per_channel:.4f} a channel)"
    return rows


def notes(ranking: Ranking) -> list[str]:
    """Return what the tables are made of, and why some scores are missing.

    Examples:
        >>> from acnorm.ranking.result import Candidate, Score
        >>> candidate = Candidate("a.pth", seconds=1.0, size=64, scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> ranking = Ranking((candidate,), "one optimiser step", tied=("a.pth",), by="knn", cases=9)
        >>> notes(ranking)
        ['Places: 1 is the highest; = cannot be told from it. Measured on 9 training cases, patients unknown.']
    """
    who = "cases, patients unknown" if ranking.patients is None else f"cases of {ranking.patients} patients"
    notes = [f"Places: 1 is the highest; = cannot be told from it. Measured on {ranking.cases} training {who}."]
    by_seed = [name for name in ranking.measures if name in ("ac-corr", "affine-drift", "gradient-ratio")]
    if ranking.sample:
        notes.append(f"Features: {ranking.sample}.")
    if set(by_seed) - {"gradient-ratio"}:
        notes.append(f"Probe: {ranking.protocol}.")
    if by_seed:
        notes.append(f"Intervals of {', '.join(by_seed)} are two standard deviations over probe seeds.")
    for name, reason in ranking.incomparable.items():
        notes.append(f"{name}: no places, its scores cannot be compared over {reason}")
    notes += _reasons(ranking)
    taus = {(set(pair) - {ranking.by}).pop(): tau for pair, tau in ranking.agreement.items() if ranking.by in pair}
    if taus:
        told = ", ".join(f"{name} {tau:.2f}" for name, tau in taus.items())
        notes.append(f"Agreement with {ranking.by} on the order of candidates (Kendall's τ): {told}")
    return [*notes, *(f"Data: {warning}" for warning in ranking.warnings)]


def _reasons(ranking: Ranking) -> list[str]:
    """Why some have no score, each reason once and to the end of its first sentence."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name in ranking.measures:
        for item in (*ranking.candidates, *ranking.baselines):
            reason = item.scores[name].reason
            if reason is not None:
                measures, candidates = found.setdefault(reason.partition(". ")[0], ([], []))
                measures.append(name)
                candidates.append(item.weights)
    return [
        f"{', '.join(dict.fromkeys(measures))}: none for {', '.join(dict.fromkeys(candidates))}: {reason}"
        for reason, (measures, candidates) in found.items()
    ]


def number(value: float | None) -> str:
    """Return a score as it is written.

    Examples:
        >>> number(0.5), number(0.0004), number(None)
        ('0.500', '4.0e-04', '')
    """
    if value is None:
        return ""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.1e}"
