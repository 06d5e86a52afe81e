"""The correlations of all layers of equal width at once, whenever a converted network runs on a CPU.

Layer by layer it takes some sixty small operations, whose start costs more than their work. As its forward begins, the
network that ``convert`` was given does them once for all its layers of one width whose affine has changed, and the
layers remember the result with the values that it was made from. Each compares them again before it uses the result,
so that nothing can be stale.

The step of the gradient is one for all of them as well, where nobody can tell: not where hooks hang on the parameters,
nor where processes work together. A shared step would call hooks of parameters that a loss does not depend on (those
of DistributedDataParallel among them), so there each layer has its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from acnorm.core.correlation import Source, merged_apart, prepare_source
from acnorm.core.layer import SWAPPING, ACNorm
from acnorm.core.merge import merge_together
from acnorm.core.partners import PAPER


def work_together(model: nn.Module) -> None:
    """Let a forward of ``model`` compute what its AC-Norm layers need together from now on.

    Examples:
        >>> model = nn.Sequential(ACNorm(nn.BatchNorm1d(4)), ACNorm(nn.BatchNorm1d(4)))
        >>> work_together(model)
        >>> model(torch.ones(2, 4)).shape
        torch.Size([2, 4])
    """
    work_alone(model)
    model.register_forward_pre_hook(_Together())


def work_alone(model: nn.Module) -> None:
    """Take back ``work_together``.

    Examples:
        >>> model = nn.Sequential(ACNorm(nn.BatchNorm1d(4)))
        >>> work_together(model)
        >>> work_alone(model)
        >>> len(model._forward_pre_hooks)
        0
    """
    for key in [key for key, hook in model._forward_pre_hooks.items() if isinstance(hook, _Together)]:
        del model._forward_pre_hooks[key]


class _Together:
    """The hook, which keeps what follows from the sources alone, by the kind of the layers."""

    def __init__(self) -> None:
        self._prepared: dict[object, tuple[Tensor, Source]] = {}

    def __reduce__(self) -> tuple[type[_Together], tuple[()]]:
        return _Together, ()  # copies and files hold nothing that was computed

    def __call__(self, model: nn.Module, _: Any) -> None:
        # without gradient little changes between forwards, and to look twice at every layer costs more than it saves;
        # what is made in inference mode cannot take part in training
        if torch.compiler.is_compiling() or not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            return
        with SWAPPING:
            self._work(model)

    def _work(self, model: nn.Module) -> None:
        alone = torch.distributed.is_available() and torch.distributed.is_initialized()
        alike = defaultdict(list)
        for layer in model.modules():
            if isinstance(layer, ACNorm) and layer.enabled and layer.partners == PAPER and layer.can_compare():
                layer.share(None)  # what a layer did not use in an earlier forward
                weight, _, source_weight, _ = layer.affines()
                kind = weight.shape, weight.dtype, source_weight.dtype, layer.temperature, layer.affine_eps
                alike[kind, not alone and layer.can_share()].append(layer)
        for (kind, shares), layers in alike.items():
            parts = self._remember(layers, (kind, shares))
            if shares and len(layers) > 1:
                affines = [value for layer in layers for value in layer.affines()[:2]]
                merged = merge_together(affines, *parts)
                for layer, *affine in zip(layers, merged[::2], merged[1::2], strict=True):
                    layer.share((affine[0], affine[1]))

    @torch.no_grad()
    def _remember(self, layers: Sequence[ACNorm], kind: object) -> list[Tensor]:
        """Compute what layers of one kind do not remember; return what ``merged_apart`` gives for all, side by side."""
        changed = [layer for layer in layers if not layer.remembers()]
        if changed:
            affines = [layer.affines() for layer in changed]
            target = torch.stack([value for own in affines for value in own[:2]])
            source = torch.stack([value for own in affines for value in own[2:]])
            options: dict[str, Any] = {"temperature": changed[0].temperature, "eps": changed[0].affine_eps}
            parts = merged_apart(target.view(len(changed), 2, -1), self._prepare(source, kind, options), **options)
            targets, sources, of_layers = target.unbind(), source.unbind(), [part.unbind() for part in parts]
            for at, layer in enumerate(changed):
                own = slice(2 * at, 2 * at + 2)
                layer.remember(targets[own] + sources[own], tuple(part[at] for part in of_layers))
            if len(changed) == len(layers):
                return list(parts)
        return [torch.stack(several) for several in zip(*(layer.parts() for layer in layers), strict=True)]

    def _prepare(self, source: Tensor, kind: object, options: dict[str, Any]) -> Source:
        held = self._prepared.get(kind)  # what it was made from, and what was made
        if held is None or not torch.equal(held[0], source):
            held = source, prepare_source(source.view(source.shape[0] // 2, 2, -1), **options)
            self._prepared[kind] = held
        return held[1]
