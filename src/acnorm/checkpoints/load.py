"""Load a checkpoint into a network, and say how much of it came in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from acnorm.checkpoints.keys import match_names
from acnorm.checkpoints.read import Checkpoint, read_checkpoint
from acnorm.checkpoints.refusals import refusal
from acnorm.checkpoints.stem import DepthRule, StemRule, adapt_stem, inflate
from acnorm.errors import UserError

MINIMUM_SHARE = 0.9
_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
_FIRST = 5
_STEM_WORDS = {
    "sum": "sum over channels",
    "mean": "mean over channels",
    "repeat": "repeating channels",
    "first": "keeping the first channels",
}


@dataclass(frozen=True)
class LoadReport:
    """What came from the checkpoint into the network.

    Names are the network's, except those of ``unexpected``, which are the file's. The head is new by design
    and stands apart. Shares are of the parameters (not the running statistics) and of the norm layers
    outside the head. ``file_share`` is the part of the file's values, among those named like the network's but for the
    numbers, that went into it: little where the file is of a deeper network. ``trained_norms`` names the norm layers
    whose weight and bias came from the file. ``how`` says how tensors were adapted.
    """

    file: Path
    sha256: str
    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    head: tuple[str, ...]
    parameter_share: float
    norm_share: float
    file_share: float
    trained_norms: tuple[str, ...]
    how: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON: counts, and the first names of each kind."""
        kinds = ("loaded", "adapted", "missing", "unexpected", "head")
        named = {kind: getattr(self, kind) for kind in kinds}
        return {
            "file": str(self.file),
            "sha256": self.sha256,
            **{kind: {"count": len(names), "names": list(names[:_FIRST])} for kind, names in named.items()},
            "parameter_share": self.parameter_share,
            "norm_share": self.norm_share,
            "file_share": self.file_share,
            "how": list(self.how),
        }

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        for kind in ("adapted", "missing", "unexpected"):
            names = getattr(self, kind)
            shown = f" ({', '.join(names[:_FIRST])}{', …' if len(names) > _FIRST else ''})" if names else ""
            parts.append(f"{len(names)} {kind}{shown}")
            if kind == "adapted" and self.how:
                parts[-1] += f" by {' and '.join(self.how)}"
        parts.append(f"head new ({len(self.head)} tensors)")
        of = "of the other" if self.head else "of the"
        shares = f"{self.parameter_share:.1%} {of} parameters and {self.norm_share:.1%} {of} norm layers"
        used = "" if self.file_share == 1 else f"; {self.file_share:.1%} of what it holds for such a network is used"
        return f"{self.file.name}: {', '.join(parts)}; {shares} come from the checkpoint{used}"


def load_checkpoint(
    model: nn.Module,
    file: Path | str | Checkpoint,
    *,
    head: str | None = None,
    stem: str | None = None,
    decoder: Sequence[str] = (),
    minimum_share: float = MINIMUM_SHARE,
    stem_rule: StemRule = "sum",
    depth_rule: DepthRule = "spread",
) -> LoadReport:
    """Load what fits from a checkpoint file into ``model``, in place, and report it.

    2D kernels are inflated to 3D where the network has such (``inflate``).

    Args:
        model: the network; the names of its state dict decide what fits.
        file: the checkpoint file, or what was read of it.
        head: name of the module that stays new (its classes differ), such as "fc".
        stem: name of the first convolution, whose input channels are adapted where they differ.
        decoder: names of modules that are pretrained too, and that stay new where the file is of an encoder alone.
        minimum_share: least share of the parameters outside the head that must load, and of what the file holds
            under names like the network's that must be used.
        stem_rule: how the stem's input channels are adapted (``adapt_stem``).
        depth_rule: how 2D kernels become 3D (``inflate``).

    Raises:
        UserError: the file cannot be read (see ``read_checkpoint``), less than ``minimum_share`` would load, the file is
            of a deeper network, or its shortcuts are of another kind; the model is then unchanged.

    Examples:
        >>> import tempfile, torch
        >>> file = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> torch.save(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)).state_dict(), file)
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
        >>> report = load_checkpoint(model, file, head="2", stem="0")
        >>> print(report)
        weights.pth: 6 tensors loaded, 1 adapted (0.weight) by sum over channels (3 to 1), 0 missing, 0 unexpected, head new (2 tensors); 100.0% of the other parameters and 100.0% of the other norm layers come from the checkpoint
    """  # noqa: E501
    checkpoint = file if isinstance(file, Checkpoint) else read_checkpoint(file)
    path = checkpoint.path
    own = model.state_dict()
    state = match_names(checkpoint.state, own)
    new = tuple(f"{part}." for part in (*_parts_left_new(decoder, state), *([] if head is None else [head])))
    head_names = tuple(name for name in own if name.startswith(new))
    wanted = {name: value for name, value in own.items() if name not in head_names}
    fitting, adapted, how = _fit(wanted, state, f"{stem}.weight", stem_rule, depth_rule)
    norms = [name for name in _affine_norms(model) if not name.startswith(new)]
    trained = tuple(name for name in norms if {f"{name}.weight", f"{name}.bias"} <= fitting.keys())
    report = LoadReport(
        file=checkpoint.path,
        sha256=checkpoint.sha256,
        loaded=tuple(name for name in fitting if _counts(name)),
        adapted=adapted,
        missing=tuple(name for name in wanted if name not in fitting and _counts(name)),
        unexpected=tuple(
            _with_shapes(name, state, own) for name in state if name not in {*fitting, *head_names} and _counts(name)
        ),
        head=head_names,
        parameter_share=_parameter_share(model, fitting, head_names),
        norm_share=len(trained) / max(1, len(norms)),
        file_share=_file_share({name: state[name] for name in state if name not in head_names}, wanted, fitting),
        trained_norms=trained,
        how=how,
    )
    told = refusal(report, model, checkpoint, state, minimum_share)
    if told is not None:
        raise UserError(told)
    odd = [name for name in fitting if own[name].is_floating_point() and not _usable(fitting[name])]
    if odd:
        kind = str(fitting[odd[0]].dtype).removeprefix("torch.")
        raise UserError(
            f"{path}: {odd[0]} holds {kind} (quantised?); give the weights as floating point of 16 bits or more."
        )
    broken = [name for name, value in fitting.items() if not bool(value.isfinite().all())]
    if broken:
        raise UserError(f"{path}: {broken[0]} holds NaN or infinity; the training that made the file went wrong.")
    own.update(fitting)  # it knows the versions of its layers, which some ask for
    model.load_state_dict(own)
    return report


def _parts_left_new(decoder: Sequence[str], state: Mapping[str, Tensor]) -> Sequence[str]:
    """All parts of a decoder where the file has none of it."""
    parts = tuple(f"{part}." for part in decoder)
    return () if any(name.startswith(parts) for name in state) else decoder


def _fit(
    wanted: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    stem_weight: str,
    stem_rule: StemRule,
    depth_rule: DepthRule,
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """The tensors of ``state`` that go into the network, the names of those that were adapted, and how they were."""
    fitting: dict[str, Tensor] = {}
    adapted: list[str] = []
    how: list[str] = []
    first = state.get(stem_weight), wanted.get(stem_weight)
    channels = None if first[0] is None or first[1] is None else _differ_in_channels(first[0], first[1])
    for name, value in wanted.items():
        found = state.get(name)
        if found is not None and found.ndim == 4 and value.ndim == 5 and found.shape[2:] == value.shape[2:4]:
            found = inflate(found, value.shape[4], depth_rule)
            adapted.append(name)
            how.append({"spread": "spreading over slices", "centre": "setting into the middle slice"}[depth_rule])
        if found is not None and channels is not None and _differ_in_channels(found, value) == channels:
            how.append(f"{_STEM_WORDS[stem_rule]} ({found.shape[1]} to {value.shape[1]})")
            found = adapt_stem(found, value.shape[1], stem_rule)
            adapted.append(name)
        if found is not None and found.shape == value.shape:
            fitting[name] = found
    return fitting, tuple(dict.fromkeys(adapted)), tuple(dict.fromkeys(how))


def _usable(value: Tensor) -> bool:
    return value.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _counts(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def _differ_in_channels(found: Tensor, wanted: Tensor) -> tuple[int, int] | None:
    """The input channels of two convolutions that differ in these alone; a stem may have several side by side."""
    sides = found.ndim - 2
    if sides < 1 or wanted.ndim < found.ndim or found.shape[0] != wanted.shape[0]:
        return None
    same = found.shape[2:] == wanted.shape[2 : 2 + sides]
    return (found.shape[1], wanted.shape[1]) if same and found.shape[1] != wanted.shape[1] else None


def _parameter_share(model: nn.Module, fitting: Mapping[str, Tensor], head: tuple[str, ...]) -> float:
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if name not in head}
    total = sum(sizes.values())
    return sum(size for name, size in sizes.items() if name in fitting) / total if total else 0.0


def _file_share(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> float:
    """Of the file's values under names like the network's but for the numbers, those that go into it."""
    kinds = {_without_numbers(name) for name in wanted}
    sizes = {name: value.numel() for name, value in state.items() if _without_numbers(name) in kinds and _counts(name)}
    total = sum(sizes.values())
    return sum(size for name, size in sizes.items() if name in fitting) / total if total else 1.0


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _affine_norms(model: nn.Module) -> list[str]:
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _NORMS) and getattr(module, "weight", None) is not None
    ]


def _with_shapes(name: str, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Say of a name that is in both but does not fit how its shapes differ."""
    return f"{name} {list(state[name].shape)} for {list(own[name].shape)}" if name in own else name
