"""Put AC-Norm into a whole network, and take it out again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from acnorm.core.census import (
    Census,
    ConversionError,
    NormLayer,
    _examine,
    _norm_layers,
    _refuse_unsuitable,
    _some,
    acnorm_layers,
)
from acnorm.core.correlation import EPS, TEMPERATURE
from acnorm.core.layer import ACNorm, Init, partners_of, why_not
from acnorm.core.partners import PAPER
from acnorm.core.together import work_alone, work_together

logger = logging.getLogger("acnorm")
Model = TypeVar("Model", bound=nn.Module)


def convert(
    model: Model,
    trained: Collection[str] | None = None,
    *,
    include: str | Sequence[str] = "*",
    exclude: str | Sequence[str] = (),
    norms: str = "batch",
    temperature: float = TEMPERATURE,
    eps: float = EPS,
    init: Init = "paper",
    partners: str = PAPER,
    state: Mapping[str, Tensor] | None = None,
) -> Model:
    """Wrap in place every norm layer whose affine came from training, and return the model.

    Call it after the pretrained weights are in and before the optimiser is made. What was converted and what
    was left alone, with the reason, is logged (logger "acnorm") and can be had from ``census(model)``.
    Fresh layers are left alone: an affine that is constant over channels (γ = 1, β = 0) resembles every
    source channel alike and would only double the output.

    Args:
        model: the network with its source weights loaded. Must not be a single norm layer itself.
        trained: names of the norm layers whose affine came from the checkpoint, as a load report gives
            them; the others are left alone. Without it, only a constant affine tells a fresh layer.
        include: name patterns (``fnmatch``, such as "layer1.*"); only matching layers are converted.
        exclude: name patterns of layers to leave alone.
        norms: kind of norm layers to convert: "batch" (the paper's), "instance", "group", or "any" of the three.
        temperature: of the softmax in C.
        eps: of the affine ratio.
        init: "paper" changes the outputs from the start, as published; "identity" starts as the plain network.
        partners: from which channels to borrow: "paper", or a control for ablations (``acnorm.core.partners``).
            Those drawn at random follow torch's seed and do not move its generator.
        state: a converted network's state dict, saved earlier: its wrappers are rebuilt in this plain network
            and the state is loaded. The other options but the model come from the state.

    Raises:
        ConversionError: nothing to convert (lists the norm layers found), converted already, a pattern or a
            trained name that matches no norm layer, an unknown kind of norm, or a state dict that holds no AC-Norm.

    Examples:
        >>> from acnorm.core.census import census
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        >>> _ = nn.init.normal_(model[1].bias)  # stands for weights from a checkpoint
        >>> print(census(convert(model)))
        converted 1 of 1 norm layers (1 BatchNorm2d)
        >>> saved, plain = model.state_dict(), nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        >>> type(convert(plain, state=saved)[1]).__name__
        'ACNorm'
    """
    if state is not None:
        given = trained, include, exclude, norms, temperature, eps, init, partners
        if given != (None, "*", (), "batch", TEMPERATURE, EPS, "paper", PAPER):
            raise ConversionError("state brings its own layers and options; give no others beside it.")
        return _rebuild(model, state)
    _refuse_unsuitable(model)
    found = _examine(model, trained, include=include, exclude=exclude, norms=norms)
    names = {layer.name for layer in found.converted}
    if not names:
        raise ConversionError(_nothing_to_convert(model, found))
    chosen = {aliases[0]: norm for norm, aliases in _norm_layers(model).values() if aliases[0] in names}
    _refuse_broken(chosen)
    options: dict[str, Any] = {"temperature": temperature, "eps": eps, "init": init, "partners": partners}
    options["generator"] = torch.Generator().manual_seed(torch.initial_seed())
    wrapped = {id(norm): ACNorm(norm, **options) for norm in chosen.values()}
    _replace(model, wrapped)
    _remember(model, found)
    logger.info("AC-Norm: %s", found)
    return model


def revert(model: Model) -> Model:
    """Put every wrapped layer back in place, with its affine as trained and without the recalibration.

    Right after ``convert`` this is the original network bit for bit. To keep what AC-Norm learnt, ``fold``.

    Args:
        model: a converted network.

    Raises:
        ConversionError: the model holds no AC-Norm layer.

    Examples:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        >>> _ = nn.init.normal_(model[1].bias)
        >>> type(revert(convert(model))[1]).__name__
        'BatchNorm1d'
    """
    layers = _layers_to("revert", model)
    _replace(model, {id(layer): layer.norm for layer in layers.values()})
    _forget(model)
    return model


def _layers_to(verb: str, model: nn.Module) -> dict[str, ACNorm]:
    """The layers that ``revert`` or ``fold`` takes out; refuses a model that has none or is one."""
    if isinstance(model, ACNorm):
        raise ConversionError(
            f"the model is a single ACNorm, which cannot be replaced in place; {verb} a module that holds it, "
            "such as nn.Sequential(layer)."
        )
    layers = acnorm_layers(model)
    if not layers:
        raise ConversionError(f"the model holds no AC-Norm layer; there is nothing to {verb}.")
    return layers


def _rebuild(model: Model, state: Mapping[str, Tensor]) -> Model:
    _refuse_unsuitable(model)
    suffix = ".source_weight"
    saved = {key.removesuffix(suffix) for key in state if key.endswith(suffix)}
    if not saved:
        raise ConversionError("the state dict holds no AC-Norm layer; load it with model.load_state_dict.")
    layers = _norm_layers(model)
    known = {name for _, aliases in layers.values() for name in aliases}
    if saved - known:
        missing = _some(sorted(saved - known))
        raise ConversionError(f"the state dict has AC-Norm at {missing}, where this model has no norm layer.")
    wrapped, notes = {}, []
    for norm, aliases in layers.values():
        name, reason = aliases[0], None
        if name in saved:
            unfit = why_not(norm)
            if unfit is not None:
                raise ConversionError(f"the state dict has AC-Norm at {name}, a {type(norm).__name__} here: {unfit}.")
            init: Init = "identity" if f"{name}.weight_offset" in state else "paper"
            partners = partners_of(state.get(f"{name}._extra_state", torch.empty(0)))
            wrapped[id(norm)] = ACNorm(norm, init=init, partners=partners, generator=torch.Generator())
        else:
            reason = "plain in the state dict"
        notes.append(NormLayer(name, type(norm).__name__, reason))
    before = deepcopy(model.state_dict())
    _replace(model, wrapped)
    try:
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        revert(model).load_state_dict(before)
        what = " ".join(str(error).split())
        raise ConversionError(
            f"the state dict does not fit the model ({what}); build the network that it was saved from."
        ) from None
    _remember(model, Census(tuple(notes)))
    return model


def _replace(model: nn.Module, replacements: Mapping[int, nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if id(child) in replacements:
                parent._modules[name] = replacements[id(child)]


def _refuse_broken(norms: Mapping[str, nn.Module]) -> None:
    affines = {name: (norm.get_parameter("weight"), norm.get_parameter("bias")) for name, norm in norms.items()}
    broken = [name for name, affine in affines.items() if not bool(torch.stack(affine).isfinite().all())]
    if broken:
        raise ConversionError(f"the affine of {_some(broken)} holds NaN or infinity; check the checkpoint.")


def _nothing_to_convert(model: nn.Module, found: Census) -> str:
    kinds = Counter(layer.type for layer in found.layers)
    if not kinds:
        return f"no norm layer in {type(model).__name__}: AC-Norm needs BatchNorm layers with an affine."
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    reasons = "; ".join(sorted({layer.reason or "" for layer in found.layers}))
    return (
        f"nothing to convert in {type(model).__name__} (found {listed}; {reasons}). "
        "AC-Norm needs BatchNorm layers whose affine came from training: load the checkpoint before convert, and let "
        "include, exclude and trained leave some."
    )


def _remember(model: nn.Module, found: Census) -> None:
    model.__dict__["_acnorm_census"] = found
    work_together(model)


def _forget(model: nn.Module) -> None:
    for module in model.modules():
        module.__dict__.pop("_acnorm_census", None)
        work_alone(module)
