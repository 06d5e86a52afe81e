"""Take wrapper prefixes off the names of a state dict, so that they fit a network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

Value = TypeVar("Value")

# What wrappers and training frameworks put before a network's own names.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "encoder_q.")


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


def _strip(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _prefixed(state: Mapping[str, Value], prefix: str, wanted: Collection[str]) -> dict[str, Value]:
    return {prefix + name if prefix + name in wanted else name: value for name, value in state.items()}
