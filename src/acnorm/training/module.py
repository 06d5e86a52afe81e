"""The Lightning module of a fine-tuning run: steps, optimiser, loaders, and guards against NaN."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from acnorm.data.batches import EpochBatches
from acnorm.data.dataset import CaseDataset
from acnorm.data.loading import PreparedData
from acnorm.errors import RunError
from acnorm.training.config import FinetuneConfig
from acnorm.training.norm_statistics import freeze_statistics
from acnorm.training.objective import Batch, ClassificationObjective, Objective
from acnorm.training.optimizer import make_optimizer
from acnorm.tuning.combined import terms_of
from acnorm.tuning.groups import freeze, freeze_terms, parameter_groups, penalty_groups
from acnorm.tuning.hooks import Method, Setup
from acnorm.tuning.vanilla import Vanilla


class FinetuneModule(L.LightningModule):
    """Train ``network`` towards an objective; validate once an epoch.

    Randomness comes from (seed, epoch, rank) at each epoch's start and from (seed, epoch, case) in the data,
    so a run resumed from its last finished epoch goes on as if it had never stopped.

    Args:
        network: the network as the method changed it.
        head: name of the new head in it, which learns ``head_rate`` times faster.
        data: of the run.
        config: of the run.
        objective: what is trained for; classification where not given.
        method: adds penalties, freezes, and sets rates; plain fine-tuning where not given.
        setup: what the method is told.

    Examples:
        >>> issubclass(FinetuneModule, L.LightningModule)
        True
    """

    def __init__(
        self,
        network: nn.Module,
        head: str,
        data: PreparedData,
        config: FinetuneConfig,
        objective: Objective | None = None,
        method: Method | None = None,
        setup: Setup | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.data = data
        self.config = config
        self.objective = objective or ClassificationObjective()
        self.method = method or Vanilla()
        self._setup = setup or Setup(network, head, epochs=config.epochs)
        self.penalty = self.method.penalty(self._setup)
        self._frozen: frozenset[str] = frozenset()
        self._freeze(0)  # before the network is put into DistributedDataParallel
        self._outputs: list[tuple[Tensor, Tensor]] = []
        self._recent: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channel, size, size] to logits [batch, class]."""
        logits: Tensor = self.network(images)
        return logits

    def train(self, mode: bool = True) -> FinetuneModule:
        """As of any module, but what is frozen stays in eval."""
        super().train(mode)
        if mode and self._frozen:
            freeze(self.network, self._frozen, self._setup.stages)
        return self

    def _freeze(self, epoch: int) -> None:
        """Freeze what the method wants frozen in this epoch, and let the rest learn."""
        frozen = self.method.frozen(self._setup, epoch)
        if frozen != self._frozen:
            self._frozen = frozen
            freeze(self.network.train(), frozen, self._setup.stages)
            freeze_terms(terms_of(self.penalty), self._setup, frozen)

    def _set_rates(self, epoch: int) -> None:
        """Multiply the rates of this epoch in, and those of the epoch before out."""
        rates = self.method.epoch_rates(self._setup, epoch)
        for group in self.trainer.optimizers[0].param_groups if rates else ():
            now, before = rates.get(group.get("name", ""), 1.0), group.get("multiple", 1.0)
            group["lr"] *= now / before
            group["multiple"] = now

    def on_train_epoch_start(self) -> None:
        """Start the generators of this epoch, and freeze what is to stay as it is."""
        self._freeze(self.current_epoch)
        seed = np.random.SeedSequence((self.config.seed, self.current_epoch, self.global_rank)).generate_state(1)
        torch.manual_seed(int(seed[0]))
        if self.config.norm_statistics == "frozen":
            freeze_statistics(self.network, self.head)
        self._set_rates(self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of the batch; NaN and infinity stop the run."""
        self._recent = [*self._recent, batch["index"]][-self.config.accumulate :]
        loss, penalty = self._losses(batch)
        if not self._on_all_processes(bool(torch.isfinite(loss))):
            raise RunError(self._not_finite("the loss", self._recent[-1:]))
        if penalty is not None and not self._on_all_processes(bool(torch.isfinite(penalty))):
            raise RunError(self._not_finite(f"the penalty of --method {self.config.method}", self._recent[-1:]))
        cases = len(batch["index"])
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=cases, sync_dist=True)
        self.log("rate", self.optimizers().param_groups[0]["lr"], prog_bar=True, batch_size=cases)  # type: ignore[union-attr]
        return loss if penalty is None else loss + penalty

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What is trained for, which is also what train_loss tells whatever the method, and what the method adds."""
        if self.penalty is None:
            return self.objective.loss(self.network, batch), None
        with self.penalty.watching(self.network):
            loss = self.objective.loss(self.network, batch)
        return loss, self.penalty(self.network, batch)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop before a gradient that is not finite reaches the weights; a gradient scaler skips such steps itself."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if scaler is None and gradients and not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise RunError(self._not_finite("the gradient", self._recent))

    def on_validation_epoch_start(self) -> None:
        """Check the running statistics, which a step skipped by a gradient scaler has updated all the same."""
        broken = [name for name, buffer in self.network.named_buffers() if not bool(torch.isfinite(buffer).all())]
        if not self._on_all_processes(not broken):
            name = broken[0] if broken else "a running statistic of another process"
            raise RunError(
                f"epoch {self.current_epoch}: {name} is not finite; lower --learning-rate, or train with "
                "--precision 32-true."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Keep what the epoch is judged by."""
        self._outputs.append((batch["index"], self.objective.outcome(self.network, batch)))

    def on_validation_epoch_end(self) -> None:
        """Log the objective's columns over all validation cases, each counted once on any number of processes."""
        index, outcomes = (torch.cat(parts) for parts in zip(*self._outputs, strict=True))
        self._outputs.clear()
        if self.trainer.world_size > 1:
            index = self.all_gather(index).flatten()  # type: ignore[union-attr]
            outcomes = self.all_gather(outcomes).flatten(0, 1)  # type: ignore[union-attr]
        cases = self.data.val.cases
        ordered = torch.empty(len(cases), outcomes.shape[1])
        ordered[index.cpu()] = outcomes.detach().cpu()
        if not bool(torch.isfinite(ordered).all()):
            raise RunError(f"epoch {self.current_epoch}: the network's output on validation cases is not finite.")
        for name, value in self.objective.judge(ordered, cases).items():
            self.log(name, value, prog_bar=name in self.objective.shown, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """The head's rate is its own; all fall along a cosine to 0, by step."""
        rate, decay = self.config.learning_rate, self.config.weight_decay
        rates = {"rate": rate, "head_rate": self.config.head_rate, "decay": decay}
        groups = parameter_groups(self.method, self._setup, **rates)
        groups += penalty_groups(self.method, self._setup, terms_of(self.penalty), **rates)
        optimizer = make_optimizer(self.config.optimizer, groups, rate=rate, momentum=self.config.momentum, decay=decay)
        # Lightning's own estimate would make the loader, and its workers a first batch, before a run is resumed
        steps = self.config.epochs * -(-len(self._batches(self.data.train, shuffle=True)) // self.config.accumulate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of this process."""
        return self._loader(self.data.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation batches of this process."""
        return self._loader(self.data.val, shuffle=False)

    def _batches(self, dataset: CaseDataset, *, shuffle: bool) -> EpochBatches:
        return EpochBatches(
            len(dataset),
            self.config.batch_size,
            seed=self.config.seed,
            shuffle=shuffle,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )

    def _loader(self, dataset: CaseDataset, *, shuffle: bool) -> DataLoader[Batch]:
        batches = self._batches(dataset, shuffle=shuffle)
        # workers of a resumed run ask for batches before Lightning sets the epoch, and before current_epoch is right
        batches.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
            generator=torch.Generator(),  # else the seeds of workers are drawn from the generator of dropout
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
        )

    def _on_all_processes(self, fine: bool) -> bool:
        """Whether all is fine everywhere; a process that stopped alone would leave the others waiting for it."""
        return self.trainer.strategy.reduce_boolean_decision(fine)

    def _not_finite(self, what: str, batches: list[Tensor]) -> str:
        if self.trainer.world_size > 1:
            batches = [self.all_gather(batch).flatten() for batch in batches]  # type: ignore[union-attr]
        cases = [self.data.train.cases[int(index)].id for index in torch.cat(batches)]
        return (
            f"epoch {self.current_epoch}, step {self.global_step}: {what} is not finite; the weights are as before "
            f"this step. Cases of the batch: {', '.join(cases)}. Lower --learning-rate, or look at these images."
        )
