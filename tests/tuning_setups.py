"""A 2D classifier, a 3D classifier and a 3D segmenter, small, and what a method is told of them; training in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from monai.networks.nets import resnet10
from torch import Tensor, nn
from torch.nn import functional

from acnorm.models.cifar import CifarResNet
from acnorm.models.sources import Network, find_source
from acnorm.models.unet import UNet
from acnorm.training.config import FinetuneConfig
from acnorm.training.module import FinetuneModule
from acnorm.tuning.hooks import Batch, Method, Setup
from acnorm.tuning.stages import stages_of, taps_of
from tiny_runs import spread_norms

CASES = 4


def _cifar() -> Network:
    return Network(CifarResNet(20, 3, 1), "", "", {}, "linear", "conv1", find_source("cifar/resnet20"))


def _resnet() -> nn.Module:
    shape = {"spatial_dims": 3, "n_input_channels": 1, "num_classes": 3, "widen_factor": 0.125}
    return resnet10(**shape, conv1_t_stride=2, bias_downsample=False)


def _volumes() -> Network:
    return Network(_resnet(), "", "", {}, "fc", "conv1", find_source("monai/resnet10"))


def _segmenter() -> Network:
    source, encoder = find_source("monai/resnet10"), _resnet()
    del encoder.fc, encoder.avgpool
    network = UNet(encoder, source.stages, 1, classes=3, dimensions=3, width=4)
    return Network(network, "", "", {}, "decoder", "encoder.conv1", source)


MAKERS: dict[str, tuple[Callable[[], Network], tuple[int, ...]]] = {
    "2D classifier": (_cifar, (16, 16)),
    "3D classifier": (_volumes, (16, 16, 16)),
    "3D segmenter": (_segmenter, (16, 16, 16)),
}


def network_of(kind: str, dtype: torch.dtype = torch.float64) -> Network:
    """The network with norms that look trained; the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = MAKERS[kind][0]()
        spread_norms(made.module)
    made.module.to(dtype)
    return made


def batch_of(kind: str, seed: int = 0, cases: int = CASES, dtype: torch.dtype = torch.float64) -> Batch:
    """Images with classes or label maps."""
    generator = torch.Generator().manual_seed(seed)
    space = MAKERS[kind][1]
    label = torch.randint(3, (cases, *space) if "segmenter" in kind else (cases,), generator=generator)
    images = torch.randn(cases, 1, *space, generator=generator).to(dtype)
    return {"image": images, "label": label, "index": torch.arange(cases)}


def loss(network: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy, of images and of voxels."""
    return functional.cross_entropy(network(batch["image"]), batch["label"])


def setup_of(
    kind: str, method: Method, *, epochs: int = 4, cases: int = CASES, dtype: torch.dtype = torch.float64
) -> Setup:
    """What the method is told of the network, which it has changed; all outside the head came from a checkpoint."""
    made = network_of(kind, dtype)
    stages, taps, head = stages_of(made), taps_of(made), made.head
    source = deepcopy(made.module).eval() if method.needs_source else None
    network = method.prepare(made.module, None)

    def batches(epoch: int) -> Iterator[Batch]:
        return (batch_of(kind, 100 * epoch + at, cases, dtype) for at in range(6))

    source_head = None
    if method.needs_source_head:
        own = network_of(kind).module.get_submodule(head)
        with torch.random.fork_rng():
            torch.manual_seed(4)
            source_head = nn.Linear(own.in_features, 5, dtype=dtype)
    names = [name for name, _ in network.named_parameters()]
    return Setup(
        network=network,
        head=head,
        stages=stages,
        taps=taps,
        loaded=frozenset(name for name in names if not name.startswith(f"{head}.")),
        source=source,
        source_head=source_head,
        epochs=epochs,
        batch_size=cases,
        loss=loss,
        batches=batches,
        plain_batches=lambda: batches(7),
    )


class Training:
    """A fine-tuning module without data and trainer, to be driven step by step."""

    def __init__(self, kind: str, method: Method, **changes: Any) -> None:
        self.kind = kind
        epochs, cases, dtype = (
            changes.pop("epochs", 4),
            changes.pop("cases", CASES),
            changes.pop("dtype", torch.float64),
        )
        self.setup = setup_of(kind, method, epochs=epochs, cases=cases, dtype=dtype)
        self.cases, self.dtype = cases, dtype
        settings = {"optimizer": "sgd", "learning_rate": 0.01, "epochs": epochs, "batch_size": cases} | changes
        config = FinetuneConfig(data="d", model="m", out="o", **settings)
        data = SimpleNamespace(train=range(5 * cases))
        objective = SimpleNamespace(loss=loss)
        self.module = FinetuneModule(self.setup.network, self.setup.head, data, config, objective, method, self.setup)
        self.trainer = SimpleNamespace(global_rank=0, world_size=1, current_epoch=0, optimizers=[])
        self.module._trainer = self.trainer
        made = self.module.configure_optimizers()
        self.optimizer, self.schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
        self.trainer.optimizers.append(self.optimizer)

    def run(self, epochs: int = 1, steps: int = 5) -> Training:
        """Train for some epochs."""
        for _ in range(epochs):
            self.module.train()
            self.module.on_train_epoch_start()
            for at in range(steps):
                batch = batch_of(self.kind, 1000 * self.trainer.current_epoch + at, self.cases, self.dtype)
                value, penalty = self.module._losses(batch)
                self.optimizer.zero_grad()
                (value if penalty is None else value + penalty).backward()
                self.optimizer.step()
                self.schedule.step()
            self.trainer.current_epoch += 1
        return self


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Names whose values are other than before, be it by a bit."""
    return {name for name, value in after.items() if not torch.equal(before[name], value)}
