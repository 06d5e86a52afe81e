"""N-LEEP: LEEP with clusters of the features in the place of source classes (Li et al., CVPR 2021)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from acnorm.ranking.inputs import NotDefined, canonical_order, checked, principal
from acnorm.ranking.leep import leep

ENERGY = 0.8
CLUSTERS = 5  # a class
LEAST_CASES = 2  # a cluster
SEEDS = 3


def n_leep(features: NDArray[Any], labels: NDArray[Any], *, seeds: int = SEEDS) -> float:
    """Return the mean over seeds of LEEP on the responsibilities of a Gaussian mixture; 0 is the best.

    The mixture has five clusters a class (fewer where a cluster would have less than two cases) and is fitted to the
    principal axes that hold 80 % of the variance. Clusters are spherical, because with a few hundred cases full
    covariances are singular; the logarithm is the paper's, which one public implementation leaves out.

    Args:
        features: [case, feature].
        labels: the class of each case.
        seeds: mixtures from so many starts, whatever the order of the cases.

    Raises:
        NotDefined: fewer than four cases, or as ``checked``.

    Examples:
        >>> features = np.repeat(np.array([[0.0, 1.0], [9.0, 1.0]]), 10, axis=0) + np.arange(40).reshape(20, 2) % 7 / 9
        >>> n_leep(features, np.repeat([0, 1], 10)) > -1e-6
        True
    """
    cases = checked(features, labels)
    clusters = min(CLUSTERS * cases.classes, len(cases.features) // LEAST_CASES)
    if clusters < 2:
        raise NotDefined("there are fewer than four cases")
    order = canonical_order(cases.features, cases.labels)
    axes, sorted_labels = principal(cases.features[order]), cases.labels[order]
    energy = np.cumsum((axes**2).sum(axis=0))
    axes = axes[:, : int(np.searchsorted(energy, ENERGY * energy[-1])) + 1]
    axes = axes / np.sqrt((axes**2).mean())
    return float(np.mean([leep(_responsibilities(axes, clusters, seed), sorted_labels) for seed in range(seeds)]))


def _responsibilities(axes: NDArray[np.float64], clusters: int, seed: int) -> NDArray[np.float64]:
    mixture = GaussianMixture(clusters, covariance_type="spherical", reg_covar=1e-5, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal cases, and mixtures that have not settled after 100 steps
        return np.asarray(mixture.fit(axes).predict_proba(axes))
