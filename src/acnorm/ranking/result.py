"""What ``rank`` returns: candidates with their scores, and what these allow to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

RANDOM = "random initialisation"


@dataclass(frozen=True)
class Score:
    """One measure of one candidate, or the reason why there is none.

    low, high: 95 % interval over patients; for measures of the network itself two standard deviations over probe seeds
    either way. place: 1 for the highest of the candidates; None where scores cannot be compared. tied: whether it
    cannot be told from the highest. above_random: whether it is higher than that of random initialisation by more than
    chance; None where that has none. seconds: what the measure took, the pass over the data not counted.

    Examples:
        >>> Score(0.8, 0.7, 0.9, place=1).value
        0.8
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    place: int | None = None
    tied: bool = False
    above_random: bool | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """One candidate's scores; AC-Corr's also as a mean over probe seeds with its standard deviation, in both forms.

    loaded: share of the network's parameters outside the head that came from the file. refused: why it has no AC-Corr.
    model: its network. size: of its features. scores: by measure. cached: whether its features came from the cache.
    """

    weights: str
    paper: float | None = None
    paper_deviation: float | None = None
    per_channel: float | None = None
    per_channel_deviation: float | None = None
    seconds: float = 0.0
    loaded: float = 1.0
    refused: str | None = None
    model: str = ""
    size: int | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    cached: bool = False


@dataclass(frozen=True)
class Ranking:
    """Candidates by the measure that decides, highest first; those without a score last.

    protocol: the probe in words. tied: candidates that cannot be told from the first, its own weights included.
    by: the measure that decides. baselines: each network with random weights, which takes no place. incomparable: by
    measure, why its scores have no places. agreement: Kendall's τ of pairs of measures over the candidates. cases,
    patients: that were measured; patients is None where they are unknown. advice: what to do, in plain words. sample:
    of label maps, the voxels whose features were scored, in words. warnings: what a user should know of the data, such
    as the cases that were left out, a line each.
    """

    candidates: tuple[Candidate, ...]
    protocol: str
    tied: tuple[str, ...]
    by: str = "ac-corr"
    baselines: tuple[Candidate, ...] = ()
    incomparable: Mapping[str, str] = field(default_factory=dict)
    agreement: Mapping[tuple[str, str], float] = field(default_factory=dict)
    cases: int = 0
    patients: int | None = None
    advice: str = ""
    sample: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures in their order, the one that decides first."""
        return tuple(dict.fromkeys(name for item in (*self.candidates, *self.baselines) for name in item.scores))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        pairs = [{"measures": list(pair), "tau": tau} for pair, tau in self.agreement.items()]
        return asdict(self) | {"agreement": pairs}

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a candidate and measure, for a CSV file.

        Examples:
            >>> score = Score(0.8, 0.7, 0.9, place=1)
            >>> Ranking((Candidate("a.pth", scores={"knn": score}),), "", ("a.pth",)).rows()[0]["measure"]
            'knn'
        """
        return [
            {"weights": item.weights, "model": item.model, "features": item.size, "measure": name, **asdict(score)}
            for item in (*self.candidates, *self.baselines)
            for name, score in item.scores.items()
        ]
