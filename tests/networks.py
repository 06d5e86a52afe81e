"""The networks on which every law of AC-Norm is tested, made to look trained, and the paper's formula, two passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from acnorm.models.cifar import CifarResNet

# The tests run in one process a core; more threads than cores wait for each other.
torch.set_num_threads(1)


KINDS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class FusedNorm(nn.BatchNorm2d):
    """A BatchNorm that also holds dropout and the activation, in the manner of EfficientNet implementations."""

    def __init__(self, channels: int, drop: float = 0.0) -> None:
        super().__init__(channels)
        self.drop = nn.Dropout(drop)
        self.act = nn.PReLU(channels)

    def forward(self, input: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(input)))


class AlwaysBatchNorm(_BatchNorm):
    """A BatchNorm that uses, and records, the statistics of the batch in eval as well."""

    def _check_input_dim(self, input: Tensor) -> None:
        assert input.dim() == 5

    def forward(self, input: Tensor) -> Tensor:
        affine = (self.weight, self.bias)
        return functional.batch_norm(
            input, self.running_mean, self.running_var, *affine, True, self.momentum or 0.0, self.eps
        )


class ToyNet(nn.Module):
    """Two convolutions, a BatchNorm after each, a linear head with a BatchNorm1d."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * channels)
        self.bn3 = nn.BatchNorm1d(2 * channels)
        self.head = nn.Linear(2 * channels, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.bn1(self.conv1(images)))
        features = functional.relu(self.bn2(self.conv2(features)))
        return self.head(self.bn3(features.mean((2, 3))))


def _fused() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), FusedNorm(6), nn.Conv2d(6, 10, 3), FusedNorm(10), nn.Flatten(), nn.LazyLinear(3)
    )


def _always() -> nn.Module:
    body = [nn.Conv3d(1, 6, 3), AlwaysBatchNorm(6), nn.ReLU(), nn.Conv3d(6, 9, 3), AlwaysBatchNorm(9), nn.ReLU()]
    return nn.Sequential(*body, nn.Flatten(), nn.LazyLinear(3))


def _unet(spatial_dims: int) -> nn.Module:
    """A quarter as wide as MONAI's, which has no setting for it: in 3D the tests took a minute."""
    from monai.networks.nets import FlexibleUNet, resnet
    from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE

    backbones, widths = FLEXUNET_BACKBONE.register_dict, (16, 32, 64, 128)
    narrow = backbones["resnet10"] | {"feature_channel": (16, *widths)}
    with patch.object(resnet, "get_inplanes", lambda: list(widths)), patch.dict(backbones, resnet10=narrow):
        return FlexibleUNet(1, 2, "resnet10", decoder_channels=(16, 8, 4, 4, 4), spatial_dims=spatial_dims)


def _resnet(spatial_dims: int) -> nn.Module:
    from monai.networks.nets import resnet18  # MONAI takes seconds to import, which processes of their own may spare

    return resnet18(spatial_dims=spatial_dims, n_input_channels=1, num_classes=3, widen_factor=0.25)


def _densenet() -> nn.Module:
    from monai.networks.nets import DenseNet121

    return DenseNet121(2, 1, 3, init_features=16, growth_rate=8)


@dataclass(frozen=True)
class Network:
    """One row of the table: how to make the network, and the shape of its input."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


NETWORKS = {
    "toy": Network(ToyNet, (8, 1, 6, 6)),
    "monai-resnet18-2d": Network(lambda: _resnet(2), (4, 1, 32, 32)),
    "monai-resnet18-3d": Network(lambda: _resnet(3), (4, 1, 16, 16, 16)),
    "monai-densenet121": Network(_densenet, (4, 1, 48, 48)),
    "flexible-unet-2d": Network(lambda: _unet(2), (4, 1, 64, 64)),
    "flexible-unet-3d": Network(lambda: _unet(3), (3, 1, 32, 32, 32)),
    "cifar-resnet20": Network(lambda: CifarResNet(20, num_classes=3), (4, 3, 16, 16)),
    "fused-activation": Network(_fused, (6, 1, 8, 8)),
    "always-batch-statistics": Network(_always, (4, 1, 8, 8, 8)),
}


def trained(name: str = "toy", *, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Make a network of the table and give it affines and running statistics as training leaves them."""
    return deepcopy(_trained(name, seed)).to(dtype)


@cache
def _trained(name: str, seed: int) -> nn.Module:
    row = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = row.make()
        model(torch.randn(row.shape))  # lazy layers take their shape
        for norm in norm_layers(model).values():
            with torch.no_grad():
                norm.weight.normal_(1.0, 0.25)
                norm.bias.normal_(0.0, 0.3)
                norm.running_mean.normal_(0.0, 0.1)
                norm.running_var.uniform_(0.5, 1.5)
    return model


def images_for(name: str = "toy", *, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Give a batch that the network of that name takes; the same values in every dtype."""
    return torch.randn(NETWORKS[name].shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def norm_layers(model: nn.Module) -> dict[str, _BatchNorm]:
    """Every BatchNorm of a model, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


def move(model: nn.Module, *, seed: int = 2, size: float = 0.2) -> nn.Module:
    """Change the affines, the same for the same seed, as fine-tuning would, so that C is no longer the start's."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in norm_layers(model).values():
            for parameter in (norm.weight, norm.bias):
                step = torch.randn(parameter.shape, generator=generator) * size
                parameter.add_(step.to(parameter.dtype))
    return model


def relative_difference(value: Tensor, reference: Tensor) -> float:
    """Largest difference over the reference's largest absolute value, in float64."""
    scale = float(reference.double().abs().max()) or 1.0
    return float((value.double() - reference.double()).abs().max()) / scale


def paper_correlation(
    weight: Tensor, bias: Tensor, source_weight: Tensor, source_bias: Tensor, temperature: float = 1.0
) -> Tensor:
    """C as the paper writes it, in float64: a softmax, and what is smaller than the diagonal set to zero."""
    target = bias.double() / (weight.double().abs() + 1e-5)
    source = source_bias.double() / (source_weight.double().abs() + 1e-5)
    probability = torch.softmax(-torch.cdist(target[:, None], source[:, None], p=1) / temperature, dim=1)
    own = probability.diagonal()[:, None]
    return torch.where(probability >= own, probability, torch.zeros_like(probability)).detach()


class TwoPassNorm(nn.Module):
    """The paper's formula, literally: batch-norm with γ and β plus batch-norm with Cγ and Cβ."""

    def __init__(self, norm: _BatchNorm, temperature: float = 1.0) -> None:
        super().__init__()
        self.norm = norm
        self.temperature = temperature
        self.source = (norm.weight.detach().clone(), norm.bias.detach().clone())

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.norm.weight, self.norm.bias
        correlation = paper_correlation(weight, bias, *self.source, self.temperature).to(weight.dtype)
        output = self._pass(input, weight, bias) + self._pass(input, correlation @ weight, correlation @ bias)
        if isinstance(self.norm, FusedNorm):
            output = self.norm.act(self.norm.drop(output))
        return output

    def _pass(self, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        norm = self.norm
        from_batch = self.training or isinstance(norm, AlwaysBatchNorm) or norm.running_mean is None
        statistics = (norm.running_mean, norm.running_var)
        return functional.batch_norm(input, *statistics, weight, bias, from_batch, norm.momentum, norm.eps)


def two_pass(model: nn.Module, temperature: float = 1.0) -> nn.Module:
    """Copy a plain network and put the paper's formula in the place of every BatchNorm."""
    copy = deepcopy(model)
    layers = {id(norm): TwoPassNorm(norm, temperature) for norm in norm_layers(copy).values()}
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if id(child) in layers and not isinstance(parent, TwoPassNorm):
                setattr(parent, name, layers[id(child)])
    return copy


def random_layer(channels: int = 6, dimensions: int = 2, *, seed: int = 0, dtype: torch.dtype = torch.float64):
    """A BatchNorm that looks trained."""
    generator = torch.Generator().manual_seed(seed)
    layer = KINDS[dimensions](channels, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.normal_(1, 0.3, generator=generator)
        layer.bias.normal_(0, 0.4, generator=generator)
        layer.running_mean.normal_(0, 0.3, generator=generator)
        layer.running_var.uniform_(0.5, 2, generator=generator)
    return layer.to(dtype)


def shift(layer: nn.Module, seed: int = 1, size: float = 0.2) -> None:
    """Move the target affine away from the source."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype) * size)


def images_of(channels: int, dimensions: int = 2, batch: int = 5, *, seed: int = 9, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    space = {1: (7,), 2: (4, 3), 3: (3, 2, 4)}[dimensions]
    return torch.randn(batch, channels, *space, generator=generator, dtype=torch.float64).to(dtype)


@contextmanager
def momentum_of(model: nn.Module, momentum: float) -> Iterator[None]:
    """Set the momentum of every norm layer inside the block."""
    before = [(norm, norm.momentum) for norm in norm_layers(model).values()]
    for norm, _ in before:
        norm.momentum = momentum
    try:
        yield
    finally:
        for norm, value in before:
            norm.momentum = value
