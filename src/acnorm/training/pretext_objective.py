"""What a pretext task trains for in the trainer, and the module that trains it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from acnorm.data.case import Case
from acnorm.pretraining.monitor import COLLAPSED, feature_spread, neighbours_accuracy
from acnorm.pretraining.task import Pretext
from acnorm.training.module import FinetuneModule
from acnorm.training.objective import Batch

logger = logging.getLogger("acnorm")


class PretextObjective:
    """The loss of a pretext task; judged by how far the features of validation cases lie apart.

    Args:
        pretext: the task.
        slices: validation cases come as slices [batch, slice, channel, height, width], whose features are averaged.

    Examples:
        >>> from acnorm.pretraining.rotation import Rotation
        >>> round(PretextObjective(Rotation()).judge(torch.eye(5), [])["val_feature_spread"], 3)
        0.894
    """

    monitor: ClassVar[str] = "val_feature_spread"
    columns: ClassVar[tuple[str, ...]] = ("val_feature_spread",)
    shown: ClassVar[tuple[str, ...]] = ("val_feature_spread",)

    def __init__(self, pretext: Pretext, *, slices: bool = False) -> None:
        self.pretext = pretext
        self.slices = slices

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """That of the task."""
        return self.pretext.loss(network, batch)

    def outcome(self, network: nn.Module, batch: Batch) -> Float[Tensor, "case feature"]:
        """The features of the encoder; of a case in slices their mean."""
        images, encoder = batch["image"], cast(Any, network).encoder
        features: Tensor = encoder.features(images.flatten(0, 1) if self.slices else images).float()
        return features.reshape(*images.shape[:2], -1).mean(dim=1) if self.slices else features

    def judge(self, outcomes: Float[Tensor, "case feature"], cases: Sequence[Case]) -> dict[str, float]:  # noqa: ARG002
        """The spread of features."""
        return {"val_feature_spread": feature_spread(outcomes)}


class LabelledPretextObjective(PretextObjective):
    """The same where validation cases have labels: judged by whether the nearest others have the same.

    Examples:
        >>> LabelledPretextObjective.monitor
        'val_knn_accuracy'
    """

    monitor: ClassVar[str] = "val_knn_accuracy"
    columns: ClassVar[tuple[str, ...]] = ("val_feature_spread", "val_knn_accuracy")
    shown: ClassVar[tuple[str, ...]] = ("val_knn_accuracy",)

    def judge(self, outcomes: Float[Tensor, "case feature"], cases: Sequence[Case]) -> dict[str, float]:
        """The spread of features, and the accuracy of the five nearest neighbours (leave one out)."""
        labels = torch.tensor([case.label for case in cases])
        return super().judge(outcomes, cases) | {"val_knn_accuracy": neighbours_accuracy(outcomes, labels)}


class PretrainModule(FinetuneModule):
    """Train a pretext network; what a task does after each step is done, and a collapse of the features is told.

    Examples:
        >>> issubclass(PretrainModule, FinetuneModule)
        True
    """

    warned = False
    _followed = 0

    def on_train_start(self) -> None:
        """Begin with the steps that were done before, where a run is resumed."""
        self._followed = self.global_step

    def on_train_batch_end(self, *_: Any) -> None:
        """Let slow copies follow, once an optimiser step."""
        steps = self.global_step
        if steps > self._followed:
            self._followed = steps
            total = self.config.epochs * -(-len(self._batches(self.data.train, shuffle=True)) // self.config.accumulate)
            cast(PretextObjective, self.objective).pretext.after_step(self.network, min(1.0, steps / total))

    def on_validation_epoch_end(self) -> None:
        """Log the objective's columns, and warn once where all features are alike."""
        super().on_validation_epoch_end()
        spread = float(self.trainer.callback_metrics["val_feature_spread"])
        if spread < COLLAPSED and not self.warned:
            self.warned = True
            logger.warning("%s", collapse(self.current_epoch, spread))


def collapse(epoch: int, spread: float) -> str:
    """Say that the encoder has collapsed.

    Examples:
        >>> collapse(3, 0.001).partition(":")[0]
        'epoch 3'
    """
    return (
        f"epoch {epoch}: the features of all validation images are nearly the same (spread {spread:.4f}, at most 1): "
        "the encoder has collapsed, and its checkpoint will be of no use; lower --learning-rate, raise --batch-size, "
        "or take another --method."
    )
