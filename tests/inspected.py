"""An inspection with invented numbers, in the form that ``inspect_runs`` gives."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from acnorm.inspecting.inspection import Inspection
from acnorm.inspecting.spaces import SPACES, STATISTICS

LAYERS = ("bn1", "layer1.0.bn1", "layer1.0.bn2")
EMPTY = pd.DataFrame()


def inspection(layers: tuple[str, ...] = LAYERS, domains: tuple[str, ...] = ("eyes", "lungs")) -> Inspection:
    """Two seeds of two methods in each domain."""
    draw = np.random.default_rng(0)
    about = [
        {"run": f"{domain}-{method}-{seed}", "domain": domain, "method": method, "seed": seed}
        for domain, method, seed in itertools.product(domains, ("vanilla", "acnorm"), (0, 1))
    ]
    size = {"channels": 8}
    moved = [
        {
            **run,
            "layer": layer,
            **size,
            "epoch": epoch,
            "ratio": epoch / 5,
            "ratio_median": epoch * draw.uniform(),
            "weight": 0.1,
            "bias": 0.2,
        }
        for run, layer, epoch in itertools.product(about, layers, range(4))
    ]
    shares = ("best_is_own", "matched_is_own", "own", "matched", "percentile")
    aligned = [
        {
            **run,
            "layer": layer,
            **size,
            **dict(zip(shares, draw.uniform(size=5), strict=True)),
            "silent": 0,
            "borrowing": 5,
        }
        for run, layer in itertools.product(about, layers)
    ]
    partners = {"borrowing": 12, "percentile": 0.47, "hit": 0.1, "hit_chance": 0.12, "p": 0.04}
    whole = {"source": "12fca82f0beb", "recorded": 3, "ratio": 0.6, "ratio_median": 0.3, "weight": 0.1, "bias": 0.2}
    whole |= {"best_is_own": 0.5, "matched_is_own": 0.55, "own": 0.4, "matched": 0.45, **partners}
    scored = {"runs": 4, "domains": 2, "value": 0.75, "chance": 0.3, "p": 0.333, "smallest_p": 0.333, "dimensions": 48}
    scores = [
        {"method": method, "space": space, **scored, "statistic": name, "arrangements": 6, "exact": True}
        for method, space, name in itertools.product(("vanilla", "acnorm"), SPACES, STATISTICS)
    ]
    places = [
        {"space": space, **run, "x": draw.normal(), "y": draw.normal(), "x_share": 0.6, "y_share": 0.2}
        for space, run in itertools.product(SPACES, about)
    ]
    difference = {"domain": "eyes", "quantity": "matched", "pairs": 2, "difference": -0.031, "low": -0.2, "high": 0.138}
    return Inspection(
        runs=pd.DataFrame([{**run, **whole} for run in about]),
        movement=pd.DataFrame(moved),
        separability=pd.DataFrame(scores),
        places=pd.DataFrame(places),
        alignment=pd.DataFrame(aligned),
        partners=pd.DataFrame([{**run, **partners} for run in about]),
        differences=pd.DataFrame([difference]),
        missing=("eyes-vanilla-0: something <b>is</b> missing.",),
    )


def bare() -> Inspection:
    """Of one run of which next to nothing is known."""
    run = {"run": "only", "domain": "eyes", "method": "vanilla", "seed": 0, "source": "", "recorded": 0}
    return Inspection(pd.DataFrame([run]), EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, ("only: nothing is known.",))
