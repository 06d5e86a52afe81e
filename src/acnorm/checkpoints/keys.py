"""Take wrapper prefixes off the names of a state dict, so that they fit a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TypeVar

Value = TypeVar("Value")

# What wrappers and training frameworks put before a network's own names.
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "network.",
    "backbone.",
    "encoder.",
    "encoder_q.",
    "base_encoder.",
    "online_encoder.",
    "teacher.",
    "student.",
    "momentum_encoder.",
    "ema.",
    "ema_model.",
    "0.",
)
# Children of a ResNet and of a DenseNet, whose numbers nn.Sequential(*children) puts in the place of their names
# (RadImageNet, lightly).
_CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4", "9": "fc"}
# Endings that stand for others, and those that are left out: the authors' AC-Norm keeps both affines in one layer.
_ENDINGS = {"weight_target": "weight", "bias_target": "bias"}
_LEFT_OUT = ("weight_source", "bias_source")


def match_names(state: Mapping[str, Value], wanted: Collection[str]) -> dict[str, Value]:
    """Return ``state`` with the run of known prefixes off, or one put on, that brings the most names into ``wanted``.

    A prefix is put on where the network holds another one, as a U-Net its encoder, and only on names that are then
    known. Other names stay as they are: they are no part of the network and will be reported.

    Args:
        state: values by the file's names.
        wanted: the network's own names.

    Examples:
        >>> match_names({"module.net.conv.weight": 1, "epoch": 2}, ["conv.weight"])
        {'conv.weight': 1, 'epoch': 2}
        >>> match_names({"module.conv.weight": 1, "fc.bias": 2}, ["encoder.conv.weight", "decoder.bias"])
        {'encoder.conv.weight': 1, 'fc.bias': 2}
    """
    wanted = set(wanted)
    best = _without_wrappers(_of_targets(state), wanted)
    for rename in (_of_resnet_children, _of_densenet_children, _of_dense_layers):
        renamed = rename(best)
        if renamed.keys() == best.keys() or len(renamed) < len(best):
            continue
        renamed = _without_wrappers(renamed, wanted)
        if len(wanted & renamed.keys()) > len(wanted & best.keys()):
            best = renamed
    return best


def _without_wrappers(state: Mapping[str, Value], wanted: set[str]) -> dict[str, Value]:
    best, seen = dict(state), {frozenset(state)}
    queue = [best]
    while queue:
        names = queue.pop()
        for candidate in (names, *(_prefixed(names, prefix, wanted) for prefix in PREFIXES)):
            if len(wanted & candidate.keys()) > len(wanted & best.keys()):
                best = candidate
        for prefix in PREFIXES:
            stripped = _strip(names, prefix)
            if frozenset(stripped) not in seen and len(stripped) == len(names):
                seen.add(frozenset(stripped))
                queue.append(stripped)
    return best


def _of_targets(state: Mapping[str, Value]) -> Mapping[str, Value]:
    """The affine that was trained, of layers that keep that of their source beside it."""
    if not any(name.rpartition(".")[2] in _ENDINGS for name in state):
        return state
    renamed = {}
    for name, value in state.items():
        place, dot, ending = name.rpartition(".")
        if ending not in _LEFT_OUT:
            renamed[place + dot + _ENDINGS.get(ending, ending)] = value
    return renamed


def _of_resnet_children(state: Mapping[str, Value]) -> dict[str, Value]:
    """Names for the numbers of a ResNet's children, behind whatever prefix has not come off."""
    start = _common_start(state)
    renamed: dict[str, Value] = {}
    for name, value in state.items():
        number, dot, rest = name.removeprefix(start).partition(".")
        renamed[_CHILDREN[number] + dot + rest if dot and number in _CHILDREN else name] = value
    return renamed


def _of_densenet_children(state: Mapping[str, Value]) -> dict[str, Value]:
    """`features` for the number of a DenseNet's first child."""
    start = _common_start(state) + "0."
    return {
        f"features.{name.removeprefix(start)}" if name.startswith(start) else name: value
        for name, value in state.items()
    }


def _of_dense_layers(state: Mapping[str, Value]) -> dict[str, Value]:
    """MONAI keeps the parts of a DenseNet's layer under `layers`, torchvision and timm do not."""
    return {re.sub(r"(\.denselayer\d+\.)(layers\.)?", r"\1layers.", name): value for name, value in state.items()}


def _common_start(state: Mapping[str, Value]) -> str:
    """The prefix that most names share, such as `backbone.`, where it is one that wrappers put there."""
    starts = Counter(prefix for name in state for prefix in PREFIXES if prefix != "0." and name.startswith(prefix))
    prefix, count = starts.most_common(1)[0] if starts else ("", 0)
    return prefix if count > len(state) / 2 else ""


def _strip(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _prefixed(state: Mapping[str, Value], prefix: str, wanted: Collection[str]) -> dict[str, Value]:
    return {prefix + name if prefix + name in wanted else name: value for name, value in state.items()}
