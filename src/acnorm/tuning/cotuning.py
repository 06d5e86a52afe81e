"""Co-Tuning (You et al., NeurIPS 2020): the source's head learns the source classes that each target class is like."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn

from acnorm.tuning.hooks import SOURCE_HEAD, About, Batch, Method, Penalty, Setup
from acnorm.tuning.lwf import WithSourceHead, source_logits
from acnorm.tuning.rules import Rules, not_negative
from acnorm.tuning.space import Between, Space

logger = logging.getLogger("acnorm")
Relation = Literal["direct", "reverse"]
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4)  # of 1 / the strength of the regression's L2


@dataclass(frozen=True)
class CoTuning(Method):
    """Train the source's own head along, towards the source classes that resemble the class of each image.

    The loss gains λ times the cross-entropy between p(source class | target class) and the source head's answer on the
    features as they are now, the mean over the batch (equation 3). The relation is estimated once, when training
    starts, on the training images as they are in eval, with the frozen source network:

    - "direct": the mean of the source's probabilities over the images of a target class;
    - "reverse": a logistic regression from the source's probabilities to target classes gives p(target | source) for
      each pure source class, and Bayes' rule turns it round. Its regularisation is chosen by cross-validation.

    The authors also calibrate the source's probabilities, by a scale of 0.884 for their ImageNet checkpoint, which
    holds for no other; we do not. Classes without images take the mean over all.

    Args:
        strength: λ.
        relation: "direct" or "reverse".

    Examples:
        >>> CoTuning().problems()
        []
    """

    about: ClassVar[About] = About(
        "You et al., NeurIPS 2020 (Co-Tuning for transfer learning)",
        "about 1",
        "a supervised source of many classes, few labelled images; one label a case",
    )
    decides: ClassVar[frozenset[str]] = SOURCE_HEAD
    needs_weights: ClassVar[bool] = True
    needs_source: ClassVar[bool] = True
    needs_source_head: ClassVar[bool] = True
    space: ClassVar[Space] = {"strength": Between(0.1, 10, log=True)}

    strength: float = 2.3
    relation: Relation = "direct"

    def problems(self) -> list[str]:
        """A strength from 0, a relation that is known."""
        rules = Rules("cotuning", self)
        not_negative(rules, "strength")
        rules.check("relation", "'direct' or 'reverse'", self.relation in ("direct", "reverse"))
        return rules.problems

    def check(self, setup: Setup) -> None:
        """One class a case."""
        labels = next(setup.plain_batches()).get("label")
        if labels is None or labels.ndim != 1 or labels.is_floating_point():
            raise ValueError("relates classes of source and target, for which each case must have one class.")

    def penalty(self, setup: Setup) -> Penalty:
        """The cross-entropy with related classes."""
        return Related(setup, self)


class Related(WithSourceHead):
    """λ times the cross-entropy of the source's head with the source classes related to the labels.

    Args:
        setup: of the run.
        method: its settings.

    Examples:
        >>> Related.__name__
        'Related'
    """

    def __init__(self, setup: Setup, method: CoTuning) -> None:
        super().__init__(setup)
        self._setup, self._method = setup, method
        self._relation: Tensor | None = None

    def forward(self, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The mean over the batch."""
        if self._relation is None:  # here, where the device is known; a resumed run finds the same
            source = cast(nn.Module, self._setup.source).to(next(network.parameters()))
            classes = network.get_submodule(self.name).get_parameter("weight").shape[0]
            self._relation = relation_of(self._setup, source, self._method.relation, classes)
        wanted = self._relation[batch["label"]]
        return -self._method.strength * (wanted * self.logits().log_softmax(dim=1)).sum(dim=1).mean()


def relation_of(
    setup: Setup, source: nn.Module, relation: Relation, classes: int
) -> Float[Tensor, "target_class source_class"]:
    """Return p(source class | target class), each row summing to 1.

    Args:
        setup: of the run.
        source: the source network, on its device.
        relation: how it is estimated.
        classes: of the target.

    Examples:
        >>> relation_of.__name__
        'relation_of'
    """
    parameter = next(source.parameters())
    probabilities, labels = [], []
    with torch.autocast(parameter.device.type, enabled=False):
        for batch in setup.plain_batches():
            images = batch["image"].to(parameter)
            probabilities.append(source_logits(source, setup, images).softmax(dim=1).double().cpu())
            labels.append(batch["label"])
    estimate = direct if relation == "direct" else reverse
    found = estimate(torch.cat(probabilities), torch.cat(labels), classes)
    return found.to(device=parameter.device, dtype=torch.promote_types(parameter.dtype, torch.float32))


def direct(
    probabilities: Float[Tensor, "case source_class"], labels: Int[Tensor, " case"], classes: int
) -> Float[Tensor, "target_class source_class"]:
    """Return the mean of the probabilities over the cases of each class; over all cases where it has none.

    Examples:
        >>> direct(torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 0, 1]), 2)
        tensor([[0.7500, 0.2500],
                [0.0000, 1.0000]])
    """
    rows = [probabilities[labels == label] for label in range(classes)]
    return torch.stack([(row if len(row) else probabilities).mean(dim=0) for row in rows])


def reverse(
    probabilities: Float[Tensor, "case source_class"], labels: Int[Tensor, " case"], classes: int
) -> Float[Tensor, "target_class source_class"]:
    """Return p(source | target) ∝ p(target | source) p(source), the first by logistic regression.

    Examples:
        >>> sure = torch.eye(2, dtype=torch.float64).repeat(10, 1)
        >>> bool((reverse(sure, torch.tensor([0, 1] * 10), 2).diagonal() > 0.9).all())
        True
    """
    held, counts = np.unique(labels.numpy(), return_counts=True)
    if len(held) < 2 or counts.min() < 2:
        logger.warning("Co-Tuning: a class has fewer than two training cases; the relation is taken directly")
        return direct(probabilities, labels, classes)
    regression = GridSearchCV(
        LogisticRegression(max_iter=1000), {"C": GRID}, cv=min(5, int(counts.min())), scoring="neg_log_loss"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(probabilities.numpy(), labels.numpy())
    of_target = torch.zeros(classes, probabilities.shape[1], dtype=torch.float64)
    of_target[torch.from_numpy(held)] = torch.from_numpy(regression.predict_proba(np.eye(probabilities.shape[1])).T)
    mean = probabilities.double().mean(dim=0)
    rows = of_target * mean
    rows[rows.sum(dim=1) == 0] = mean
    return rows / rows.sum(dim=1, keepdim=True)
