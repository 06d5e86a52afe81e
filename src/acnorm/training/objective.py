"""What a kind of task trains for: the loss of a batch, and how a network is judged on the validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from acnorm.data.case import Case
from acnorm.training.metrics import classification_metrics

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

    Examples:
        >>> from pathlib import Path
        >>> cases = [Case(str(at), Path("eyes.npz"), label=at) for at in range(2)]
        >>> ClassificationObjective().judge(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), cases)["val_macro_auc"]
        1.0
    """

    monitor: ClassVar[str] = "val_macro_auc"
    columns: ClassVar[tuple[str, ...]] = ("val_loss", "val_macro_auc", "val_accuracy")
    shown: ClassVar[tuple[str, ...]] = ("val_macro_auc",)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy."""
        return functional.cross_entropy(network(batch["image"]), batch["label"])

    def outcome(self, network: nn.Module, batch: Batch) -> Float[Tensor, "case class"]:
        """The logits."""
        logits: Tensor = network(batch["image"])
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
