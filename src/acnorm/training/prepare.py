"""Everything a run needs, made before anything is written: bad input leaves no trace."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from acnorm.checkpoints.load import LoadReport, load_checkpoint
from acnorm.checkpoints.stem import DepthRule, StemRule
from acnorm.core.census import ConversionError
from acnorm.errors import UserError
from acnorm.models.pretrained import weights_file
from acnorm.models.sources import Network, find_source
from acnorm.training.config import FinetuneConfig
from acnorm.training.kind import ClassificationKind, Kind, kind_of
from acnorm.training.norm_statistics import too_few_values
from acnorm.training.setup import Started
from acnorm.training.shipping import example_batch
from acnorm.training.source_head import source_head
from acnorm.tuning.hooks import Method, Setup

logger = logging.getLogger("acnorm")


@dataclass(frozen=True)
class PreparedModel:
    """The network changed by the method, what loaded from the checkpoint, and what the method is told in training."""

    network: Network
    module: nn.Module
    method: Method
    report: LoadReport | None
    setup: Setup
    warnings: tuple[str, ...] = ()


def prepare_data(config: FinetuneConfig, splits_file: Path | None = None, kind: Kind | None = None) -> Any:
    """Read, split and fit the images of a run.

    Args:
        config: of the run.
        splits_file: splits saved by the run that is resumed; ``config.splits`` where not given.
        kind: of the task; found out where not given.

    Raises:
        UserError: the data cannot be read or split.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.phantoms import fundus_phantoms
        >>> file = fundus_phantoms(Path(tempfile.mkdtemp()) / "eyes.npz", domain="source", cases=60, size=32, seed=0)
        >>> data = prepare_data(FinetuneConfig(data=str(file), model="cifar/resnet20", out="run"))
        >>> data.train[0, 0]["image"].shape
        torch.Size([3, 32, 32])
    """
    find_source(config.model)  # a wrong name is told before all images are read
    file = splits_file if splits_file is not None or config.splits is None else Path(config.splits)
    saved = file if file is not None and file.exists() else None  # a new file is written once all else is sound
    return (kind or kind_of(config)).prepare(config, saved)


def prepare_model(config: FinetuneConfig, data: Any, kind: Kind | None = None) -> PreparedModel:
    """Build the network, load the checkpoint, and let the method change it.

    Raises:
        UserError: the model is not known or does not fit the images, the checkpoint does not load, or the method
            has nothing to work on.

    Examples:
        >>> prepare_model.__name__
        'prepare_model'
    """
    kind = kind or ClassificationKind()
    network = new_network(config, data, kind)
    _try_out(network, data, kind)
    report = None
    if config.weights is not None:
        report = load_weights(network, config, example_batch(data.preprocessing).ndim - 2)
    method = config.make_method()
    _refuse(method, config)
    started = Started(network, report, deepcopy(network.module).eval() if method.needs_source else None)
    try:
        if method.needs_source_head and config.weights is not None:
            with torch.random.fork_rng(devices=[]):
                sides = example_batch(data.preprocessing).ndim - 2
                started.source_head = source_head(network, weights_file(config.weights, config.model, sides))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # of what a method draws
            module = method.prepare(network.module, None if report is None else report.trained_norms)
        setup = started.setup(module, config, data, kind.objective(config, data))
        method.check(setup)
    except (ConversionError, ValueError) as error:
        hint = " Give --weights, or --method vanilla." if config.weights is None else ""
        raise UserError(f"--method {config.method} with --model {config.model}: {error}{hint}") from None
    warning = None
    if config.norm_statistics == "train":
        with torch.random.fork_rng(devices=[]):
            warning = too_few_values(network.module, example_batch(data.preprocessing), config.batch_size)
    if warning is not None:
        logger.warning("%s", warning)
    return PreparedModel(network, module, method, report, setup, () if warning is None else (warning,))


def load_weights(network: Network, config: FinetuneConfig, dimensions: int) -> LoadReport:
    """Load the checkpoint of a run into a new network as its settings say, and log what came of it.

    Raises:
        UserError: as ``load_checkpoint``.

    Examples:
        >>> load_weights.__name__
        'load_weights'
    """
    report = load_checkpoint(
        network.module,
        weights_file(str(config.weights), config.model, dimensions),
        head=network.head,
        stem=network.stem,
        decoder=network.source.decoder,
        minimum_share=config.minimum_share,
        stem_rule=cast(StemRule, config.stem_rule),
        depth_rule=cast(DepthRule, config.depth_rule),
    )
    logger.info("%s", report)
    return report


def _refuse(method: Method, config: FinetuneConfig) -> None:
    if method.needs_weights and config.weights is None:
        raise UserError(f"--method {config.method}: compares with the source, or keeps it; give --weights.")
    if method.keeps_statistics and config.norm_statistics == "reestimated":
        raise UserError(
            f"--method {config.method}: keeps the running statistics of what is frozen, which --norm-statistics "
            "reestimated would take anew; give train or frozen."
        )
    if method.moves_statistics and config.norm_statistics == "frozen":
        raise UserError(
            f"--method {config.method}: normalises with the statistics of batches, which --norm-statistics frozen "
            "rules out; give train or reestimated."
        )


def new_network(config: FinetuneConfig, data: Any, kind: Kind | None = None) -> Network:
    """Build the network with the head that the data need; its new weights depend on the seed alone.

    Examples:
        >>> new_network.__name__
        'new_network'
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return (kind or ClassificationKind()).network(config, data)


@torch.no_grad()
def _try_out(network: Network, data: Any, kind: Kind) -> None:
    """Refuse a network that does not give the logits that are needed, on a copy: nothing is changed."""
    images = example_batch(data.preprocessing)
    with torch.random.fork_rng(devices=[]):
        try:
            output = deepcopy(network.module).eval()(images)
        except Exception as error:
            shape = " × ".join(map(str, images.shape[1:]))
            size = "--image-size" if isinstance(kind, ClassificationKind) else "--patch-size"
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"--model {network.name}: cannot take images of {shape} ({what}); give another {size} or --model."
            ) from error
    wanted = [len(images), *kind.output(data)]
    given = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if given != wanted:
        raise UserError(f"--model {network.name}: gives {given} for {len(images)} images; logits {wanted} are needed.")
