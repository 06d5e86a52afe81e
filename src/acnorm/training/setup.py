"""What a fine-tuning method is told when the training of a run starts."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

from torch import nn
from torch.utils.data import default_collate

from acnorm.checkpoints.load import LoadReport
from acnorm.data.augment import nothing
from acnorm.data.batches import EpochBatches
from acnorm.models.sources import Network
from acnorm.training.config import FinetuneConfig
from acnorm.training.norm_statistics import training_batches
from acnorm.training.objective import Batch, Objective
from acnorm.tuning.hooks import Setup
from acnorm.tuning.stages import stages_of, taps_of


class Started:
    """A network with its source weights, before the method changes it.

    Args:
        network: with its weights.
        report: of what loaded; None without a checkpoint.
        source: a copy of the network, where the method compares with it.

    Examples:
        >>> Started.__name__
        'Started'
    """

    def __init__(self, network: Network, report: LoadReport | None, source: nn.Module | None) -> None:
        self.source = source
        self.source_head: nn.Linear | None = None
        self.head = network.head
        self.stages = stages_of(network)
        self.taps = taps_of(network)
        names = frozenset(() if report is None else report.loaded)
        self._loaded = {id(value) for name, value in network.module.named_parameters() if name in names}

    def setup(self, module: nn.Module, config: FinetuneConfig, data: Any, objective: Objective) -> Setup:
        """What the method is told, now that it has changed the network to ``module``."""

        def batches(epoch: int) -> Iterator[Batch]:
            return training_batches(data.train, config.batch_size, config.seed, epoch)

        def plain_batches() -> Iterator[Batch]:
            plain = copy(data.train)
            plain.augment = nothing
            for keys in EpochBatches(len(plain), config.batch_size, shuffle=False):
                yield default_collate([plain[key] for key in keys])

        return Setup(
            network=module,
            head=self.head,
            stages=self.stages,
            taps=self.taps,
            loaded=frozenset(name for name, value in module.named_parameters() if id(value) in self._loaded),
            source=self.source,
            source_head=self.source_head,
            epochs=config.epochs,
            batch_size=config.batch_size,
            seed=config.seed,
            loss=objective.loss,
            batches=batches,
            plain_batches=plain_batches,
        )
