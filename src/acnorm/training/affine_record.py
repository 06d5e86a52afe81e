"""affine.safetensors of a run: γ and β of every norm layer as training starts and after each epoch."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from acnorm.core.layer import ACNorm
from acnorm.data.atomic import replacing
from acnorm.errors import UserError
from acnorm.tuning.stochnorm import StochNorm

logger = logging.getLogger("acnorm")
RECORD = "affine.safetensors"
LIMIT = 16 * 2**20  # bytes of the file: above this not every epoch is kept
_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
_WRAPPERS = (ACNorm, StochNorm)
Affine = tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]


@dataclass(frozen=True)
class Trajectory:
    """The affine of every norm layer after some numbers of finished epochs, 0 being the start.

    weights, biases: γ and β by the layer's name in the plain network, [row, channel].

    Examples:
        >>> Trajectory((0, 1), {"bn1": torch.ones(2, 8)}, {"bn1": torch.zeros(2, 8)}).layers
        ('bn1',)
    """

    epochs: tuple[int, ...]
    weights: Mapping[str, Float[Tensor, "row channel"]]
    biases: Mapping[str, Float[Tensor, "row channel"]]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names, from input to output as the network lists them."""
        return tuple(self.weights)


def affines_of(network: nn.Module) -> dict[str, Affine]:
    """Return γ and β of every norm layer by its name in the plain network, in float32 on the CPU.

    A layer that a method has wrapped goes by the name of its wrapper; with AC-Norm these are the trainable γ and β,
    without what each channel borrows.

    Examples:
        >>> from acnorm.core.convert import convert
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> _ = nn.init.normal_(network[1].bias)
        >>> list(affines_of(network)), list(affines_of(convert(network)))
        (['1'], ['1'])
    """
    modules = dict(network.named_modules())
    found: dict[str, Affine] = {}
    for name, layer in modules.items():
        weight, bias = (getattr(layer, part, None) for part in ("weight", "bias"))
        if isinstance(layer, _NORMS) and isinstance(weight, Tensor) and isinstance(bias, Tensor) and weight.ndim == 1:
            kept = [value.detach().to("cpu", torch.float32, copy=True) for value in (weight, bias)]
            found[_plain_name(name, modules)] = (kept[0], kept[1])
    return found


def _plain_name(name: str, modules: Mapping[str, nn.Module]) -> str:
    above = name.rpartition(".")[0]
    while name.endswith(".norm") and isinstance(modules[above], _WRAPPERS):
        name, above = above, above.rpartition(".")[0]
    return name


def write_trajectory(file: Path, rows: Iterable[tuple[int, Mapping[str, Affine]]]) -> None:
    """Write the affine after each number of finished epochs, as a whole or not at all.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / RECORD
        >>> affine = (torch.ones(8), torch.zeros(8))
        >>> write_trajectory(file, [(0, {"bn1": affine}), (1, {"bn1": affine})])
        >>> read_trajectory(file).epochs
        (0, 1)
    """
    kept = list(rows)
    tensors = {"epoch": torch.tensor([epoch for epoch, _ in kept])}
    for name in kept[0][1]:
        tensors[f"{name}.weight"] = torch.stack([affine[name][0] for _, affine in kept])
        tensors[f"{name}.bias"] = torch.stack([affine[name][1] for _, affine in kept])
    order = json.dumps(list(kept[0][1]))  # safetensors sorts tensors by name
    with replacing(file) as draft:
        save_file(tensors, draft, metadata={"layers": order})


def read_trajectory(file: Path) -> Trajectory:
    """Read what ``write_trajectory`` wrote.

    Raises:
        UserError: the file is damaged.

    Examples:
        >>> read_trajectory(Path(__file__))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: ...affine_record.py: is damaged (...); delete it to go without it.
    """
    try:
        tensors = load_file(file)
        with safe_open(file, framework="pt") as opened:
            names = json.loads(opened.metadata()["layers"])
        epochs = tuple(int(epoch) for epoch in tensors["epoch"])
        weights = {name: tensors[f"{name}.weight"] for name in names}
        biases = {name: tensors[f"{name}.bias"] for name in names}
        if any(len(value) != len(epochs) for value in (*weights.values(), *biases.values())):
            raise ValueError("its layers have other epochs")
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{file}: is damaged ({error}); delete it to go without it.") from None
    return Trajectory(epochs, weights, biases)


class AffineRecord(Callback):
    """Keep the affine of every norm layer as training starts and after each epoch, also across a resume.

    The file is rewritten whole, so what it costs is bounded: above ``limit`` bytes every second (third, …) epoch is
    kept, and always the last. Under strategies that cut parameters up nothing is recorded.

    Args:
        file: to write.
        epochs: of the whole run.
        limit: bytes.

    Examples:
        >>> AffineRecord(Path(RECORD), epochs=20).rows
        {}
    """

    def __init__(self, file: Path, epochs: int, limit: int = LIMIT) -> None:
        self.file = file
        self.epochs = epochs
        self.limit = limit
        self.rows: dict[int, dict[str, Affine]] = {}
        self._records = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the epochs that are done; begin with the start where none are."""
        self._records = trainer.is_global_zero and isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if not self._records:
            return
        done = trainer.current_epoch
        if done:
            self.rows = self._before(done)
            self._records = bool(self.rows)
        else:
            self._keep(0, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch."""
        if self._records:
            self._keep(trainer.current_epoch + 1, pl_module)

    def _before(self, done: int) -> dict[int, dict[str, Affine]]:
        try:
            read = read_trajectory(self.file)
        except UserError:
            logger.warning("%s: is not there or damaged; the run goes on without it", self.file)
            self.file.unlink(missing_ok=True)
            return {}
        return {
            epoch: {name: (read.weights[name][row], read.biases[name][row]) for name in read.layers}
            for row, epoch in enumerate(read.epochs)
            if epoch <= done
        }

    def _keep(self, epoch: int, pl_module: L.LightningModule) -> None:
        affine = affines_of(_network(pl_module))
        if not affine:
            self._records = False
            return
        every = stride(sum(8 * len(weight) for weight, _ in affine.values()), self.epochs, self.limit)
        self.rows = {kept: row for kept, row in self.rows.items() if kept % every == 0} | {epoch: affine}
        write_trajectory(self.file, self.rows.items())


def stride(row: int, epochs: int, limit: int = LIMIT) -> int:
    """Return of how many epochs one is kept, so that the file of a run stays below ``limit`` bytes.

    Args:
        row: bytes of one epoch.
        epochs: of the run.
        limit: bytes.

    Examples:
        >>> stride(5504, 100), stride(2**20, 100)
        (1, 8)
    """
    rows = limit // row
    between = max(1, rows - 2)  # beside the start and the last
    return 1 if epochs < rows else -(-epochs // between)


def _network(pl_module: Any) -> nn.Module:
    return cast(nn.Module, pl_module.network)
