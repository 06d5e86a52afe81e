from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor, nn

from acnorm.data.case import Case
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.patches import Labelled
from acnorm.training.segmentation import SegmentationObjective


class Sure(nn.Module):
    """Takes the label from the image's first channel, with a given certainty."""

    def __init__(self, classes: int, certainty: float = 20.0) -> None:
        super().__init__()
        self.classes = classes
        self.certainty = nn.Parameter(torch.tensor(certainty))

    def forward(self, images: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(images[:, 0].long(), self.classes).movedim(-1, 1)
        return one_hot.float() * self.certainty


def labelled(truth: Tensor, shown: Tensor, within: Tensor | None = None) -> Labelled:
    return Labelled(shown[None].float(), truth, within)


def judged(cases: list[Labelled], classes: int, network: nn.Module) -> dict[str, float]:
    objective = SegmentationObjective(classes, IntensityPreprocessing(1, (8, 8)), lambda index: cases[index])
    outcomes = objective.outcome(network, {"index": torch.arange(len(cases))})
    values = objective.judge(outcomes, [Case(str(at), Path("a.png"), 0) for at in range(len(cases))])
    assert tuple(values) == objective.columns
    return values


def test_dice_is_the_mean_over_cases_and_classes():
    generator = torch.Generator().manual_seed(0)
    pairs = [torch.randint(3, (2, 20, 17), generator=generator) for _ in range(4)]
    dice = [
        np.mean([metrics.f1_score((truth == label).flatten(), (shown == label).flatten()) for label in (1, 2)])
        for truth, shown in pairs
    ]
    values = judged([labelled(*pair) for pair in pairs], 3, Sure(3))
    assert values["val_dice"] == pytest.approx(np.mean(dice))
    wrong = np.mean([float((truth != shown).float().mean()) for truth, shown in pairs])
    assert values["val_loss"] == pytest.approx(20 * wrong, rel=1e-3)


@pytest.mark.parametrize(("truth", "shown", "dice"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0)])
def test_empty_classes_count_one_where_both_are_empty(truth: int, shown: int, dice: float):
    case = labelled(torch.full((9, 9), truth), torch.full((9, 9), shown))
    assert judged([case], 2, Sure(2))["val_dice"] == dice


def test_only_what_lies_within_counts():
    truth, shown, within = (torch.zeros(10, 10, dtype=torch.long) for _ in range(3))
    truth[:5], shown[:, :5], within[:5, :5] = 1, 1, 1
    values = judged([labelled(truth, shown, within.bool())], 2, Sure(2))
    assert values["val_dice"] == 1.0
    assert judged([labelled(truth, shown)], 2, Sure(2))["val_dice"] == pytest.approx(0.5)


def test_the_loss_falls_with_certainty_about_the_truth_and_has_a_gradient():
    mask = torch.randint(3, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    batch = {"image": mask[:, None].float(), "mask": mask}
    objective = SegmentationObjective(
        3, IntensityPreprocessing(1, (16, 16)), lambda _: pytest.fail("no validation here")
    )
    losses = [float(objective.loss(Sure(3, certainty), batch).detach()) for certainty in (0.0, 1.0, 5.0, 20.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(0, abs=1e-4)
    network = Sure(3, 1.0)
    objective.loss(network, batch).backward()
    assert network.certainty.grad < 0
    # with equal probabilities: cross-entropy log 3; soft Dice of each class 2·(n/3) / (n + N/3)
    counts = [float((mask == label).sum()) for label in (1, 2)]
    dice = np.mean([2 * n / 3 / (n + mask.numel() / 3) for n in counts])
    assert losses[0] == pytest.approx(np.log(3) + 1 - dice, rel=1e-4)
