"""The checkpoint doctor: what a file holds, and what of it would go into which network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from acnorm.checkpoints.doctor import Candidate, CheckpointFacts, examine
from acnorm.checkpoints.load import MINIMUM_SHARE, LoadReport, load_checkpoint
from acnorm.checkpoints.read import read_checkpoint
from acnorm.errors import UserError
from acnorm.models.sources import MODELS, build_network, build_unet, find_source


@dataclass(frozen=True)
class Diagnosis:
    """What a checkpoint file holds and, where a model was named, what would load into it or why nothing would.

    Examples:
        >>> Diagnosis.__name__
        'Diagnosis'
    """

    facts: CheckpointFacts
    load: LoadReport | None = None
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        load = None if self.load is None else self.load.to_dict()
        return {**self.facts.to_dict(), "load": load, "refused": self.refused}


def checkpoint(
    file: Path | str,
    model: str | None = None,
    *,
    channels: int | None = None,
    classes: int = 2,
    dimensions: int | None = None,
    segments: bool = False,
) -> Diagnosis:
    """Say what is in a checkpoint file and, of a named model, what would load into it.

    Nothing in the file is run, and nothing is written.

    Args:
        file: safetensors, a PyTorch file or an .npz.
        model: as for ``finetune``; without it the networks of ``MODELS`` are compared with the file.
        channels: of the images; as many as the file's first convolution takes where not given.
        classes: of the new head.
        dimensions: 2 or 3; as the file's convolutions where not given.
        segments: the model is to be the encoder of a U-Net.

    Raises:
        UserError: the file cannot be read (told what it is), the model is not known, or ``channels`` is below 1.

    Examples:
        >>> import tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> state = build_network("cifar/resnet20", classes=10, channels=3).module.state_dict()
        >>> torch.save({"state_dict": state}, path)
        >>> found = checkpoint(path, "cifar/resnet20")
        >>> found.facts.guesses[0].model, found.load.parameter_share
        ('cifar/resnet20', 1.0)
    """
    if channels is not None and channels < 1:
        raise UserError(f"--channels is {channels}, must be 1 or more.")
    if model is not None:
        find_source(model)  # a wrong name is told before a large file is read
    read = read_checkpoint(file)
    facts = examine(read, _candidates())
    if model is None:
        return Diagnosis(facts)
    build = build_unet if segments else build_network
    sides = dimensions or facts.dimensions or 2
    if dimensions is None and sides not in find_source(model).dimensions and ":" not in model:
        sides = find_source(model).dimensions[0]  # 2D weights in a 3D network, or the refusal of the other way
    network = build(model, classes=classes, channels=channels or facts.channels or 3, dimensions=sides)
    load = partial(
        load_checkpoint,
        network.module,
        read,
        head=network.head,
        stem=network.stem,
        decoder=network.source.decoder,
    )
    try:
        report = load(minimum_share=0.0)
    except UserError as error:
        return Diagnosis(facts, refused=str(error))
    try:
        load(minimum_share=MINIMUM_SHARE)
    except UserError as error:
        return Diagnosis(facts, report, str(error))
    return Diagnosis(facts, report)


def _candidates() -> Iterator[Candidate]:
    for name, source in MODELS.items():
        for dimensions in source.dimensions:
            build: Callable[[int], tuple[nn.Module, str]] = partial(_build, name, dimensions)
            yield name, dimensions, build
            if source.segmenter is not None:  # its checkpoints may hold the way up as well
                yield name, dimensions, partial(_build, name, dimensions, whole=True)


def _build(name: str, dimensions: int, channels: int, *, whole: bool = False) -> tuple[nn.Module, str]:
    build = build_unet if whole else build_network
    network = build(name, classes=2, channels=channels, dimensions=dimensions)
    return network.module, network.head
