"""Measure what AC-Norm costs: training steps, eval, and one layer against its number of channels.

    python benchmarks/layer_cost.py [--quick] [--device cpu] [--compile] [--out benchmarks/results/layer_cost.md]

Times are ratios to plain BatchNorm within one run: the variants take turns (A B C, B C A, …), each turn gives a
ratio, and the median over the turns is reported, so that other load on the machine falls on all of them.
Memory of one layer is the peak of tensor bytes alive during forward and backward, beyond parameters and input:
counted from operation to operation on a CPU (workspace inside an operation is not seen), by torch's allocator on a GPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from layer_cost_report import write_report
from monai.networks.nets import resnet18, resnet50
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from acnorm import convert, fold
from acnorm.core import correlation

ALWAYS_DENSE, NEVER_DENSE = 10**9, 0
NETWORKS = {"ResNet-50, batch 8": (resnet50, 8, 1.05), "ResNet-18, batch 16": (resnet18, 16, 1.03)}


class TwoPassNorm(nn.Module):
    """The paper's formula as it stands: batch-norm with γ, β, and again with Cγ, Cβ."""

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("source", self._ratio().detach().clone())

    def _ratio(self) -> Tensor:
        return self.norm.bias / (self.norm.weight.abs() + 1e-5)

    def forward(self, input: Tensor) -> Tensor:
        norm = self.norm
        with torch.no_grad():
            probability = torch.softmax(-(self._ratio()[:, None] - self.source[None]).abs(), dim=1)
            own = probability.diagonal()[:, None]
            matrix = torch.where(probability >= own, probability, torch.zeros_like(probability))
        borrowed = matrix @ norm.weight, matrix @ norm.bias
        statistics = norm.running_mean, norm.running_var
        again = functional.batch_norm(input, *statistics, *borrowed, self.training, norm.momentum, norm.eps)
        return norm(input) + again


def two_pass(model: nn.Module) -> nn.Module:
    """Put the two-pass form in the place of every BatchNorm."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(parent, TwoPassNorm):
                parent.add_module(name, TwoPassNorm(child))
    return model


def look_trained(model: nn.Module) -> nn.Module:
    """Give every BatchNorm an affine as training leaves it."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.normal_(1, 0.25, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return model


def move_a_little(model: nn.Module) -> nn.Module:
    """Shift the affines as a few steps of fine-tuning would: C is not that of the start."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for value in (module.weight.data, module.bias.data):
                value.add_(torch.randn(value.shape, generator=generator), alpha=0.02)
    return model


@contextmanager
def dense_up_to(channels: int | None) -> Iterator[None]:
    """Force the dense or the windowed form inside the block; None leaves the choice to the library."""
    before = correlation.DENSE_CHANNELS
    correlation.DENSE_CHANNELS = before if channels is None else channels
    try:
        yield
    finally:
        correlation.DENSE_CHANNELS = before


def seconds(run: Callable[[], object], device: str) -> float:
    """Time one call, to its end on the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def take_turns(runs: dict[str, Callable[[], object]], turns: int, device: str) -> dict[str, list[float]]:
    """Time every variant ``turns`` times, interleaved and each turn beginning with another one."""
    for run in runs.values():
        run()
        run()
    names, times = list(runs), {name: [] for name in runs}
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(seconds(runs[name], device))
    return times


def ratios(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Compare every variant with the first, turn by turn."""
    base = next(iter(times.values()))
    rows = []
    for name, measured in times.items():
        turns = [mine / plain for mine, plain in zip(measured, base, strict=True)]
        low, _, high = quantiles(turns, n=4)
        rows.append({"name": name, "ratio": median(turns), "low": low, "high": high, "seconds": median(measured)})
    return rows


def network_costs(
    make: Callable[..., nn.Module], batch: int, turns: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Training step and eval of one network, relative to plain BatchNorm."""
    torch.manual_seed(0)
    model = make(spatial_dims=2, n_input_channels=3, num_classes=10, conv1_t_stride=2)
    plain = look_trained(model).to(options.device)
    images = torch.randn(batch, 3, 128, 128, device=options.device)
    labels = torch.arange(batch, device=options.device) % 10
    made: dict[str, tuple[nn.Module, int | None]] = {
        "plain BatchNorm": (deepcopy(plain), None),
        "AC-Norm": (convert(deepcopy(plain)), None),
        "AC-Norm, dense form": (convert(deepcopy(plain)), ALWAYS_DENSE),
        "AC-Norm, windowed form": (convert(deepcopy(plain)), NEVER_DENSE),
        "two passes (paper)": (two_pass(deepcopy(plain)), None),
    }
    steps = {
        name: training_step(move_a_little(model.train()), images, labels, limit, options.compile)
        for name, (model, limit) in made.items()
    }
    training = ratios(take_turns(steps, turns, options.device))
    unfolded = move_a_little(convert(deepcopy(plain))).eval()
    evaluated = {
        "plain BatchNorm": deepcopy(plain).eval(),
        "AC-Norm, unfolded": unfolded,
        "AC-Norm, folded": fold(deepcopy(unfolded)),
        "two passes (paper)": two_pass(deepcopy(plain)).eval(),
    }
    passes = {name: inference(model, images, options.compile) for name, model in evaluated.items()}
    return {"training step": training, "eval": ratios(take_turns(passes, 2 * turns, options.device))}


def training_step(
    model: nn.Module, images: Tensor, labels: Tensor, limit: int | None, compiled: bool
) -> Callable[[], None]:
    """Forward, loss, backward and an optimiser step."""
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        with dense_up_to(limit):
            optimiser.zero_grad()
            functional.cross_entropy(forward(images), labels).backward()
            optimiser.step()

    return step


def inference(model: nn.Module, images: Tensor, compiled: bool) -> Callable[[], Tensor]:
    """One forward pass without gradient."""
    forward = torch.compile(model) if compiled else model
    return torch.no_grad()(lambda: forward(images))


class PeakMemory(TorchDispatchMode):
    """Count the bytes of the tensors that operations make, while they are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then look at what it made."""
        known = {value.untyped_storage()._cdata for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        result = func(*args, **(kwargs or {}))
        self.alive = {key: entry for key, entry in self.alive.items() if not entry[0].expired()}
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.untyped_storage()._cdata not in known | self.alive.keys():
                storage = value.untyped_storage()
                self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return result


def peak_bytes(run: Callable[[], object], device: str) -> int:
    """Peak memory of one call beyond what was there."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    with PeakMemory() as memory:
        run()
    return memory.peak


def layer_costs(widest: int, turns: int, device: str, most_bytes: float) -> list[dict[str, Any]]:
    """Forward and backward of one layer on a small image, for C = 16, 32, …; wider than memory allows is left out."""
    rows, channels = [], 16
    while channels <= widest:
        plain = look_trained(nn.BatchNorm2d(channels)).to(device)
        images = torch.randn(8, channels, 4, 4, device=device, requires_grad=True)
        made: dict[str, tuple[nn.Module, int | None]] = {
            "plain BatchNorm": (deepcopy(plain), None),
            "windowed": (convert(nn.Sequential(deepcopy(plain))), NEVER_DENSE),
        }
        if 24 * channels**2 < most_bytes:
            made["dense"] = (convert(nn.Sequential(deepcopy(plain))), ALWAYS_DENSE)
            made["two passes (paper)"] = (two_pass(nn.Sequential(deepcopy(plain))), None)
        runs = {name: layer_run(move_a_little(model.train()), images, limit) for name, (model, limit) in made.items()}
        times = take_turns(runs, turns if channels <= 2048 else max(3, turns // 4), device)
        for name, run in runs.items():
            memory = peak_bytes(run, device)
            rows.append({"channels": channels, "form": name, "seconds": median(times[name]), "bytes": memory})
        channels *= 2
    return rows


def layer_run(layer: nn.Module, images: Tensor, limit: int | None) -> Callable[[], None]:
    """Forward and backward of one layer whose affine has changed, as it does in every step of training."""
    affine = [parameter.data for parameter in layer.parameters()]

    def run() -> None:
        for values in affine:
            values.mul_(1.0001)
        with dense_up_to(limit):
            layer.zero_grad()
            images.grad = None
            layer(images).sum().backward()

    return run


def machine(options: argparse.Namespace) -> list[str]:
    """Describe where this ran."""
    cpu_info = Path("/proc/cpuinfo")
    named = (
        [line for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        if cpu_info.exists()
        else []
    )
    processor = named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()
    lines = [
        f"{os.cpu_count()} cores of {processor}, {torch.get_num_threads()} threads, {platform.system()}",
        f"torch {torch.__version__}, Python {platform.python_version()}; load average at the start "
        f"{os.getloadavg()[0]:.1f}",
    ]
    if options.device == "cuda":
        lines.append(torch.cuda.get_device_name())
    return [*lines, f"dense form up to {correlation.DENSE_CHANNELS} channels, windowed above"]


def main() -> None:
    """Measure, and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few turns and narrow layers: does it work?")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile every variant of the networks")
    parser.add_argument("--threads", type=int, help="threads of torch (default: as torch chooses)")
    parser.add_argument("--layer-only", action="store_true", help="leave the networks out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/layer_cost.md"), help="the table, .md")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    described, turns = machine(options), 5 if options.quick else 25
    networks = {} if options.layer_only else NETWORKS
    costs = {name: network_costs(make, batch, turns, options) for name, (make, batch, _) in networks.items()}
    memory = (
        torch.cuda.mem_get_info()[0]
        if options.device == "cuda"
        else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    )
    layers = layer_costs(2048 if options.quick else 16384, turns, options.device, memory / 2)
    targets = {name: {"AC-Norm": target} for name, (_, _, target) in NETWORKS.items()}
    command = "python benchmarks/layer_cost.py " + shlex.join(sys.argv[1:])
    print(write_report(options.out, command.strip(), described, costs, targets, layers))


if __name__ == "__main__":
    main()
