"""What a kind of task trains for: the loss of a batch, and how a network is judged on the validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from acnorm.data.case import Case
from acnorm.training.metrics import classification_metrics, multilabel_metrics, truth_of
from acnorm.training.slices import mean_over_slices

Batch = dict[str, Tensor]


class Objective(Protocol):
    """A loss, and a judgement of the validation cases, each of which counts once on any number of processes.

    monitor: name of the validation metric whose largest value is kept. columns: what is logged once an epoch, among
    them ``monitor``; those in ``shown`` also stand in the progress bar.
    """

    monitor: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    shown: ClassVar[tuple[str, ...]]

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The loss of one batch, with its gradient."""
        ...

    def outcome(self, network: nn.Module, batch: Batch) -> Float[Tensor, "case value"]:
        """What is kept of each validation case of a batch."""
        ...

    def judge(self, outcomes: Float[Tensor, "case value"], cases: Sequence[Case]) -> dict[str, float]:
        """The columns, from the outcomes of all validation cases in their order; NaN where one is not defined."""
        ...


class ClassificationObjective:
    """Cross-entropy; judged by the macro AUC.

    Args:
        slices: validation cases come as slices [batch, slice, channel, height, width], whose answers are averaged.

    Examples:
        >>> from pathlib import Path
        >>> cases = [Case(str(at), Path("eyes.npz"), label=at) for at in range(2)]
        >>> ClassificationObjective().judge(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), cases)["val_macro_auc"]
        1.0
    """

    monitor: ClassVar[str] = "val_macro_auc"
    columns: ClassVar[tuple[str, ...]] = ("val_loss", "val_macro_auc", "val_accuracy")
    shown: ClassVar[tuple[str, ...]] = ("val_macro_auc",)
    several: ClassVar[bool] = False

    def __init__(self, *, slices: bool = False) -> None:
        self.slices = slices

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy."""
        return functional.cross_entropy(network(batch["image"]), batch["label"])

    def outcome(self, network: nn.Module, batch: Batch) -> Float[Tensor, "case class"]:
        """The logits."""
        images = batch["image"]
        logits: Tensor = mean_over_slices(network, images, several=self.several) if self.slices else network(images)
        return logits.float()

    def judge(self, outcomes: Float[Tensor, "case class"], cases: Sequence[Case]) -> dict[str, float]:
        """Loss, macro AUC and accuracy."""
        labels = torch.tensor([case.label for case in cases])
        metrics = classification_metrics(labels.numpy(), outcomes.double().softmax(dim=1).numpy())
        return {
            "val_loss": float(functional.cross_entropy(outcomes, labels)),
            "val_macro_auc": float(np.nan_to_num(metrics["macro_auc"], nan=0.5)),
            "val_accuracy": metrics["accuracy"],
        }


class OrdinalObjective(ClassificationObjective):
    """Cross-entropy and the squared earth mover's distance between grades; judged by the quadratic kappa.

    The distance is Σ_k (F_k − G_k)², F and G the cumulative probabilities of the predicted and the true grade (Hou et
    al., arXiv 1611.05916, equation 8): a grade far from the true one costs more than its neighbour.

    Examples:
        >>> from pathlib import Path
        >>> cases = [Case(str(at), Path("eyes.npz"), label=at) for at in range(2)]
        >>> OrdinalObjective().judge(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), cases)["val_quadratic_kappa"]
        1.0
    """

    monitor: ClassVar[str] = "val_quadratic_kappa"
    columns: ClassVar[tuple[str, ...]] = ("val_loss", "val_quadratic_kappa", "val_macro_auc", "val_accuracy")
    shown: ClassVar[tuple[str, ...]] = ("val_quadratic_kappa",)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean over cases of cross-entropy plus squared earth mover's distance."""
        return ordinal_loss(network(batch["image"]), batch["label"])

    def judge(self, outcomes: Float[Tensor, "case class"], cases: Sequence[Case]) -> dict[str, float]:
        """Loss, quadratic kappa, macro AUC and accuracy."""
        labels = torch.tensor([case.label for case in cases])
        kappa = classification_metrics(labels.numpy(), outcomes.double().softmax(dim=1).numpy())["quadratic_kappa"]
        return super().judge(outcomes, cases) | {
            "val_loss": float(ordinal_loss(outcomes, labels)),
            "val_quadratic_kappa": float(np.nan_to_num(kappa, nan=0.0)),
        }


class MultilabelObjective(ClassificationObjective):
    """Binary cross-entropy, a case showing any number of classes; judged by the macro AUC.

    Examples:
        >>> from pathlib import Path
        >>> cases = [Case(str(at), Path("lungs.npz"), 0, labels=labels) for at, labels in enumerate([(0, 1), ()])]
        >>> MultilabelObjective().judge(torch.tensor([[3.0, 1.0], [0.0, -3.0]]), cases)["val_macro_auc"]
        1.0
    """

    columns: ClassVar[tuple[str, ...]] = ("val_loss", "val_macro_auc", "val_macro_average_precision")
    several: ClassVar[bool] = True

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean binary cross-entropy over cases and classes."""
        return functional.binary_cross_entropy_with_logits(network(batch["image"]), batch["label"])

    def judge(self, outcomes: Float[Tensor, "case class"], cases: Sequence[Case]) -> dict[str, float]:
        """Loss, macro AUC and macro average precision."""
        truth = truth_of(cases, outcomes.shape[1])
        metrics = multilabel_metrics(truth, outcomes.double().sigmoid().numpy())
        loss = functional.binary_cross_entropy_with_logits(outcomes, torch.from_numpy(truth).to(outcomes.dtype))
        return {
            "val_loss": float(loss),
            "val_macro_auc": float(np.nan_to_num(metrics["macro_auc"], nan=0.5)),
            "val_macro_average_precision": float(np.nan_to_num(metrics["macro_average_precision"], nan=0.0)),
        }


def ordinal_loss(logits: Float[Tensor, "case class"], labels: Int[Tensor, " case"]) -> Float[Tensor, ""]:
    """Return the mean of cross-entropy plus squared earth mover's distance.

    Examples:
        >>> ordinal_loss(torch.tensor([[0.0, 9.0, 0.0]]), torch.tensor([2])) < ordinal_loss(
        ...     torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([2])
        ... )
        tensor(True)
    """
    truth = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    apart = (logits.softmax(dim=1) - truth).cumsum(dim=1)
    return functional.cross_entropy(logits, labels) + apart.square().sum(dim=1).mean()
