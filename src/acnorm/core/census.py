"""Which norm layers a network has, which of them ``convert`` wraps, and why it leaves the others alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from acnorm.core.layer import NORMS, ACNorm, why_not

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
_CONVERTED_ALREADY = "the model is converted already; revert(model) first to convert it differently."


class ConversionError(ValueError):
    """The network cannot be converted, reverted or folded as asked; the message says why and what to do."""


@dataclass(frozen=True)
class NormLayer:
    """One norm layer of a network: its name, its type, and why it was left alone (None: converted)."""

    name: str
    type: str
    reason: str | None = None


@dataclass(frozen=True)
class Census:
    """What ``convert`` did, layer by layer."""

    layers: tuple[NormLayer, ...]

    @property
    def converted(self) -> tuple[NormLayer, ...]:
        """The layers that are (or would be) wrapped."""
        return tuple(layer for layer in self.layers if layer.reason is None)

    @property
    def left_alone(self) -> tuple[NormLayer, ...]:
        """The layers that stay plain, each with its reason."""
        return tuple(layer for layer in self.layers if layer.reason is not None)

    def __str__(self) -> str:
        """Say it in one line.

        Examples:
            >>> layers = (NormLayer("bn1", "BatchNorm2d"), NormLayer("bn2", "BatchNorm2d", "excluded by name"))
            >>> print(Census(layers))
            converted 1 of 2 norm layers (1 BatchNorm2d); left alone: 1 BatchNorm2d (excluded by name)
        """
        kinds = Counter(layer.type for layer in self.converted)
        text = f"converted {len(self.converted)} of {len(self.layers)} norm layers"
        if kinds:
            text += f" ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})"
        reasons = Counter((layer.type, layer.reason) for layer in self.left_alone)
        if reasons:
            left = ", ".join(f"{count} {kind} ({reason})" for (kind, reason), count in reasons.items())
            text += f"; left alone: {left}"
        return text


def census(
    model: nn.Module,
    trained: Collection[str] | None = None,
    *,
    include: str | Sequence[str] = "*",
    exclude: str | Sequence[str] = (),
    norms: str = "batch",
) -> Census:
    """Say which norm layers ``convert`` would wrap; of a converted model, which it did.

    Args:
        model: a plain or a converted network.
        trained: as in ``convert``.
        include: as in ``convert``.
        exclude: as in ``convert``.
        norms: as in ``convert``.

    Raises:
        ConversionError: as ``convert``, except that nothing to convert is an answer here.

    Examples:
        >>> print(census(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))))
        converted 0 of 1 norm layers; left alone: 1 BatchNorm1d (its affine is constant over channels: not trained)
    """
    if acnorm_layers(model) and not isinstance(model, ACNorm):
        if trained is not None or include != "*" or tuple(exclude) or norms != "batch":
            raise ConversionError(_CONVERTED_ALREADY)
        return _as_converted(model)
    _refuse_unsuitable(model)
    return _examine(model, trained, include=include, exclude=exclude, norms=norms)


def acnorm_layers(model: nn.Module) -> dict[str, ACNorm]:
    """Return the AC-Norm layers of a converted model by name, each once.

    Examples:
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        >>> _ = nn.init.normal_(model[1].bias)
        >>> list(acnorm_layers(convert(model)))
        ['1']
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, ACNorm)}


def _examine(
    model: nn.Module,
    trained: Collection[str] | None,
    *,
    include: str | Sequence[str],
    exclude: str | Sequence[str],
    norms: str,
) -> Census:
    if norms not in (*NORMS, "any"):
        raise ConversionError(f"norms is {norms!r}; it must be 'batch', 'instance', 'group' or 'any'.")
    layers = _norm_layers(model)
    trained = (trained,) if isinstance(trained, str) else trained
    chosen, dropped = _patterns(include), _patterns(exclude)
    names = [name for _, aliases in layers.values() for name in aliases]
    unknown = [pattern for pattern in (*chosen, *dropped) if pattern != "*" and not _matches(names, (pattern,))]
    unknown += [name for name in trained or () if name not in names]
    if unknown:
        there = f"there are: {_some(names)}" if names else "there is none"
        raise ConversionError(f"{unknown[0]!r} matches no norm layer; {there}.")
    notes = []
    for norm, aliases in layers.values():
        reason = _reason(norm, aliases, trained, chosen, dropped, norms)
        notes.append(NormLayer(aliases[0], type(norm).__name__, reason))
    return Census(tuple(notes))


def _norm_layers(model: nn.Module) -> dict[int, tuple[nn.Module, list[str]]]:
    """Every norm layer once, with all the names it goes by."""
    layers: dict[int, tuple[nn.Module, list[str]]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, _NORMS):
            layers.setdefault(id(module), (module, []))[1].append(name)
    return layers


def _refuse_unsuitable(model: nn.Module) -> None:
    if isinstance(model, (*_NORMS, ACNorm)):
        raise ConversionError(
            f"the model is a single {type(model).__name__}, which cannot be replaced in place; "
            "wrap it with acnorm.ACNorm(layer)."
        )
    if acnorm_layers(model):
        raise ConversionError(_CONVERTED_ALREADY)


def _some(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _as_converted(model: nn.Module) -> Census:
    """What ``convert`` noted; when only a part, or a module around this one, was converted, what is there."""
    layers = acnorm_layers(model)
    remembered = model.__dict__.get("_acnorm_census")
    if isinstance(remembered, Census) and {layer.name for layer in remembered.converted} == set(layers):
        return remembered
    inside = {id(layer.norm): name for name, layer in layers.items()}
    notes = []
    for key, (norm, aliases) in _norm_layers(model).items():
        converted = key in inside
        notes.append(NormLayer(inside.get(key, aliases[0]), type(norm).__name__, None if converted else "left plain"))
    return Census(tuple(notes))


def _reason(
    norm: nn.Module,
    aliases: Sequence[str],
    trained: Collection[str] | None,
    include: Sequence[str],
    exclude: Sequence[str],
    norms: str,
) -> str | None:
    if _matches(aliases, exclude):
        return "excluded by name"
    if not _matches(aliases, include):
        return "not included by name"
    reason = why_not(norm)
    if reason is not None:
        return reason
    if norms != "any" and not isinstance(norm, NORMS[norms]):
        return f"only {norms} norms are converted unless norms says otherwise"
    if trained is not None and not set(aliases) & set(trained):
        return "not named as loaded from the checkpoint"
    if _is_constant(norm) and (trained is None or norm.get_parameter("weight").numel() > 1):
        return "its affine is constant over channels: not trained"
    return None


def _is_constant(norm: nn.Module) -> bool:
    affine = torch.stack((norm.get_parameter("weight"), norm.get_parameter("bias"))).detach()
    return bool((affine == affine[:, :1]).all())


def _patterns(patterns: str | Sequence[str]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
