"""NCE: what is left unknown of the target's class once the source's answer is known (Tran et al., ICCV 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.ranking.leep import checked_source


def nce(source: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return −H(Y | Z) in nats, with Z the source's most probable class; 0 is the best.

    The entropy is that of the counts, without the small numbers that public code adds inside the logarithm (1e-20) or
    to the joint probabilities (1e-5): an empty cell adds nothing. Few cases and many source classes make it look better
    than it is.

    Args:
        source: probabilities of the source's classes [case, source class].
        labels: the class of each case.

    Raises:
        ValueError: as ``leep``.
        NotDefined: as ``leep``.

    Examples:
        >>> round(nce(np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8]]), np.array([0, 1, 1, 1])), 4)  # ½ log ½
        -0.3466
    """
    probabilities, truth = checked_source(source, labels)
    answers = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    joint = answers.T @ truth / len(truth)  # [source class, class]
    share = np.divide(joint, joint.sum(axis=1, keepdims=True), out=np.ones_like(joint), where=joint > 0)
    return float((joint * np.log(share)).sum() + 0.0)
