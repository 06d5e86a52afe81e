"""What segmentation trains for, and how a network is judged on whole validation cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from acnorm.data.case import Case
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.patches import Labelled
from acnorm.models.segmentation_loss import segmentation_loss
from acnorm.training.inference import QUICK_OVERLAP, segment_case
from acnorm.training.objective import Batch


class SegmentationObjective:
    """Dice and cross-entropy on patches; judged on whole cases by the mean Dice over cases and classes.

    Windows overlap by a quarter while training and by half for the results. Dice of a class that is empty in truth and
    prediction counts 1, of one that is empty in one of them 0.

    Args:
        classes: with the background, which is label 0.
        preprocessing: of the images.
        validation: gives a validation case, prepared, by its index.
        nested: whether a region is a class with those of higher labels in it.

    Examples:
        >>> from acnorm.data.patches import Labelled
        >>> case = Labelled(torch.rand(1, 20, 20), torch.zeros(20, 20, dtype=torch.uint8))
        >>> objective = SegmentationObjective(2, IntensityPreprocessing(1, (16, 16)), lambda index: case)
        >>> objective.outcome(nn.Conv2d(1, 2, 1), {"index": torch.tensor([0])}).shape  # cross-entropy, three sums
        torch.Size([1, 4])
    """

    monitor: ClassVar[str] = "val_dice"
    columns: ClassVar[tuple[str, ...]] = ("val_loss", "val_dice")
    shown: ClassVar[tuple[str, ...]] = ("val_dice",)

    def __init__(
        self,
        classes: int,
        preprocessing: IntensityPreprocessing,
        validation: Callable[[int], Labelled],
        *,
        nested: bool = False,
    ) -> None:
        self.classes = classes
        self.preprocessing = preprocessing
        self.nested = nested
        self.validation = validation
        self._loss = segmentation_loss()

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Soft Dice of the foreground classes over the batch, and cross-entropy over all voxels, in equal parts."""
        loss: Tensor = self._loss(network(batch["image"]), batch["mask"][:, None])
        return loss

    def outcome(self, network: nn.Module, batch: Batch) -> Float[Tensor, "case value"]:
        """Cross-entropy, and for each foreground class the voxels in common, in the truth and in the prediction."""
        return torch.stack([self._whole(network, self.validation(int(index))) for index in batch["index"]])

    def judge(self, outcomes: Float[Tensor, "case value"], cases: Sequence[Case]) -> dict[str, float]:  # noqa: ARG002
        """Mean cross-entropy and mean Dice."""
        common, truth, predicted = outcomes[:, 1:].double().view(len(outcomes), -1, 3).unbind(-1)
        size = truth + predicted
        dice = torch.where(size > 0, 2 * common / size.clamp(min=1), 1.0)
        return {"val_loss": float(outcomes[:, 0].mean()), "val_dice": float(dice.mean())}

    def _whole(self, network: nn.Module, case: Labelled) -> Float[Tensor, " value"]:
        probabilities = segment_case(
            network, case.image, case.mask.shape, replace(self.preprocessing, flips=False), overlap=QUICK_OVERLAP
        )
        within = torch.ones_like(case.mask, dtype=torch.bool) if case.within is None else case.within
        truth = case.mask[within].long().to(probabilities.device)
        chosen = probabilities[:, within]
        surprise = -chosen.gather(0, truth[None]).clamp(min=torch.finfo(torch.float32).tiny).log().mean()
        predicted = chosen.argmax(dim=0)
        values = [surprise]
        for label in range(1, self.classes):
            true, found = ((labels >= label if self.nested else labels == label) for labels in (truth, predicted))
            values += [(true & found).sum(), true.sum(), found.sum()]
        return torch.stack([value.float() for value in values])
