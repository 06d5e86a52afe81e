"""What a layer remembers of its C and shares with others, so that little is computed twice and nothing is stale.

Fused optimisers and edits of ``.data`` change parameters without a sign, so a layer keeps copies of the values that its
C was made from and compares them before each use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from acnorm.core.values import has_values


@dataclass
class _Memory:
    """What ``merged_apart`` gave for a layer last, from which values, and the affine where no gradient is asked."""

    options: tuple[object, ...]
    made_from: tuple[Tensor, ...]
    parts: tuple[Tensor, ...]
    affine: tuple[Tensor, Tensor] | None = None


@dataclass
class _Shared:
    """The merged affine with a gradient that several layers share, for the next use of the layer."""

    memory: _Memory
    own: tuple[Tensor, Tensor]
    affine: tuple[Tensor, Tensor]


class Remembering(nn.Module):
    """What ``ACNorm`` needs of its memory; abstract, for a module with a child ``norm`` and the source in buffers."""

    temperature: float
    affine_eps: float
    partners: str
    _memory: _Memory | None
    _shared: _Shared | None

    def remembers(self) -> bool:
        """Whether what C is made of holds the same values as when it was computed last, whatever changed them.

        To be asked only where the values can be looked at, see ``can_compare``.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> layer = ACNorm(nn.BatchNorm2d(8))
            >>> _ = layer.merged_affine()
            >>> layer.remembers()
            True
            >>> layer.weight.data[0] = 5
            >>> layer.remembers()
            False
        """
        memory = self._memory
        if memory is None or memory.options != self._options():
            return False
        return all(map(torch.equal, memory.made_from, self.affines()))

    def remember(self, made_from: Sequence[Tensor], parts: tuple[Tensor, ...]) -> None:
        """Keep what ``merged_apart`` gave for γ_t, β_t, γ_s and β_s, of which ``made_from`` are copies.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> layer = ACNorm(nn.BatchNorm2d(8))
            >>> from acnorm.core.correlation import merged_apart
            >>> affine = torch.stack((layer.weight.detach(), layer.bias.detach()))
            >>> layer.remember([*affine, *affine], merged_apart(affine, affine))
            >>> layer.remembers()
            True
        """
        # past nn.Module's own __setattr__, as the look-ups below
        self.__dict__["_memory"] = _Memory(self._options(), tuple(made_from), parts)

    def parts(self) -> tuple[Tensor, ...]:
        """Return what the layer remembers, as ``merged_apart`` gave it.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> layer = ACNorm(nn.BatchNorm2d(8))
            >>> _ = layer.merged_affine()
            >>> len(layer.parts())
            2
        """
        return cast(_Memory, self._memory).parts

    def can_share(self) -> bool:
        """Whether its affine learns and nothing hangs on its gradients, so that one step may serve several layers.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> ACNorm(nn.BatchNorm2d(8)).can_share(), ACNorm(nn.BatchNorm2d(8).requires_grad_(False)).can_share()
            (True, False)
        """
        own = self._affine()
        return not any(
            not value.requires_grad or value._backward_hooks or value._post_accumulate_grad_hooks
            for value in (own["weight"], own["bias"])
        )

    def share(self, affine: tuple[Tensor, Tensor] | None) -> None:
        """Take the merged affine, with its gradient, for the next use of the layer with the values that it remembers.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> layer = ACNorm(nn.BatchNorm2d(8))
            >>> weight, bias = layer.merged_affine()
            >>> layer.share((weight, bias))
            >>> layer.merged_affine()[0].equal(weight)
            True
        """
        own, memory = self._affine(), cast(_Memory, self._memory)
        shared = None if affine is None else _Shared(memory, (own["weight"], own["bias"]), affine)
        self.__dict__["_shared"] = shared

    def affines(self) -> tuple[Tensor, ...]:
        """Return what C is made of: γ_t, β_t, γ_s, β_s and, where partners are "permuted", their order.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> len(ACNorm(nn.BatchNorm2d(8)).affines())
            4
        """
        target, source = self._affine(), cast(dict[str, Tensor], self._buffers)
        four = target["weight"], target["bias"], source["source_weight"], source["source_bias"]
        order = source.get("partner_order")
        return four if order is None else (*four, order)

    def can_compare(self) -> bool:
        """Whether the layer remembers at all: its values can be looked at without waiting for them.

        Examples:
            >>> from acnorm.core.layer import ACNorm
            >>> ACNorm(nn.BatchNorm2d(8)).can_compare()
            True
        """
        # what is made inside a dispatch mode (that of fake tensors, say) may not outlast it
        weight, bias = self._affine().get("weight"), self._affine().get("bias")
        if not (type(weight) is type(bias) is nn.Parameter and has_values(weight) and bias.is_cpu):
            return False
        return _get_current_dispatch_mode() is None

    def _taken(self, memory: _Memory) -> tuple[Tensor, Tensor] | None:
        """What was shared with the layer, once, where it is still of the same values and the same parameters."""
        shared, own = self._shared, self._affine()
        if shared is None:
            return None
        self.__dict__["_shared"] = None
        same = shared.memory is memory and shared.own[0] is own["weight"] and shared.own[1] is own["bias"]
        return shared.affine if same and self.can_share() else None

    def _affine(self) -> dict[str, Tensor]:
        # past nn.Module's look-up of attributes: this is asked for several times a forward
        return cast(dict[str, Tensor], cast(nn.Module, self._modules["norm"])._parameters)

    def _options(self) -> tuple[object, ...]:
        # what was made in inference mode cannot take part in training
        own = self.temperature, self.affine_eps, self.partners
        return *own, self._affine()["weight"].dtype, torch.is_inference_mode_enabled()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memory": None, "_shared": None}
