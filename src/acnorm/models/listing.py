"""The networks by name, with their norm layers and sizes, which are found out without making their weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from acnorm.models.extras import extra_names
from acnorm.models.sources import MODELS, build_network, build_unet, find_source

_KINDS: dict[str, type[nn.Module]] = {
    "batch": _BatchNorm,
    "instance": _InstanceNorm,
    "group": nn.GroupNorm,
    "layer": nn.LayerNorm,
}


@dataclass(frozen=True)
class Entry:
    """One network: in which dimensions it comes, how many norm layers of each kind it has, and whose code it is.

    parameters: of its first form (2D where it comes in both), for one channel and two classes.
    """

    name: str
    dimensions: tuple[int, ...]
    norms: dict[str, int]
    parameters: int
    code: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def list_models(*, source: str | None = None, norm: str | None = None, dimensions: int | None = None) -> list[Entry]:
    """Return the networks of ``MODELS``, or those of an extra.

    Args:
        source: "timm", "torchvision" or "smp" in the place of ``MODELS``.
        norm: only those with layers of this kind: "batch", "instance", "group" or "layer".
        dimensions: only those that come in 2 or 3.

    Raises:
        UserError: the extra is not installed.

    Examples:
        >>> [entry.name for entry in list_models(norm="batch", dimensions=3)][0]
        'monai/resnet10'
    """
    found = []
    for name in list(MODELS) if source is None else extra_names(source):
        entry = _entry(name)
        if entry is None or (norm is not None and norm not in entry.norms):
            continue
        if dimensions is None or dimensions in entry.dimensions:
            found.append(entry)
    return found


def _entry(name: str) -> Entry | None:
    row = find_source(name)
    build = build_network if row.classifies else build_unet
    try:
        with torch.device("meta"):
            module = build(name, classes=2, channels=1, dimensions=row.dimensions[0]).module
    except Exception:  # of an extra's thousand networks some need more than a name
        if name in MODELS:
            raise
        return None
    norms = Counter(kind for layer in module.modules() for kind, base in _KINDS.items() if isinstance(layer, base))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Entry(name, row.dimensions, dict(norms), parameters, row.module.partition(".")[0])
