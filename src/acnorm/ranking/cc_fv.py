"""CC-FV: are the voxels of a class alike from case to case, while the cases as wholes stay different?

Class consistency with feature variety (Yang et al., MICCAI 2023, arXiv 2307.11958), for segmentation. At each stage of
the network, C is the mean 2-Wasserstein distance between the voxel features of one class in two cases, each taken as a
Gaussian, over pairs of cases and classes without the background. F is the inverse of the hyperspherical energy of the
cases' mean features. The score is Σ log(F / C) over the stages.

Differs from the authors' code: its variety is the energy itself, which is high where cases are alike, here its inverse,
as the paper words it; its distance adds up shares of itself from class to class, here it is a plain mean; the trace of
the cross term comes from symmetric eigenvalues, which are real, in the place of the root of a product of matrices;
covariances are shrunk (Ledoit and Wolf), since some dozen voxels give a singular one; features are first brought to a
mean squared length of 1, without which their scale alone would move the score; and a class that a case lacks counts
over the cases that hold it. The stages are the encoder's: the decoder is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from acnorm.ranking.h_score import ledoit_wolf
from acnorm.ranking.inputs import NotDefined, finite_features

_CLOSEST = 1e-6  # between directions: nearer than single precision can tell


@dataclass(frozen=True)
class Gaussian:
    """Mean, covariance, and the symmetric root of the covariance.

    Examples:
        >>> Gaussian.of(np.array([[0.0], [2.0]])).covariance.tolist()
        [[1.0]]
    """

    mean: Float[NDArray[np.float64], " feature"]
    covariance: Float[NDArray[np.float64], "feature feature"]
    root: Float[NDArray[np.float64], "feature feature"]

    @classmethod
    def of(cls, features: Float[NDArray[np.float64], "voxel feature"]) -> Gaussian:
        """Fit one to voxels, the covariance shrunk towards a multiple of the identity."""
        mean = features.mean(axis=0)
        centred, size = features - mean, features.shape[1]
        axes = np.linalg.svd(centred, full_matrices=False)
        shrinkage = ledoit_wolf(axes[0] * axes[1], size)
        covariance = centred.T @ centred / len(features)
        covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
        return cls.with_covariance(mean, covariance)

    @classmethod
    def with_covariance(
        cls, mean: Float[NDArray[np.float64], " feature"], covariance: Float[NDArray[np.float64], "feature feature"]
    ) -> Gaussian:
        """The one with this covariance, which is symmetric and has no negative eigenvalue."""
        squares, vectors = np.linalg.eigh(covariance)
        return cls(mean, covariance, (vectors * np.sqrt(squares.clip(0))) @ vectors.T)


def wasserstein(one: Gaussian, other: Gaussian) -> float:
    """Return the 2-Wasserstein distance between two Gaussians, in its closed form.

    W² = ‖m₁ − m₂‖² + tr(S₁ + S₂ − 2 (S₁^½ S₂ S₁^½)^½); the trace of the last term is the sum of the roots of the
    eigenvalues of a symmetric matrix.

    Examples:
        >>> narrow, wide = (Gaussian.with_covariance(np.zeros(2), scale * np.eye(2)) for scale in (1.0, 4.0))
        >>> round(wasserstein(narrow, wide), 6)
        1.414214
    """
    return float(_distances(one, [other])[0])


def _distances(one: Gaussian, others: Sequence[Gaussian]) -> Float[NDArray[np.float64], " other"]:
    """From one to several, whose eigenvalues are found in one call."""
    covariances = np.stack([other.covariance for other in others])
    products = one.root @ covariances @ one.root
    common = np.sqrt(np.linalg.eigvalsh((products + products.swapaxes(1, 2)) / 2).clip(0)).sum(axis=1)
    spread = np.trace(one.covariance) + np.trace(covariances, axis1=1, axis2=2) - 2 * common
    apart = ((np.stack([other.mean for other in others]) - one.mean) ** 2).sum(axis=1)
    return np.asarray(np.sqrt(apart + spread.clip(0)))


def class_consistency(
    features: Float[NDArray[np.float64], "voxel feature"], labels: NDArray[Any], cases: NDArray[Any]
) -> float:
    """Return the mean distance between cases of each class but 0, the background; the lower, the more consistent.

    Args:
        features: of each voxel.
        labels: the class of each voxel.
        cases: the case of each voxel, by any names.

    Raises:
        NotDefined: no foreground, or a class that fewer than two cases hold by two voxels or more.

    Examples:
        >>> features = np.array([[0.0], [2.0], [3.0], [5.0]])
        >>> class_consistency(features, np.array([1, 1, 1, 1]), np.array(["a", "a", "b", "b"]))
        3.0
    """
    distances = []
    for label in np.unique(labels[labels != 0]):
        found = [features[(labels == label) & (cases == case)] for case in np.unique(cases[labels == label])]
        gaussians = [Gaussian.of(voxels) for voxels in found if len(voxels) > 1]
        if len(gaussians) < 2:
            raise NotDefined("a class is in fewer than two cases")
        pairs = [_distances(one, gaussians[at:]) for at, one in enumerate(gaussians[:-1], start=1)]
        distances.append(np.concatenate(pairs).mean())
    if not distances:
        raise NotDefined("no voxel is of a class other than the background")
    return float(np.mean(distances))


def feature_variety(features: Float[NDArray[np.float64], "voxel feature"], cases: NDArray[Any]) -> float:
    """Return the inverse of the hyperspherical energy of the cases' mean features; the higher, the more varied.

    The energy is the mean of 1 / distance over pairs of means on the unit sphere, so that the number of cases does not
    matter (Liu et al., NeurIPS 2018, with s = 1).

    Args:
        features: of each voxel.
        cases: the case of each voxel, by any names.

    Raises:
        NotDefined: fewer than two cases, or one whose mean has no direction.

    Examples:
        >>> round(feature_variety(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array(["a", "b"])), 6)
        1.414214
    """
    means = np.stack([features[cases == case].mean(axis=0) for case in np.unique(cases)])
    lengths = np.linalg.norm(means, axis=1)
    if len(means) < 2:
        raise NotDefined("there is one case only")
    if not lengths.all():
        raise NotDefined("a case has mean features of zero")
    return float(1 / (1 / pdist(means / lengths[:, None]).clip(min=_CLOSEST)).mean())


def cc_fv(
    features: NDArray[Any], labels: NDArray[Any], cases: Sequence[str], *, widths: Sequence[int] | None = None
) -> float:
    """Return Σ log(F / C) over stages; the higher, the better.

    Args:
        features: [voxel, feature], the features of several stages side by side.
        labels: the class of each voxel; 0 is the background.
        cases: the case of each voxel.
        widths: number of features of each stage; one stage where not given.

    Raises:
        NotDefined: features that are not finite or the same for all voxels, or as ``class_consistency`` and
            ``feature_variety``.

    Examples:
        >>> labels, cases = np.array([0, 0, 1, 1] * 2), ["a"] * 4 + ["b"] * 4
        >>> case = np.array([[9.0, 0.0], [8.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> alike, apart = (np.concatenate([case, case + [[5, 5], [5, 5], move, move]]) for move in ([1, 0], [9, 0]))
        >>> cc_fv(alike, labels, cases) > cc_fv(apart, labels, cases)
        True
    """
    numbers = finite_features(features, len(labels))
    widths = [numbers.shape[1]] if widths is None else widths
    stages = np.split(numbers, np.cumsum(widths)[:-1], axis=1)
    members = np.unique(np.asarray(cases, dtype=str), return_inverse=True)[1]
    return sum(_of_stage(stage, np.asarray(labels), members) for stage in stages)


def _of_stage(features: NDArray[np.float64], labels: NDArray[Any], cases: NDArray[Any]) -> float:
    features = finite_features(features, len(labels))
    features = features / np.sqrt((features**2).sum(axis=1).mean())
    distance = class_consistency(features, labels, cases)
    if distance == 0:
        raise NotDefined("all cases have the same features in each class")
    return float(np.log(feature_variety(features, cases) / distance))
