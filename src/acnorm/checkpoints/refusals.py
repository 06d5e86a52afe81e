"""Why a checkpoint should not go into a network, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from acnorm.checkpoints.layouts import known_layout
from acnorm.checkpoints.read import Checkpoint

if TYPE_CHECKING:
    from acnorm.checkpoints.load import LoadReport

_OF_RESNET = re.compile(r"(encoder\.)?layer1\.0\.")
_SHORTCUT = re.compile(r"(encoder\.)?layer\d\.\d+\.downsample\.")


def refusal(
    report: LoadReport, model: nn.Module, checkpoint: Checkpoint, state: Mapping[str, Tensor], minimum: float
) -> str | None:
    """Say why a checkpoint should not go into a network; None where it may.

    Args:
        report: what would load.
        model: the network.
        checkpoint: as read.
        state: its tensors by names that fit the network.
        minimum: least share of the parameters that must load, and of what the file holds that must be used.

    Examples:
        >>> refusal.__name__
        'refusal'
    """
    other = _other_shortcuts(report, state)
    if other is not None and minimum > 0:
        return other
    if report.parameter_share < minimum:
        return _too_little(report, model, checkpoint, minimum)
    if report.file_share < minimum:
        return _left_over(report, model, minimum)
    return None


def _other_shortcuts(report: LoadReport, state: Mapping[str, Tensor]) -> str | None:
    """What to do where a ResNet's shortcuts are of another kind than the network's: its features would differ."""
    if not any(_OF_RESNET.match(name) for name in state):
        return None

    def some(names: Iterable[str], end: str = "") -> bool:
        return any(_SHORTCUT.match(name) and name.partition(" ")[0].endswith(end) for name in names)

    if some(report.missing) and not some(state):
        told = (
            "its shortcuts hold no parameters (type A, as MedicalNet's ResNet-18 and 34), those of the network do; "
            "give a model such as monai/resnet18a, or --minimum-share 0 to train new ones."
        )
    elif some(report.unexpected) and not some((*report.loaded, *report.missing)):
        told = (
            "its shortcuts are convolutions (type B), those of the network hold no parameters; "
            "give a model such as monai/resnet18, or --minimum-share 0 to leave them out."
        )
    elif some(report.unexpected, ".0.bias"):
        told = (
            "the convolutions of its shortcuts have a bias, as in MONAI by default, those of the network none; "
            "give a model such as monai/resnet18-bias, or --minimum-share 0 to leave them out."
        )
    elif some(report.missing, ".0.bias") and some(report.loaded, ".0.weight"):
        told = (
            "the convolutions of its shortcuts have no bias, those of the network do; "
            "give a model such as monai/resnet18, or --minimum-share 0 to train new ones."
        )
    else:
        return None
    return f"{report.file}: {told}"


def _too_little(report: LoadReport, model: nn.Module, checkpoint: Checkpoint, minimum: float) -> str:
    lacking, there = ", ".join(report.missing[:3]), ", ".join(list(checkpoint.state)[:3])
    return (
        f"{report.file}: only {report.parameter_share:.1%} of the parameters of {type(model).__name__} would load "
        f"(at least {minimum:.0%} must). The network lacks {len(report.missing)} tensors ({lacking}, …); the file "
        f"has {there}, … {_advice(model, checkpoint)}"
    )


def _advice(model: nn.Module, checkpoint: Checkpoint) -> str:
    layout = known_layout(checkpoint.state, (*checkpoint.beside, *checkpoint.wrapper))
    if layout is not None and not layout.models:
        return f"It looks like {layout.name}: {layout.advice}."
    sides = [_sides(values) for values in (checkpoint.state, model.state_dict())]
    if sides == [3, 2]:
        return "Its kernels are 3D, those of the network 2D: give it volumes, or a checkpoint of a 2D network."
    return "Give the --model that the file was made with, or allow less with --minimum-share."


def _sides(state: Mapping[str, Tensor]) -> int | None:
    return next((value.ndim - 2 for value in state.values() if value.ndim in (4, 5)), None)


def _left_over(report: LoadReport, model: nn.Module, minimum: float) -> str:
    names = ", ".join(report.unexpected[:3])
    return (
        f"{report.file}: is of a deeper network than {type(model).__name__} as asked for: {report.file_share:.1%} of "
        f"what it holds would be used (at least {minimum:.0%} must), {len(report.unexpected)} tensors would be left "
        f"over ({names}, …). Give the --model that the file was made with, or allow less with --minimum-share."
    )
