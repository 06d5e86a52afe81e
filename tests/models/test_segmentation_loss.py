"""Half soft Dice of the foreground, half cross-entropy, by hand."""

from __future__ import annotations

import pytest
import torch

from acnorm.models.segmentation_loss import segmentation_loss


def test_by_hand():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randint(0, 3, (2, 4, 5))
    shares = logits.softmax(dim=1)
    surprise = -torch.stack(
        [shares[n, labels[n, y, x], y, x] for n in range(2) for y in range(4) for x in range(5)]
    ).log()
    losses = []
    for label in (1, 2):
        truth, found = (labels == label).double(), shares[:, label]
        losses.append(1 - (2 * (truth * found).sum() + 1e-5) / (truth.sum() + found.sum() + 1e-5))
    expected = surprise.mean() + torch.stack(losses).mean()
    assert float(segmentation_loss()(logits, labels[:, None])) == pytest.approx(float(expected), rel=1e-6)
