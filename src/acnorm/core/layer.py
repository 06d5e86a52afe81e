"""``ACNorm``: Affine Collaborative Normalization as a wrapper around a norm layer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from acnorm.core.correlation import (
    EPS,
    TEMPERATURE,
    affine_ratio,
    channel_correlation,
    merged_apart,
    recalibrate,
)
from acnorm.core.memory import Remembering, _Memory
from acnorm.core.merge import merge
from acnorm.core.partners import ALLOWED, PAPER, PERMUTED, from_number, is_known, to_number
from acnorm.core.values import exact

Init = Literal["paper", "identity"]
NORMS: dict[str, type[nn.Module]] = {"batch": _BatchNorm, "instance": _InstanceNorm, "group": nn.GroupNorm}
_PLAIN_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_SOURCE_BUFFERS = ("source_weight", "source_bias")
_OFFSET_BUFFERS = ("weight_offset", "bias_offset")


# A forward puts the merged affine in the place of the layer's own for its length: one thread at a time.
SWAPPING = threading.RLock()
_HIDDEN_WEIGHT = (
    "the weight of the wrapped layer is hidden by another tensor. FullyShardedDataParallel (FSDP 1) does so: use DDP "
    "or FSDP 2 (torch.distributed.fsdp.fully_shard). torch.nn.utils.prune and parametrize do so: use them after "
    "acnorm.fold(model)."
)
_TRACED = "torch.fx cannot trace AC-Norm, whose affine depends on values; call acnorm.fold(model) first."


class ACNorm(Remembering):
    """Run a norm layer with an affine in which each channel borrows from the source channels that resemble it.

    The wrapped layer stays as it is, as the child ``norm``: its kind, fused activation, running statistics
    and behaviour in train and eval. Its affine at the moment of wrapping is the source, kept in buffers; its
    parameters go on as the trainable target. Each forward takes C from the parameters as they are, so it is
    never stale, and calls the child once with γ + Cγ and β + Cβ (arXiv 2307.15282; the authors' code calls
    batch-norm twice, which moves the running statistics twice a step).

    With ``init="paper"`` the layer changes the network's output at once: channel i is scaled by about
    1 + P_ii. With ``init="identity"`` what C adds at the start is taken off again, γ + Cγ − C_s γ_s with C_s the
    source's correlation with itself, so the converted network starts as the original one.

    Args:
        norm: a layer with a learnable ``weight`` and ``bias`` of shape [channel] that its forward reads from
            itself: any BatchNorm of torch, SyncBatchNorm, InstanceNorm, GroupNorm, and subclasses of them. The paper
            has it for BatchNorm alone.
        temperature: of the softmax in C.
        eps: of the affine ratio β / (|γ| + ε).
        init: "paper" or "identity", see above.
        partners: from which channels to borrow, "paper" or a control for ablations (``acnorm.core.partners``).
        generator: draws the partners where they are "permuted"; torch's own where it is not given.

    Raises:
        TypeError: the layer has no learnable affine, or is an ``ACNorm`` already.
        ValueError: temperature or eps are not positive, init or partners are unknown, or the affine is not finite.

    Examples:
        >>> layer = ACNorm(nn.BatchNorm2d(8))
        >>> layer(torch.randn(4, 8, 5, 5)).shape
        torch.Size([4, 8, 5, 5])
        >>> layer.weight is layer.norm.weight
        True
    """

    source_weight: Tensor
    source_bias: Tensor
    weight_offset: Tensor
    bias_offset: Tensor

    def __init__(
        self,
        norm: nn.Module,
        *,
        temperature: float = TEMPERATURE,
        eps: float = EPS,
        init: Init = "paper",
        partners: str = PAPER,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        reason = why_not(norm)
        if reason is not None:
            raise TypeError(f"ACNorm cannot wrap {type(norm).__name__}: {reason}.")
        _check_options(temperature, eps, init, partners)
        weight, bias = cast(Tensor, norm.weight), cast(Tensor, norm.bias)
        if not bool(torch.isfinite(weight).all() & torch.isfinite(bias).all()):
            raise ValueError(f"the affine of {type(norm).__name__} holds NaN or infinity; check the checkpoint.")
        self.norm = norm
        self.temperature = float(temperature)
        self.affine_eps = float(eps)
        self.partners = partners
        self.enabled = True
        self._memory = None
        self._shared = None
        self.register_buffer("source_weight", weight.detach().clone())
        self.register_buffer("source_bias", bias.detach().clone())
        if partners == PERMUTED:
            order = torch.randperm(weight.numel(), generator=generator)
            self.register_buffer("partner_order", order.to(weight.device))
        if init == "identity":
            self._register_offsets()
        self.register_load_state_dict_pre_hook(_complete_state)  # type: ignore[no-untyped-call]
        self.train(norm.training)

    @property
    def init(self) -> Init:
        """ "paper" or "identity"."""
        return "identity" if "weight_offset" in self._buffers else "paper"

    def merged_affine(self) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
        """Return the weight and bias that the forward uses, in the dtype of the parameters.

        Examples:
            >>> layer = ACNorm(nn.BatchNorm2d(8), init="identity")
            >>> bool(torch.allclose(layer.merged_affine()[0], layer.weight))
            True
        """
        weight, bias = self._merged_affine()
        return weight.clone(), bias.clone()

    def correlation(self) -> Float[Tensor, "channel channel"]:
        """Return C as it stands, without gradient.

        Examples:
            >>> ACNorm(nn.BatchNorm2d(8)).correlation().shape
            torch.Size([8, 8])
        """
        return channel_correlation(*self.ratios(), **self._rule())

    def ratios(self) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
        """Return the affine ratios r_t and r_s, without gradient.

        Examples:
            >>> target, source = ACNorm(nn.BatchNorm2d(8)).ratios()
            >>> bool((target == source).all())
            True
        """
        with torch.no_grad():
            target = affine_ratio(exact(self.weight), exact(self.bias), eps=self.affine_eps)
            return target, affine_ratio(exact(self.source_weight), exact(self.source_bias), eps=self.affine_eps)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` as the wrapped layer does, with the recalibrated affine."""
        if not self.enabled:
            return cast(Tensor, self.norm(input))
        if torch.compiler.is_compiling():
            return self._normalise(input)
        with SWAPPING:
            return self._normalise(input)

    def _normalise(self, input: Tensor) -> Tensor:
        if "weight" in self.norm.__dict__ or not self._affine().keys() >= {"weight", "bias"}:
            raise RuntimeError(_HIDDEN_WEIGHT)
        if isinstance(input, torch.fx.Proxy):
            raise TypeError(_TRACED)
        weight, bias = self._merged_affine()
        if torch.compiler.is_compiling():
            affine = {"weight": weight, "bias": bias}
            return cast(Tensor, functional_call(self.norm, affine, (input,), tie_weights=False))
        # what functional_call does, in a third of its time
        affine = self._affine()
        own = affine["weight"], affine["bias"]
        affine["weight"], affine["bias"] = weight, bias
        try:
            return cast(Tensor, self.norm(input))
        finally:
            affine["weight"], affine["bias"] = own

    def _merged_affine(self) -> tuple[Tensor, Tensor]:
        if not self.can_compare():
            return self._finish(self._merge(self._parts_now()))
        if not self.remembers():
            self.remember([value.detach().clone() for value in self.affines()], self._parts_now())
        memory, own = cast(_Memory, self._memory), self._affine()
        if torch.is_grad_enabled() and (own["weight"].requires_grad or own["bias"].requires_grad):
            return self._finish(self._taken(memory) or self._merge(memory.parts))
        if memory.affine is None:
            memory.affine = self._merge(memory.parts)
        return self._finish(memory.affine)

    def _rule(self) -> dict[str, Any]:
        order = self._buffers.get("partner_order")
        return {"temperature": self.temperature, "partners": self.partners, "order": order}

    def _parts_now(self) -> tuple[Tensor, ...]:
        weight, bias, source_weight, source_bias, *_ = self.affines()
        affine, source = torch.stack((weight.detach(), bias.detach())), torch.stack((source_weight, source_bias))
        return merged_apart(affine, source, eps=self.affine_eps, **self._rule())

    def _merge(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        return merge(self._affine()["weight"], self._affine()["bias"], *parts)

    def _finish(self, merged: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        weight, bias = merged
        if "weight_offset" in self._buffers:
            weight, bias = weight - self.weight_offset, bias - self.bias_offset
        dtype = self._affine()["weight"].dtype
        return (weight, bias) if weight.dtype == dtype else (weight.to(dtype), bias.to(dtype))

    def extra_repr(self) -> str:
        """Show the options."""
        told = f"temperature={self.temperature}, eps={self.affine_eps}, init={self.init!r}"
        return told if self.partners == PAPER else f"{told}, partners={self.partners!r}"

    # What code written for the plain layer reads and writes: layer.weight, layer.momentum, layer.running_mean.

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            modules = self.__dict__.get("_modules", {})
            if "norm" in modules and not name.startswith("_"):
                return getattr(modules["norm"], name)
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        norm = self.__dict__.get("_modules", {}).get("norm")
        own = name in _OWN or name.startswith("_") or hasattr(type(self), name)
        if norm is not None and not own and hasattr(norm, name):
            setattr(norm, name, value)
        else:
            super().__setattr__(name, value)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Replace the child; ``convert_sync_batchnorm`` comes this way and may not strip a layer's own behaviour."""
        current = self._modules.get("norm")
        if name == "norm" and isinstance(module, nn.SyncBatchNorm) and type(current) not in _PLAIN_NORMS:
            raise TypeError(
                f"convert_sync_batchnorm would turn {type(current).__name__} into a bare SyncBatchNorm and lose what "
                "it adds (an activation, say). Convert such layers with their own library's function "
                "(timm.layers.convert_sync_batchnorm) before acnorm.convert."
            )
        super().add_module(name, module)

    def get_extra_state(self) -> Tensor:
        """Temperature, eps and, unless it is the paper's, the rule of partners: as float64, so that all is tensors."""
        rule = [] if self.partners == PAPER else [to_number(self.partners)]
        return torch.tensor([self.temperature, self.affine_eps, *rule], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take temperature, eps and partners from a saved state."""
        if state.shape not in ((2,), (3,)):
            told = "temperature, eps and, unless they are the paper's, partners"
            raise ValueError(f"the options of an ACNorm are {told}; the state has {state.tolist()}.")
        temperature, eps, *_ = state.tolist()
        partners = partners_of(state)
        _check_options(temperature, eps, self.init, partners)
        self.temperature, self.affine_eps, self.partners = temperature, eps, partners

    def _register_offsets(self) -> None:
        source = (self.source_weight, self.source_bias)
        borrowed = recalibrate(*source, *source, eps=self.affine_eps, **self._rule())
        for name, merged, own in zip(_OFFSET_BUFFERS, borrowed, source, strict=True):
            self.register_buffer(name, merged - own.to(merged.dtype))


_OPTIONS = ("temperature", "affine_eps", "partners")
_OWN = {"norm", "enabled", "training", "partner_order", *_OPTIONS, *_SOURCE_BUFFERS, *_OFFSET_BUFFERS}


def partners_of(extra_state: Tensor) -> str:
    """Return the partners that the extra state of a layer tells.

    Raises:
        ValueError: a number that stands for no rule.

    Examples:
        >>> partners_of(ACNorm(nn.BatchNorm2d(8), partners="own").get_extra_state())
        'own'
    """
    return PAPER if extra_state.numel() < 3 else from_number(float(extra_state[2]))


def why_not(norm: nn.Module) -> str | None:
    """Return why a norm layer cannot be wrapped, or None when it can.

    Examples:
        >>> why_not(nn.BatchNorm2d(4, affine=False))
        'it has no learnable weight and bias'
    """
    if isinstance(norm, ACNorm):
        return "it is an ACNorm already"
    if isinstance(norm, nn.modules.lazy.LazyModuleMixin) and norm.has_uninitialized_params():
        return "it is lazy and has not seen an input yet"
    if torch.nn.utils.parametrize.is_parametrized(norm):
        return "its affine is parametrized"
    if not isinstance(norm, tuple(NORMS.values())):
        return "only batch, instance and group norms can be converted"
    weight, bias = norm._parameters.get("weight"), norm._parameters.get("bias")
    if weight is None or bias is None:
        return "it has no learnable weight and bias"
    if weight.is_meta:
        return "it is on the meta device and holds no values yet"
    return None


@contextmanager
def without_recalibration(model: nn.Module) -> Iterator[None]:
    """Switch AC-Norm off inside the block: the converted model computes what plain fine-tuning would.

    Args:
        model: a converted model, or any module that holds ``ACNorm`` layers.

    Examples:
        >>> layer, images = ACNorm(nn.BatchNorm2d(8)), torch.randn(4, 8, 5, 5)
        >>> with without_recalibration(layer):
        ...     plain = layer(images)
        >>> bool(torch.equal(plain, layer.norm(images))), bool(torch.equal(plain, layer(images)))
        (True, False)
    """
    layers = [module for module in model.modules() if isinstance(module, ACNorm)]
    before = [layer.enabled for layer in layers]
    for layer in layers:
        layer.enabled = False
    try:
        yield
    finally:
        for layer, enabled in zip(layers, before, strict=True):
            layer.enabled = enabled


def _check_options(temperature: float, eps: float, init: str, partners: str) -> None:
    for name, value in (("temperature", temperature), ("eps", eps)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value}; it must be a positive number.")
    if init not in ("paper", "identity"):
        raise ValueError(f"init is {init!r}; it must be 'paper' or 'identity'.")
    if not is_known(partners):
        raise ValueError(f"partners is {partners!r}; it must be {ALLOWED}.")


def _complete_state(layer: ACNorm, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Let a plain state dict load: move bn.weight to bn.norm.weight and keep the source that is there."""
    if prefix + "source_weight" in state:
        return
    for key in [key for key in state if key.startswith(prefix)]:
        name = key.removeprefix(prefix)
        if not name.startswith("norm."):
            state[f"{prefix}norm.{name}"] = state.pop(key)
    for name, value in layer._buffers.items():
        state[prefix + name] = value
    state[prefix + "_extra_state"] = layer.get_extra_state()
