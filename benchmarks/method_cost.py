"""What each fine-tuning method costs: time and memory of a training step, relative to plain fine-tuning.

    python benchmarks/method_cost.py [--quick] [--device cpu] [--out benchmarks/results/method_cost.md]

A ResNet-18 with batches of 8 images of 64 × 64, a 3D ResNet-10 with batches of 2 volumes of 24³, and a 3D U-Net on
it with batches of 2. Times are ratios within one run: the methods take turns, each turn gives a ratio to plain
fine-tuning, and the median over the turns is told with its quartiles, so that other load on the machine falls on all
of them. What is done once before the first step (DELTA's attention, Co-Tuning's relation) or once an epoch (auto-RGN's
rates) is not part of a step. Methods that change from epoch to epoch are measured in their first and last. Memory is
the peak of a step beyond what was there before it, counted as in layer_cost.py. Methods without weight decay of the
optimiser need less: plain fine-tuning without it, in the 3D classifier, 0.75 too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from layer_cost import look_trained, machine, peak_bytes, ratios, take_turns
from torch import Tensor, nn
from torch.nn import functional

from acnorm.models.sources import Network, build_network, build_unet
from acnorm.training.config import FinetuneConfig
from acnorm.training.module import FinetuneModule
from acnorm.tuning.hooks import Batch, Setup
from acnorm.tuning.method import METHODS, make_method
from acnorm.tuning.stages import stages_of, taps_of

EPOCHS = 8
KINDS = {
    "2D classifier": ("monai/resnet18", 2, 8, 64, False),
    "3D classifier": ("monai/resnet10", 3, 2, 24, False),
    "3D segmenter": ("monai/resnet10", 3, 2, 24, True),
}
LIMITS = {"delta": 3.0}


def batch_of(kind: str, device: str) -> Batch:
    """Noise with labels."""
    _, dimensions, cases, side, segments = KINDS[kind]
    space = (side,) * dimensions
    label = torch.randint(3, (cases, *space) if segments else (cases,))
    return {"image": torch.randn(cases, 1, *space).to(device), "label": label.to(device)}


def loss(network: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy."""
    return functional.cross_entropy(network(batch["image"]), batch["label"])


def network_of(kind: str) -> Network:
    """The network with norms that look trained."""
    torch.manual_seed(0)
    name, dimensions, _, _, segments = KINDS[kind]
    made = (build_unet if segments else build_network)(name, classes=3, channels=1, dimensions=dimensions)
    look_trained(made.module)
    return made


def step_of(kind: str, name: str, epoch: int, device: str) -> Callable[[], None]:
    """One training step of a method, after what it does once."""
    method, made, batch = make_method(name), network_of(kind), batch_of(kind, device)
    made.module.to(device)
    head = made.module.get_submodule(made.head)
    source = deepcopy(made.module).eval()
    source_head = nn.Linear(head.in_features, 100).to(device) if isinstance(head, nn.Linear) else None
    stages, taps = stages_of(made), taps_of(made)
    network = method.prepare(made.module, None)

    def batches(_: int = 0) -> Iterator[Batch]:
        return iter([batch] * 4)

    loaded = frozenset(name for name, _ in network.named_parameters() if not name.startswith(f"{made.head}."))
    setup = Setup(
        network,
        made.head,
        stages,
        taps,
        loaded,
        source,
        source_head,
        EPOCHS,
        len(batch["label"]),
        loss,
        batches,
        batches,
    )
    config = FinetuneConfig(
        data="d", model="m", out="o", method=name, epochs=EPOCHS, optimizer="sgd", learning_rate=1e-4
    )
    data = SimpleNamespace(train=range(64))
    module = FinetuneModule(network, made.head, data, config, SimpleNamespace(loss=loss), method, setup).to(device)
    module._trainer = SimpleNamespace(global_rank=0, world_size=1, current_epoch=epoch, optimizers=[])
    optimizer = module.configure_optimizers()["optimizer"]
    module._trainer.optimizers.append(optimizer)
    module.train()
    module.on_train_epoch_start()

    def step() -> None:
        optimizer.zero_grad()
        value, penalty = module._losses(batch)
        (value if penalty is None else value + penalty).backward()
        optimizer.step()

    return step


def steps_of(kind: str, device: str) -> dict[str, Callable[[], None]]:
    """A step of every method that this kind of network takes."""
    made = {}
    for name, method in METHODS.items():
        if "segmenter" in kind and (method.needs_source_head or name == "bi-tuning"):
            continue
        if name in ("lp-ft", "gradual"):
            made[f"{name}, first epoch"] = step_of(kind, name, 0, device)
            made[f"{name}, last epoch"] = step_of(kind, name, EPOCHS - 1, device)
        else:
            made[name] = step_of(kind, name, 0, device)
    return made


def section(kind: str, turns: int, device: str) -> list[str]:
    """The table of one network."""
    steps = steps_of(kind, device)
    rows = ratios(take_turns(steps, turns, device))
    memory = {name: peak_bytes(step, device) for name, step in steps.items()}
    name, dimensions, cases, side, _ = KINDS[kind]
    lines = [f"## {kind}: {name}, batch {cases} × {' × '.join([str(side)] * dimensions)}", ""]
    lines += ["| method | time of a step | quartiles | ms | peak memory | aim |", "|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(_row(row, memory[row["name"]] / memory["vanilla"]))
    return [*lines, ""]


def _row(row: dict[str, Any], memory: float) -> str:
    limit = LIMITS.get(row["name"])
    aim = "" if limit is None else f"{limit:.1f}, {'met' if row['ratio'] <= limit else 'missed'}"
    times = f"{row['ratio']:.2f} | {row['low']:.2f} to {row['high']:.2f} | {1000 * row['seconds']:.0f}"
    return f"| {row['name']} | {times} | {memory:.2f} | {aim} |"


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few turns: does it work?")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="threads of torch (default: as torch chooses)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="networks to measure on")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/method_cost.md"), help="the tables, .md")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    busy = os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1)
    lines = ["# What fine-tuning methods cost", "", f"{(__doc__ or '').split(chr(10) * 2, 2)[2].strip()}", ""]
    lines += [f"- {fact}" for fact in machine(options)[:-1]]
    lines += [f"- other work was running on the machine: {'yes' if busy else 'no'}", ""]
    for kind in options.kinds:
        lines += section(kind, 3 if options.quick else 9, options.device)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
