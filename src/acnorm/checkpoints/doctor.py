"""What a checkpoint file holds, for which network it is, and how trained its norm layers look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Any, cast

import torch
from torch import Tensor, nn

from acnorm.checkpoints.keys import match_names, of_targets
from acnorm.checkpoints.layouts import Layout, known_layout
from acnorm.checkpoints.read import Checkpoint

SOME = 0.5  # of the network's parameters and of the file's, from which it is a guess worth telling
NEVER_MOVED = 1e-6
FEW = 4  # channels, that images have and features have not


@dataclass(frozen=True)
class Norms:
    """The norm layers in a file, known by a weight and a bias of one axis beside each other with a mean, or without.

    layers: with weight and bias.
    running: with running statistics (BatchNorm).
    constant: whose weight and bias are the same in all channels, as in a network that was never trained.
    gamma, ratio_spread: medians over the layers of the mean of γ, and of the deviation of β / |γ| over channels, the
        mark that AC-Norm compares.
    """

    layers: int
    running: int
    constant: int
    gamma: float | None
    ratio_spread: float | None


@dataclass(frozen=True)
class Guess:
    """A network that the file may be for.

    share: of its parameters without the head, what the file holds.
    used: of the file's values, what it and its head would take.
    """

    model: str
    dimensions: int
    share: float
    used: float


@dataclass(frozen=True)
class CheckpointFacts:
    """What is known of a checkpoint file.

    size: in bytes.
    parameters: values in all tensors.
    dimensions: of its convolutions (None: it has none).
    channels: that its first convolution takes.
    classes: rows of its last matrix, often the classes.
    layout, advice, licence: a public layout that it fits, what to do with it, and what binds those who use it.
    card: how it was made, where ``acnorm pretrain`` made it.
    guesses: networks that it may be for, the likeliest first.
    """

    file: str
    size: int
    sha256: str
    kind: str
    wrapper: tuple[str, ...]
    beside: tuple[str, ...]
    tensors: int
    parameters: int
    first_names: tuple[str, ...]
    dimensions: int | None
    channels: int | None
    classes: int | None
    norms: Norms
    layout: str | None
    advice: str | None
    licence: str | None
    card: dict[str, Any] | None
    guesses: tuple[Guess, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None for what is not finite."""
        return cast(dict[str, Any], finite(asdict(self)))


def finite(value: Any) -> Any:
    """Return plain values with None for NaN and infinity, which JSON has not.

    Examples:
        >>> finite({"a": [1.0, float("nan")]})
        {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


Candidate = tuple[str, int, Callable[[int], tuple[nn.Module, str]]]


def examine(checkpoint: Checkpoint, candidates: Iterable[Candidate] = ()) -> CheckpointFacts:
    """Return what a checkpoint holds.

    Args:
        checkpoint: as read.
        candidates: of each network that it may be for: its name (of each of its forms), its dimensions, and a function
            that builds it for a number of channels and gives it with the name of its head. It is built without memory
            (on the meta device).

    Examples:
        >>> from pathlib import Path
        >>> weights = {"module.conv.weight": torch.ones(8, 3, 5, 5), "module.fc.weight": torch.ones(4, 8)}
        >>> facts = examine(Checkpoint(Path("a.pth"), "", weights))
        >>> facts.dimensions, facts.channels, facts.classes, facts.parameters
        (2, 3, 4, 632)
    """
    state = checkpoint.state
    kernels = [value for value in state.values() if value.ndim in (4, 5)]
    matrices = [value for value in state.values() if value.ndim == 2]
    layout = known_layout(state, (*checkpoint.beside, *checkpoint.wrapper))
    dimensions = kernels[0].ndim - 2 if kernels else None
    channels = _channels(kernels)
    return CheckpointFacts(
        file=str(checkpoint.path),
        size=checkpoint.path.stat().st_size if checkpoint.path.is_file() else 0,
        sha256=checkpoint.sha256,
        kind=checkpoint.kind,
        wrapper=checkpoint.wrapper,
        beside=checkpoint.beside,
        tensors=len(state),
        parameters=sum(value.numel() for value in state.values()),
        first_names=tuple([name for name in state if not name.endswith("num_batches_tracked")][:3]),
        dimensions=dimensions,
        channels=channels,
        classes=int(matrices[-1].shape[0]) if matrices else None,
        norms=_norms(of_targets(state)),
        layout=None if layout is None else layout.name,
        advice=None if layout is None else layout.advice,
        licence=None if layout is None else layout.licence,
        card=checkpoint.card,
        guesses=_guesses(state, _possible(candidates, layout, dimensions), channels),
    )


def _channels(kernels: Sequence[Tensor]) -> int | None:
    """What the first convolution takes: it alone has so few channels, and a file need not keep the order of layers."""
    wide = [int(kernel.shape[1]) for kernel in kernels if max(kernel.shape[2:]) > 1]
    few = [count for count in wide if 1 < count <= FEW]
    few += [1] if wide.count(1) == 1 else []  # several may be convolutions channel by channel
    return min(few, default=next(iter(wide or [int(kernel.shape[1]) for kernel in kernels]), None))


def _norms(state: Mapping[str, Tensor]) -> Norms:
    places = [
        name.removesuffix("weight")
        for name, value in state.items()
        if name.endswith("weight") and value.ndim == 1 and value.numel() and value.is_floating_point()
        if _has_bias(state, name)
    ]
    gammas, spreads, constant = [], [], 0
    for place in places:
        weight, bias = (state[f"{place}{part}"].double() for part in ("weight", "bias"))
        spread = float((bias / weight.abs().clamp_min(1e-12)).std(correction=0))
        still = max(float(part.std(correction=0)) for part in (weight, bias))
        constant += still < NEVER_MOVED and len(weight) > 1
        gammas.append(float(weight.mean()))
        spreads.append(spread)
    return Norms(
        layers=len(places),
        running=sum(f"{place}running_mean" in state for place in places),
        constant=constant,
        gamma=float(torch.tensor(gammas).median()) if gammas else None,
        ratio_spread=float(torch.tensor(spreads).median()) if spreads else None,
    )


def _has_bias(state: Mapping[str, Tensor], weight: str) -> bool:
    bias = state.get(f"{weight.removesuffix('weight')}bias")
    return bias is not None and bias.shape == state[weight].shape


def _possible(candidates: Iterable[Candidate], layout: Layout | None, dimensions: int | None) -> list[Candidate]:
    """Those of the file's dimensions that its layout may be for."""
    pattern = "*" if layout is None else layout.models
    return [row for row in candidates if row[1] == dimensions and fnmatch(row[0], pattern)]


def _guesses(state: Mapping[str, Tensor], candidates: Iterable[Candidate], channels: int | None) -> tuple[Guess, ...]:
    found = []
    total = sum(value.numel() for value in state.values())
    for name, dimensions, build in candidates:
        with torch.device("meta"):
            module, head = build(channels or 1)
        wanted = module.state_dict()
        matched = match_names(state, wanted)
        sizes = {
            key: parameter.numel() for key, parameter in module.named_parameters() if not key.startswith(f"{head}.")
        }
        fitting = sum(size for key, size in sizes.items() if key in matched and matched[key].shape == wanted[key].shape)
        taken = {id(matched[key]) for key in matched if key in wanted}
        used = sum(value.numel() for value in state.values() if id(value) in taken)
        copies = _copied(state, [name for name, value in state.items() if id(value) in taken])
        found.append(Guess(name, dimensions, fitting / max(1, sum(sizes.values())), used / max(1, total - copies)))
    likely = [guess for guess in found if min(guess.share, guess.used) >= SOME]
    best: dict[str, Guess] = {}
    for guess in sorted(likely, key=lambda guess: (guess.share * guess.used, guess.share), reverse=True):
        best.setdefault(guess.model, guess)  # of two forms of a network the likelier
    return tuple(best.values())[:3]


def _copied(state: Mapping[str, Tensor], taken: Sequence[str]) -> int:
    """How many values of the file are of a second network like the one that is taken, as MoCo's for keys."""
    own = {(end, state[name].shape) for name in taken for end in _ends(name)}
    others = state.keys() - set(taken)
    return sum(state[name].numel() for name in others if any((end, state[name].shape) in own for end in _ends(name)))


def _ends(name: str) -> list[str]:
    """What stands behind each wrapper that a name may have: not behind the number of a layer."""
    parts = name.split(".")
    cuts = [at for at in range(1, len(parts) - 1) if not parts[at - 1][-1:].isdigit()]
    return [name, *(".".join(parts[at:]) for at in cuts)]
