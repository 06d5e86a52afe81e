"""Signs that features are of use, and that they have collapsed, without training anything."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 5
COLLAPSED = 0.005  # of random weights it is 0.02 to 0.1 on real images
FEWEST = 5  # cases of which a spread says something


def neighbours_accuracy(
    features: Float[Tensor, "case feature"], labels: Int[Tensor, " case"], neighbours: int = NEIGHBOURS
) -> float:
    """Return the share of cases whose label most of the nearest others have, by cosine similarity (leave one out).

    Of labels that equally many neighbours have, the one of the smallest number is taken.

    Examples:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> neighbours_accuracy(features, torch.tensor([0, 0, 1, 1]), neighbours=1)
        1.0
    """
    unit = functional.normalize(features.double(), dim=1)
    alike = unit @ unit.T
    alike.fill_diagonal_(-torch.inf)
    nearest = alike.topk(min(neighbours, len(labels) - 1), dim=1).indices
    votes = functional.one_hot(labels[nearest], int(labels.max()) + 1).sum(dim=1)
    return float((votes.argmax(dim=1) == labels).double().mean())


def feature_spread(features: Float[Tensor, "case feature"]) -> float:
    """Return how far the features of cases point in different directions: 0 where all are alike, at most 1; NaN of few.

    The square root of the summed variance of features of length 1, √(1 − |mean|²); a collapsed encoder gives about 0
    (Chen and He, CVPR 2021, look at the same deviation).

    Examples:
        >>> round(feature_spread(torch.ones(5, 8)), 3), round(feature_spread(torch.eye(5)), 3)
        (0.0, 0.894)
    """
    if len(features) < FEWEST:
        return math.nan
    unit = functional.normalize(features.double(), dim=1)
    return float((1 - unit.mean(dim=0).square().sum()).clamp_min(0).sqrt())
