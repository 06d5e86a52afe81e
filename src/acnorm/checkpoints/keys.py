"""Take wrapper prefixes off the names of a state dict, so that they fit a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import TypeVar

Value = TypeVar("Value")
Names = dict[str, str]

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
# What compiling, sharding and recomputing put before the names of the single layers that they wrap.
_INNER = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
# Children of a ResNet and of a DenseNet, whose numbers nn.Sequential(*children) puts in the place of their names
# (RadImageNet, lightly).
_OF_RESNET, _OF_DENSENET = "4.0.conv1.weight", "0.denseblock1.denselayer1.norm1.weight"
_CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4", "9": "fc"}
# The same where the pooling of the stem was left out, as SimCLR and MoCo on small images do.
_OF_SMALL_RESNET = "3.0.conv1.weight"
_SMALL_CHILDREN = {"0": "conv1", "1": "bn1", "3": "layer1", "4": "layer2", "5": "layer3", "6": "layer4"}
_OF_DENSE_LAYER = re.compile(r"(\.denselayer\d+\.)(?:layers\.)?(norm|conv)\.?([12])\.")
# Words in what comes off that say which of two networks in a file to take: an average, not what it is an average of.
_PREFERRED = {"ema", "teacher", "averaged"}
_AVOIDED = {"momentum", "student", "target", "key", "k"}
# Endings that stand for others, and those that are left out: the authors' AC-Norm keeps both affines in one layer.
_ENDINGS = {"weight_target": "weight", "bias_target": "bias"}
_LEFT_OUT = ("weight_source", "bias_source")


def of_targets(state: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the affine that was trained, of layers that keep that of their source beside it (the authors' AC-Norm).

    Examples:
        >>> of_targets({"bn.weight_source": 1, "bn.weight_target": 2})
        {'bn.weight': 2}
    """
    if not any(name.rpartition(".")[2] in _ENDINGS for name in state):
        return state
    renamed = {}
    for name, value in state.items():
        place, dot, ending = name.rpartition(".")
        if ending not in _LEFT_OUT:
            renamed[place + dot + _ENDINGS.get(ending, ending)] = value
    return renamed


def without_inner_wrappers(name: str) -> str:
    """Return a name without what wrappers of single layers put into it, wherever it stands.

    Examples:
        >>> without_inner_wrappers("layer1._orig_mod.0.conv1.weight")
        'layer1.0.conv1.weight'
    """
    for inner in _INNER:
        name = name.replace(inner, "")
    return name


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
    names = list(wanted)
    wanted = frozenset(names)
    own = of_targets(state)
    came = {name: name for name in own}  # the file's name of each, by what it is called now
    best = _without_wrappers(came, wanted)
    plain = {without_inner_wrappers(name): name for name in own}
    others = () if plain == came else (plain, *_without_starts(plain, names), *_of_children(plain))
    for renamed in (*_without_starts(came, names), *_of_children(came), *others):
        if len(renamed) == len(came) and renamed.keys() != came.keys():
            best = max(best, _without_wrappers(renamed, wanted), key=lambda found: _score(found, wanted))
    for layers in _of_dense_layers(best):
        if len(layers) == len(best) and layers.keys() != best.keys():
            best = max(best, _without_wrappers(layers, wanted), key=lambda found: _score(found, wanted))
    return {name: own[origin] for name, origin in best.items()}


def _without_wrappers(state: Names, wanted: frozenset[str]) -> Names:
    """The names with runs of known prefixes off, or one put on; of equals the one that is to be preferred."""
    best, seen = dict(state), {frozenset(state)}
    score = _score(best, wanted)
    queue = [best]
    while queue:
        names = queue.pop(0)
        for candidate in (names, *(_prefixed(names, prefix, wanted) for prefix in _put_on(wanted))):
            if len(candidate) == len(names) and _score(candidate, wanted) > score:
                best, score = candidate, _score(candidate, wanted)
        for prefix in PREFIXES:
            stripped = _strip(names, prefix)
            if frozenset(stripped) not in seen and len(stripped) == len(names):
                seen.add(frozenset(stripped))
                queue.append(stripped)
    return best


@lru_cache(maxsize=1)
def _put_on(wanted: frozenset[str]) -> tuple[str, ...]:
    """The known prefixes, and the runs of them in the network's names: smp has timm's encoders in encoder.model."""
    runs = set()
    for name in wanted:
        run = ""
        while step := next((prefix for prefix in PREFIXES if name.startswith(run + prefix)), None):
            run += step
        runs.add(run)
    return tuple(dict.fromkeys((*PREFIXES, *sorted(runs - {""}))))


def _score(state: Names, wanted: frozenset[str]) -> tuple[int, int]:
    """How many names fit, and how many of these the file calls an average, less those with a name to avoid."""
    fitting = wanted & state.keys()
    return len(fitting), sum(_standing(state[name]) for name in fitting)


@cache
def _standing(name: str) -> int:
    words = set(re.split(r"[._]", name))
    return len(words & _PREFERRED) - len(words & _AVOIDED)


def _without_starts(state: Names, wanted: Sequence[str]) -> list[Names]:
    """The names with what stands before some of the network's first names off, whatever it is."""
    starts: dict[str, None] = {}
    for name in wanted[:3]:
        for part in (name, name.partition(".")[2]):
            for own in state if "." in part else ():
                if own.endswith(f".{part}"):
                    starts.setdefault(own.removesuffix(part))
    # The first of a network's names may end many others: what stands before most of the file's is the network's place.
    counts = {start: sum(name.startswith(start) for name in state) for start in starts}
    return [_strip(state, start) for start in sorted(starts, key=lambda start: -counts[start])[:8]]


def _of_children(state: Names) -> list[Names]:
    """Names for the numbers of a network's children, behind whatever stands before them."""
    found = []
    for name in state:
        for sign, rename in _RENAMINGS.items():
            if name == sign or name.endswith(f".{sign}"):
                found.append(rename(state, name.removesuffix(sign)))
    return found


def _of_resnet_children(state: Names, start: str, children: Mapping[str, str] = _CHILDREN) -> Names:
    renamed = {}
    for name, value in state.items():
        number, dot, rest = name.removeprefix(start).partition(".")
        known = name.startswith(start) and dot and number in children
        renamed[children[number] + dot + rest if known else name] = value
    return renamed


def _of_densenet_children(state: Names, start: str) -> Names:
    start += "0."
    return {
        f"features.{name.removeprefix(start)}" if name.startswith(start) else name: value
        for name, value in state.items()
    }


_RENAMINGS: dict[str, Callable[[Names, str], Names]] = {
    _OF_RESNET: _of_resnet_children,
    _OF_SMALL_RESNET: partial(_of_resnet_children, children=_SMALL_CHILDREN),
    _OF_DENSENET: _of_densenet_children,
}


def _of_dense_layers(state: Names) -> list[Names]:
    """As MONAI names the parts of a DenseNet's layer, and as torchvision and timm do (whose older files say norm.1)."""
    forms = r"\1layers.\2\3.", r"\1\2\3."
    return [{_OF_DENSE_LAYER.sub(form, name): value for name, value in state.items()} for form in forms]


def _strip(state: Names, prefix: str) -> Names:
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _prefixed(state: Names, prefix: str, wanted: Collection[str]) -> Names:
    return {prefix + name if prefix + name in wanted else name: value for name, value in state.items()}
