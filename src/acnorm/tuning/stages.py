"""The stages of a network's encoder, from the image to the features: what layer-wise methods count in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from acnorm.models.sources import Network
from acnorm.tuning.hooks import inside

Stages = tuple[tuple[str, ...], ...]


def stages_of(network: Network) -> Stages:
    """Return the innermost modules of each stage by name; each outside the head is in exactly one.

    Stages are those of the network's source (its stem before them), or those that it tells of itself (timm's
    ``feature_info``); of any other network its children, each norm layer and each module without parameters with the
    one before it. What is in none of them, as an EfficientNet's last convolution, belongs to the last.

    Examples:
        >>> from acnorm.models.sources import build_network
        >>> [len(stage) for stage in stages_of(build_network("cifar/resnet20", classes=2, channels=3))]
        [2, 12, 12, 12]
    """
    leaves = [name for name in _leaves(network.module) if not inside(name, (network.head,))]
    named = _named(network)
    if named:
        found = [next((at for at, part in enumerate(named) if inside(leaf, part)), len(named) - 1) for leaf in leaves]
        return _grouped(leaves, found, len(named))
    taps = _taps(network)
    if taps:
        ends = [max(at for at, leaf in enumerate(leaves) if inside(leaf, (tap,))) for tap in taps]
        found = [min(sum(at > end for end in ends), len(ends) - 1) for at in range(len(leaves))]
        return _grouped(leaves, found, len(taps))
    parts = _children(network.module, network.head)
    found = [next(at for at, part in enumerate(parts) if inside(leaf, part)) for leaf in leaves]
    return _grouped(leaves, found, len(parts))


def taps_of(network: Network) -> tuple[str, ...]:
    """Return the module of each stage whose output is the stage's.

    Examples:
        >>> from acnorm.models.sources import build_unet
        >>> taps_of(build_unet("cifar/resnet20", classes=2, channels=3))
        ('encoder.bn1', 'encoder.layer1', 'encoder.layer2', 'encoder.layer3')
    """
    named = _named(network)
    if named:
        return tuple(part[-1] for part in named)
    parts = _children(network.module, network.head)
    return _taps(network) or tuple(_with_parameters(network.module, part, network.head) for part in parts)


def _prefix(network: Network) -> str:
    """Where the encoder of a U-Net that was built on a classification network is."""
    return "encoder." if isinstance(getattr(network.module, "encoder", None), nn.Module) else ""


def _named(network: Network) -> Stages:
    if network.source.tapped:
        return ()
    whole = network.module.state_dict().keys() | dict(network.module.named_modules()).keys()
    source = network.source
    without = [tuple(name for name in stage if name not in source.stem) for stage in source.stages]
    parts = [source.stem, *without] if source.stem else without
    stages = [[_prefix(network) + name for name in stage if name != "relu"] for stage in parts]
    held = [tuple(name for name in stage if name in whole) for stage in stages]
    return tuple(stage for stage in held if stage)


def _taps(network: Network) -> tuple[str, ...]:
    encoder: Any = network.module.get_submodule(_prefix(network).rstrip("."))
    info = getattr(encoder, "feature_info", ()) if network.source.tapped else ()
    there = dict(network.module.named_modules())
    return tuple(name for name in (f"{_prefix(network)}{stage['module']}" for stage in info) if name in there)


def _children(module: nn.Module, head: str, within: str = "") -> Stages:
    """The children, gone into where only one has parameters outside the head."""
    named = [(f"{within}{name}", child) for name, child in module.named_children() if f"{within}{name}" != head]
    holding = [(name, child) for name, child in named if _holds_parameters(child, name, head)]
    if len(holding) == 1 and next(holding[0][1].children(), None) is not None:
        (whole, child) = holding[0]
        *first, last = _children(child, head, f"{whole}.")
        return (*first, (*last, *(name for name, _ in named if name != whole)))
    parts: list[list[str]] = []
    for name, child in named:
        follows = isinstance(child, _NORMS) or not _holds_parameters(child, name, head)
        if parts and follows:
            parts[-1].append(name)
        else:
            parts.append([name])
    if within and next(module.named_parameters(recurse=False), None) is not None:
        parts = [[within.rstrip(".")]]
    return tuple(map(tuple, parts))


def _holds_parameters(module: nn.Module, name: str, head: str) -> bool:
    """Whether a module has parameters outside the head."""
    return any(not inside(f"{name}.{own}", (head,)) for own, _ in module.named_parameters())


def _with_parameters(module: nn.Module, names: Sequence[str], head: str) -> str:
    """The last of some modules that has parameters outside the head."""
    holding = [name for name in names if _holds_parameters(module.get_submodule(name), name, head)]
    return (holding or names)[-1]


_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def _leaves(module: nn.Module) -> Iterable[str]:
    """Modules that hold parameters of their own or no other module, as they were registered."""
    for name, part in module.named_modules():
        if name and (next(part.children(), None) is None or next(part.parameters(recurse=False), None) is not None):
            yield name


def _grouped(leaves: Sequence[str], found: Sequence[int], count: int) -> Stages:
    return tuple(tuple(leaf for leaf, at in zip(leaves, found, strict=True) if at == stage) for stage in range(count))
