"""How a network of one name is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelSource:
    """How to build a network of one name.

    module, function: where the factory is.
    arguments: fixed arguments of the factory.
    channels, classes: the factory's names for the number of input channels and classes.
    statistics: mean and standard deviation a channel with which its usual checkpoints were trained.
    stages: names of its modules from image to features, stage by stage, for ``UNet``; empty where it cannot be.
    stem: of the modules of the first stage, those that methods that go by stages take as one of its own.
    segmenter: function in the same module that builds a segmentation network with a decoder of its own, which is
        pretrained as well, and the name of its new last layer; None where ``UNet`` gives the decoder.
    decoder: names of that decoder's modules, which a checkpoint of the encoder alone leaves new.
    tapped: its stages are those that the built module tells of itself (timm's ``feature_info``).
    classifies: whether it comes as a classifier; where not, as a segmentation network only.
    dimensions: in which it comes.
    standalone: the factory's module needs torch alone, so its file can travel with trained weights.
    """

    module: str
    function: str
    arguments: Mapping[str, Any]
    channels: str = "in_channels"
    classes: str = "num_classes"
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    standalone: bool = False
    stages: tuple[tuple[str, ...], ...] = ()
    stem: tuple[str, ...] = ()
    segmenter: tuple[str, str] | None = None
    decoder: tuple[str, ...] = ()
    tapped: bool = False
    classifies: bool = True
    dimensions: tuple[int, ...] = (2,)
