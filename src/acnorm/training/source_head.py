"""The classification head that a checkpoint was trained with, which fine-tuning replaces."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from acnorm.checkpoints.keys import match_names
from acnorm.checkpoints.read import read_checkpoint
from acnorm.models.sources import Network


def source_head(network: Network, weights: Path | str) -> nn.Linear:
    """Return the head of a checkpoint, as a linear layer on the features that go into the network's own head.

    Raises:
        ValueError: the checkpoint holds none, or the network's head is not linear.

    Examples:
        >>> import tempfile
        >>> from acnorm.models.sources import build_network
        >>> file = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> torch.save(build_network("cifar/resnet20", classes=10, channels=3).module.state_dict(), file)
        >>> source_head(build_network("cifar/resnet20", classes=2, channels=3), file)
        Linear(in_features=64, out_features=10, bias=True)
    """
    own = network.module.get_submodule(network.head)
    if not isinstance(own, nn.Linear):
        raise ValueError("needs the classes of the source, and label maps have none; it is for classification.")
    state = match_names(read_checkpoint(weights).state, network.module.state_dict())
    weight, bias = state.get(f"{network.head}.weight"), state.get(f"{network.head}.bias")
    if weight is None or weight.ndim != 2 or weight.shape[1] != own.in_features or len(weight) < 2:
        raise ValueError(
            f"needs the head that the source was trained with, and {Path(weights).name} holds no {network.head}.weight "
            f"for {own.in_features} features and two classes or more. Give a checkpoint with its head."
        )
    head = nn.Linear(own.in_features, len(weight))
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias) if bias is not None else head.bias.zero_()
    return head
