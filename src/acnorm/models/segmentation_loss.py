"""The loss of segmentation, the same in training and in the probe of a ranking."""

from __future__ import annotations

from monai.losses.dice import DiceCELoss
from torch import nn


def segmentation_loss() -> nn.Module:
    """Return soft Dice of the foreground classes over the batch, and cross-entropy over all voxels, in equal parts.

    It takes logits [batch, class, *space] and labels [batch, 1, *space].

    Examples:
        >>> import torch
        >>> logits, labels = torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]]).movedim(0, 1), torch.tensor([[[0, 1]]])
        >>> float(segmentation_loss()(logits, labels)) < 1e-3
        True
    """
    loss: nn.Module = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    return loss
