"""The networks of a run, before and after fine-tuning, and what their channels answer to images."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from acnorm.data.case import Case
from acnorm.data.dataset import CaseDataset
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.errors import UserError
from acnorm.inspecting.used_data import used_data
from acnorm.models.sources import Network, build_network, build_unet
from acnorm.training.config import FinetuneConfig
from acnorm.training.kind import kind_of
from acnorm.training.prepare import load_weights, prepare_data
from acnorm.training.run_folder import RunFolder
from acnorm.training.run_start import fingerprint_of
from acnorm.training.shipping import AnyPreprocessing, ShippedModel, load_shipped

logger = logging.getLogger("acnorm")
PLACES = 16  # of each image: where an activation is looked at
BATCH = 64


def tuned_network(run: RunFolder, model: str | None = None) -> tuple[Network, ShippedModel]:
    """Return the network that a finished run ships, folded and in eval mode.

    Args:
        run: the folder.
        model: "module:function" of a network of your own.

    Raises:
        UserError: as ``load_shipped``.

    Examples:
        >>> tuned_network.__name__
        'tuned_network'
    """
    shipped = load_shipped(run, model)
    name = str(run.read_json("model/model.json")["model"])
    return replace(_built(name, shipped), module=shipped.network), shipped


def _built(name: str, shipped: ShippedModel) -> Network:
    prepare, classes = shipped.preprocessing, len(shipped.classes)
    if isinstance(prepare, IntensityPreprocessing):
        return build_unet(name, classes=classes, channels=prepare.channels, dimensions=len(prepare.patch))
    return build_network(name, classes=classes, channels=prepare.channels, dimensions=prepare.dimensions)


def source_network(config: FinetuneConfig, shipped: ShippedModel, sha256: str) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the network with the weights that a run began with, in eval mode, and its layers that came from these.

    Args:
        config: of the run.
        shipped: what it ended with.
        sha256: of the weights as the run read them.

    Raises:
        UserError: the run began without weights, or they are gone, do not load, or are others by now.

    Examples:
        >>> source_network.__name__
        'source_network'
    """
    if config.weights is None:
        raise UserError("it began with random weights, not with a checkpoint")
    network = _built(config.model, shipped)
    prepare = shipped.preprocessing
    dimensions = len(prepare.patch) if isinstance(prepare, IntensityPreprocessing) else prepare.dimensions
    report = load_weights(network, config, dimensions)
    if sha256 and report.sha256 != sha256:
        raise UserError(f"{report.file}: is another file than the run began with")
    return network.module.eval(), report.trained_norms


def patches(config: FinetuneConfig, run: RunFolder, count: int) -> Float[Tensor, "image channel *space"]:
    """Return up to ``count`` training patches of a run on label maps.

    Raises:
        UserError: as ``data_of``.

    Examples:
        >>> patches.__name__
        'patches'
    """
    train = data_of(config, run).train
    return torch.stack([train[0, index]["image"] for index in range(min(count, len(train)))])


def data_of(config: FinetuneConfig, run: RunFolder) -> Any:
    """Read the data of a run again, in its splits.

    Raises:
        UserError: the data cannot be read, or are others by now.

    Examples:
        >>> data_of.__name__
        'data_of'
    """
    if not Path(config.data).exists():
        raise UserError(f"{config.data}: is not there any more")
    plain = replace(config, augment="none")
    level = logger.level
    logger.setLevel(logging.ERROR)  # finetune has told what is to be told of the data
    try:
        data = prepare_data(plain, run.splits if run.splits.is_file() else None, kind_of(plain))
    finally:
        logger.setLevel(level)
    known = used_data(run, config.data).fingerprint
    if known and fingerprint_of(data) != known:
        raise UserError(f"{config.data}: has changed since the run was trained on it")
    return data


def prepared(cases: Sequence[Case], preprocessing: AnyPreprocessing) -> Float[Tensor, "image channel *space"]:
    """Return cases as a classifier takes them; of volumes taken slice by slice, all slices one after another.

    Raises:
        UserError: an image cannot be read, or is not of the kind that the classifier takes.

    Examples:
        >>> prepared.__name__
        'prepared'
    """
    if isinstance(preprocessing, IntensityPreprocessing):
        raise UserError("it takes label maps")
    dataset = CaseDataset(cases, preprocessing)
    images = torch.stack([dataset[0, index]["image"] for index in range(len(dataset))])
    images = images.flatten(0, 1) if preprocessing.slices is not None else images
    if images.shape[1:] != preprocessing.shape:
        raise UserError("its images are of another kind than those of the other runs")
    return images


@torch.no_grad()
def features(network: Network, images: Float[Tensor, "image channel *space"]) -> Float[NDArray[np.float64], " feature"]:
    """Return the mean and the standard deviation over images of each input of the head, one after the other.

    Examples:
        >>> network = build_network("cifar/resnet20", classes=2, channels=3)
        >>> features(network, torch.rand(4, 3, 32, 32)).shape
        (128,)
    """
    seen: list[Tensor] = []
    head = network.module.get_submodule(network.head)
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        for batch in torch.split(images, BATCH):
            network.module.eval()(batch)
    finally:
        hook.remove()
    values = torch.cat([value.flatten(1) for value in seen]).double()
    return torch.cat([values.mean(0), values.std(0, correction=0)]).numpy()


@torch.no_grad()
def activations(
    network: nn.Module,
    layers: Collection[str],
    images: Float[Tensor, "image channel *space"],
    *,
    places: int = PLACES,
    seed: int = 0,
) -> dict[str, Float[NDArray[np.float64], "sample channel"]]:
    """Return what each channel of norm layers gives at a few places of each image, in eval mode.

    The places depend on the seed and on the shape of the layer's output alone, so those of two networks agree. The
    output is taken as the layer gives it, before a ReLU that follows it.

    Args:
        network: of any kind.
        layers: names of its norm layers whose channels are the second axis of the output; others are left out.
        images: of its input.
        places: of each image, drawn without repeats.
        seed: of the draw.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        >>> activations(network, ["1"], torch.rand(2, 1, 8, 8), places=5)["1"].shape
        (10, 4)
    """
    seen: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_hook(_keeper(seen.setdefault(name, []), places, seed))
        for name, module in network.named_modules()
        if name in layers and not isinstance(module, nn.LayerNorm)
    ]
    network.eval()
    try:
        for batch in torch.split(images, BATCH):
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts).double().numpy() for name, parts in seen.items() if parts}


def _keeper(kept: list[Tensor], places: int, seed: int) -> Any:
    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG001
        flat = output.flatten(2) if output.ndim > 2 else output[..., None]
        draw = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(flat.shape[2], generator=draw)[:places]
        kept.append(flat[:, :, chosen].movedim(1, 2).flatten(0, 1).cpu())

    return keep
