"""Rankings with invented numbers."""

from __future__ import annotations

from acnorm.ranking.agreement import agreement
from acnorm.ranking.result import RANDOM, Candidate, Ranking, Score

VALUES = {"knn": (0.9, 0.8, 0.7), "leep": (-0.5, None, -0.25), "gbc": (1.0, 2.0, 3.0)}


def invented() -> Ranking:
    """Three candidates by three measures, of which gbc cannot be compared and b has no LEEP."""
    candidates = tuple(
        Candidate(
            f"zoo/{name}.pth",
            seconds=2.0 + at,
            size=64,
            model="net",
            cached=at == 1,
            scores={key: _score(values[at], at, key) for key, values in VALUES.items()},
        )
        for at, name in enumerate("abc")
    )
    fresh = {"knn": Score(0.55, 0.5, 0.6), "leep": Score(reason="no head"), "gbc": Score(0.5)}
    columns = {name: [item.scores[name].value for item in candidates] for name in ("knn", "gbc")}
    return Ranking(
        candidates,
        "one optimiser step",
        tied=("zoo/a.pth", "zoo/b.pth"),
        by="knn",
        baselines=(Candidate(RANDOM, loaded=0.0, size=64, model="net", scores=fresh),),
        incomparable={"gbc": "features of different sizes (32, 64)"},
        agreement=agreement(columns),
        cases=120,
        patients=60,
        advice="By knn we cannot tell zoo/a.pth, zoo/b.pth apart: fine-tune these and compare.",
    )


def _score(value: float | None, at: int, key: str) -> Score:
    if value is None:
        return Score(reason="no head of its own")
    return Score(value, value - 0.1, value + 0.1, place=None if key == "gbc" else at + 1, tied=at < 2, seconds=0.25)
