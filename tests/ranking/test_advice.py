from __future__ import annotations

import pytest

from acnorm.ranking.advice import advice
from acnorm.ranking.result import Candidate, Score

CAVEAT = "In published comparisons no measure foretells the fine-tuned result reliably, so fine-tune the next one too if you can."
RANDOM = "No candidate is above random initialisation by knn: what they learnt may not serve these images. "


def scored(name: str, value: float | None, above: bool | None = True) -> Candidate:
    return Candidate(name, scores={"knn": Score(value, above_random=above)})


@pytest.mark.parametrize(
    ("candidates", "tied", "reason", "told"),
    [
        ([scored("a", 9), scored("b", 5)], ["a"], None, f"Fine-tune a: it is highest by knn. {CAVEAT}"),
        ([scored("a", 9), scored("b", 8), scored("c", 1)], ["a", "b"], None, "By knn we cannot tell a, b apart: fine-tune these and compare."),
        ([scored("a", 9)], ["a"], None, "One candidate: nothing to compare its score with."),
        ([scored("a", None)], [], None, "No candidate has a score of knn."),
        ([scored("a", 9), scored("b", 5)], [], "features of different sizes (8, 64)", "Scores of knn cannot be compared: features of different sizes (8, 64); name a measure first that can (acnorm measures)."),
        ([scored("a", 9, False), scored("b", 5, False)], ["a"], None, f"{RANDOM}Fine-tune a: it is highest by knn. {CAVEAT}"),
        ([scored("a", 9, False), scored("b", 5, None)], ["a"], None, f"Fine-tune a: it is highest by knn. {CAVEAT}"),
        ([scored("a", 9, False), scored("b", 5, True)], ["a"], None, f"Fine-tune a: it is highest by knn. {CAVEAT}"),
        ([scored("a", 9, False)], ["a"], None, f"{RANDOM}One candidate: nothing to compare its score with."),
    ],
    ids=["one ahead", "tied", "alone", "none", "incomparable", "as random", "random unknown", "one above random", "alone as random"],
)  # fmt: skip
def test_the_advice_says_what_the_scores_allow(candidates, tied, reason, told):
    assert advice(candidates, tied, "knn", reason) == told
