"""Runs as vectors: in affine space, and in the space of features of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from acnorm.core.correlation import affine_ratio
from acnorm.data.case import Case
from acnorm.errors import UserError
from acnorm.inspecting.folders import InspectedRun, affine_after
from acnorm.inspecting.networks import features, prepared
from acnorm.inspecting.separability import MOST, TooFew, separability, standardised

Vectors = Float[NDArray[np.float64], "run feature"]
SPACES = {
    "ratio": "affine ratios β / |γ|",
    "affine": "affine γ and β",
    "features": "features of the same images",
    "own_features": "features of each run's own images",
}
STATISTICS = ("neighbour", "centroid", "between")


def vectors_of(
    runs: Sequence[InspectedRun], cases: Mapping[str, tuple[Case, ...] | None]
) -> tuple[dict[str, Vectors], list[str]]:
    """Return a vector of each run in each space, and why a space is left out.

    Args:
        runs: finished ones.
        cases: images of each data set, none or None where they cannot be had; every network sees those of all.

    Examples:
        >>> vectors_of.__name__
        'vectors_of'
    """
    found: dict[str, Vectors] = {}
    missing: list[str] = []
    makers: dict[str, Callable[[], list[NDArray[np.float64]]]] = {
        "ratio": lambda: [_ratios(run) for run in runs],
        "affine": lambda: [_affine(run) for run in runs],
        **_of_features(runs, cases),
    }
    for space, make in makers.items():
        try:
            vectors = make()
        except UserError as error:
            missing.append(f"{_begun(SPACES[space])} are left out: {str(error).rstrip('.')}.")
            continue
        if len({len(vector) for vector in vectors}) > 1:
            missing.append(f"{_begun(SPACES[space])} are left out: the runs' networks differ in size.")
        elif len(vectors[0]):
            found[space] = np.stack(vectors)
    return found, missing


def _begun(words: str) -> str:
    return words[0].upper() + words[1:]


def _ratios(run: InspectedRun) -> NDArray[np.float64]:
    ratios = [affine_ratio(weight, bias, eps=run.eps) for weight, bias in affine_after(run).values()]
    return torch.cat([torch.empty(0), *ratios]).double().numpy()


def _affine(run: InspectedRun) -> NDArray[np.float64]:
    values = [value for affine in affine_after(run).values() for value in affine]
    return torch.cat([torch.empty(0), *values]).double().numpy()


def _of_features(
    runs: Sequence[InspectedRun], cases: Mapping[str, tuple[Case, ...] | None]
) -> dict[str, Callable[[], list[NDArray[np.float64]]]]:
    @cache
    def images(data: str, preprocessing: Any) -> Tensor:
        known = cases[data]
        if not known:
            raise UserError(f"{data} has no images with classes that can be looked at")
        return prepared(known, preprocessing)

    def same(run: InspectedRun) -> NDArray[np.float64]:
        seen = torch.cat([images(data, run.shipped.preprocessing) for data in cases])
        return features(run.network, seen)

    def own(run: InspectedRun) -> NDArray[np.float64]:
        return features(run.network, images(run.data, run.shipped.preprocessing))

    return {
        "features": lambda: [same(run) for run in runs],
        "own_features": lambda: [own(run) for run in runs],
    }


def scores_of(
    vectors: Mapping[str, Vectors], runs: Sequence[InspectedRun], *, most: int = MOST
) -> tuple[pd.DataFrame, list[str]]:
    """Return how separable the domains are in each space, for the runs of each method, and why it cannot be said.

    Examples:
        >>> scores_of.__name__
        'scores_of'
    """
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    for method in dict.fromkeys(run.config.method for run in runs) if vectors else ():
        chosen = [at for at, run in enumerate(runs) if run.config.method == method]
        domains = [runs[at].domain for at in chosen]
        for space, values in vectors.items():
            try:
                found = separability(values[chosen], domains, most=most)
            except TooFew as reason:
                missing.append(f"The domains of the runs with {method} are not told apart: {reason}.")
                continue
            about = {"method": method, "space": space, "runs": len(chosen), "domains": len(set(domains))}
            count = {"dimensions": found.dimensions, "arrangements": found.arrangements, "exact": found.exact}
            for name in STATISTICS:
                score = {"statistic": name, **vars(getattr(found, name)), "smallest_p": found.smallest_p}
                rows.append({**about, **score, **count})
    return pd.DataFrame(rows), missing


def places_of(vectors: Mapping[str, Vectors], runs: Sequence[InspectedRun]) -> pd.DataFrame:
    """Return the first two principal components of the runs in each space, with the share of variance they hold.

    Coordinates are first brought to mean 0 and deviation 1, as for ``separability``.

    Examples:
        >>> places_of({}, []).empty
        True
    """
    parts = []
    for space, values in vectors.items():
        try:
            scaled = standardised(values)
        except TooFew:
            continue
        if min(scaled.shape) < 2:
            continue
        pca = PCA(2, svd_solver="full").fit(scaled)
        places = pca.transform(scaled)
        about = [{"space": space, "run": run.name, "domain": run.domain, "method": run.config.method} for run in runs]
        shares = dict(zip(("x_share", "y_share"), pca.explained_variance_ratio_, strict=True))
        parts.append(pd.DataFrame(about).assign(x=places[:, 0], y=places[:, 1], **shares))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
