"""What a ranking allows to say, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from acnorm.ranking.result import Candidate


def advice(candidates: Sequence[Candidate], tied: Sequence[str], by: str, reason: str | None = None) -> str:
    """Return the advice that follows from the measure that decides.

    Args:
        candidates: the highest first.
        tied: those that cannot be told from the first.
        by: the measure that decides.
        reason: why its scores cannot be compared.

    Examples:
        >>> from acnorm.ranking.result import Score
        >>> advice([Candidate("a.pth", scores={"knn": Score(0.8, place=1)})], ["a.pth"], "knn")
        'One candidate: nothing to compare its score with.'
    """
    scored = [item for item in candidates if _score(item, by) is not None]
    if not scored:
        return f"No candidate has a score of {by}."
    if reason is not None:
        return f"Scores of {by} cannot be compared: {reason}; name a measure first that can (acnorm measures)."
    said = _against_random(scored, by)
    if len(candidates) == 1:
        return said + "One candidate: nothing to compare its score with."
    if len(tied) > 1:
        return f"{said}By {by} we cannot tell {', '.join(tied)} apart: fine-tune these and compare."
    return (
        f"{said}Fine-tune {tied[0]}: it is highest by {by}. In published comparisons no measure foretells the "
        "fine-tuned result reliably, so fine-tune the next one too if you can."
    )


def _against_random(scored: Sequence[Candidate], by: str) -> str:
    above = [item.scores[by].above_random for item in scored]
    if any(found is None or found for found in above):
        return ""
    return f"No candidate is above random initialisation by {by}: what they learnt may not serve these images. "


def _score(candidate: Candidate, by: str) -> float | None:
    return candidate.scores[by].value if by in candidate.scores else None
