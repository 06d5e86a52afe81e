"""Random features of classes that lie apart, the same for the same seed."""

from __future__ import annotations

import numpy as np


def drawn(cases: int, size: int, classes: int, *, signal: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features [case, feature] with spreads that differ, and labels; every class has a case or more."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(cases) % classes)
    features = draw.normal(size=(cases, size)) * draw.uniform(0.2, 2.0, size) + draw.normal(size=size)
    return features + signal * draw.normal(size=(classes, size))[labels], labels
