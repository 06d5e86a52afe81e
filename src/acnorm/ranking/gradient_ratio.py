"""Gradient ratio: how much of a triplet loss's gradient lies beyond the first convolution.

The part for adaptability ("FU") of the measure of Juodelyte et al. (arXiv 2412.20172, 2024): the norm of the gradient
at the second convolution over that at the first, under a triplet loss on the features. Here triplets are all of those
in one batch, features have length 1 and the margin is 1; the authors' sampling was not at hand.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from acnorm.ranking.inputs import NotDefined

MARGIN = 1.0


def gradient_ratio(
    network: nn.Module, head: str, images: Float[Tensor, "case channel *space"], labels: Int[Tensor, " case"]
) -> float:
    """Return ‖∂L/∂w₂‖ / ‖∂L/∂w₁‖ with w₁, w₂ the kernels of the first two convolutions; the network is left as it was.

    The network is in eval mode. L is the mean of max(0, d(case, same) − d(case, other) + 1) over all triplets of a
    case, another of its class and one of another class.

    Args:
        network: with its weights loaded.
        head: name of the head, whose input are the features.
        images: one batch, on the network's device.
        labels: the class of each image.

    Raises:
        NotDefined: fewer than two convolutions, no triplet, or no gradient at the first convolution.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> parts = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2)
        >>> gradient_ratio(nn.Sequential(*parts), "4", torch.randn(6, 1, 8, 8), torch.tensor([0, 0, 0, 1, 1, 1])) > 0
        True
    """
    kernels = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)][:2]
    if len(kernels) < 2:
        raise NotDefined("the network has fewer than two convolutions")
    if labels.ndim != 1:
        raise NotDefined("a case may show several classes")
    modes = {layer: layer.training for layer in network.modules()}
    learns = {parameter: parameter.requires_grad for parameter in kernels}
    seen: list[Tensor] = []
    hook = network.get_submodule(head).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.eval()
    try:
        for kernel in kernels:
            kernel.requires_grad_(True)
        with torch.enable_grad():
            network(images)
            loss = triplet_loss(seen[0].reshape(len(images), -1), labels)
            first, second = torch.autograd.grad(loss, kernels)
    finally:
        hook.remove()
        for layer, training in modes.items():
            layer.training = training
        for kernel, wanted in learns.items():
            kernel.requires_grad_(wanted)
    below, above = (float(gradient.double().norm()) for gradient in (first, second))
    if not below > 0:
        raise NotDefined("the triplet loss has no gradient at the first convolution")
    return above / below


def triplet_loss(features: Float[Tensor, "case feature"], labels: Int[Tensor, " case"]) -> Float[Tensor, ""]:
    """Return the mean hinge over all triplets (Schroff et al., CVPR 2015), on features of length 1.

    Raises:
        NotDefined: there is no triplet.

    Examples:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(triplet_loss(features, torch.tensor([0, 0, 1]))), 3)  # max(0, 0 − √2 + 1)
        0.0
    """
    unit = nn.functional.normalize(features, dim=1)
    distance = (2 - 2 * unit @ unit.mT).clamp_min(1e-12).sqrt()
    same = labels[:, None] == labels[None, :]
    pairs = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    triplets = pairs[:, :, None] & ~same[:, None, :]
    if not triplets.any():
        raise NotDefined("no two cases of one class lie beside one of another in the batch")
    hinge = (distance[:, :, None] - distance[:, None, :] + MARGIN).clamp_min(0)
    return hinge[triplets].mean()
