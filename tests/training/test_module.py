"""The steps of training: what stops a run before harm is done, and what learns how fast."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from acnorm.cli.main import main
from acnorm.errors import RunError
from acnorm.training.finetune import run_finetune
from acnorm.training.fit import fit
from acnorm.training.module import FinetuneModule
from acnorm.training.prepare import prepare_data, prepare_model
from acnorm.training.run_folder import RunFolder
from tiny_runs import TinyNet, config, flags, settings

AT = 4  # three steps an epoch: the second step of the second epoch


class Poisoned(TinyNet):
    """Goes wrong in one way in training step ``AT``; keeps the images and the weights of each step."""

    def __init__(self, way: str, num_classes: int = 2, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.way = way
        self.images: list[Tensor] = []
        self.before: dict[str, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        if not self.training:
            return logits * float("nan") if self.way == "output" else logits
        self.images.append(images)
        self.before = {name: value.detach().clone() for name, value in self.named_parameters()}
        if len(self.images) != AT + 1:
            return logits
        match self.way:
            case "nan":
                logits = logits * float("nan")
            case "infinity":
                logits = logits + torch.tensor([3e38, -3e38])
            case "gradient":
                logits.register_hook(lambda gradient: gradient * float("inf"))
            case "statistics":
                self.bn2.running_var.data.fill_(float("inf"))
        return logits


def poisoned(num_classes: int, in_channels: int) -> nn.Module:
    return Poisoned("nan", num_classes, in_channels)


def module_of(folder: Path, out: Path, network: nn.Module, **changes: object) -> FinetuneModule:
    made = config(folder, out=out, augment="none", **changes)
    return FinetuneModule(network, "fc", prepare_data(made), made)


def train(module: FinetuneModule) -> None:
    fit(module, module.config, RunFolder(Path(module.config.out)))


def ids_of(module: FinetuneModule, batches: list[Tensor]) -> set[str]:
    """The training cases whose images are in some batches."""
    images = torch.cat(batches)
    items = [(case.id, module.data.train[0, at]["image"]) for at, case in enumerate(module.data.train.cases)]
    found = {name for name, image in items if bool((images == image).flatten(1).all(1).any())}
    assert len(found) == len(images)
    return found


def named(message: str) -> set[str]:
    return set(re.search(r"Cases of the batch: (.*?)\. Lower", message)[1].split(", "))


@pytest.mark.parametrize(("way", "what"), [("nan", "the loss"), ("infinity", "the loss"), ("gradient", "the gradient")])
def test_what_is_not_finite_stops_before_the_step_and_names_the_cases(
    folder: Path, tmp_path: Path, way: str, what: str
):
    module = module_of(folder, tmp_path / "run", network := Poisoned(way))
    told = rf"^epoch 1, step 4: {what} is not finite; the weights are as before this step\. Cases .* or look at these"
    with pytest.raises(RunError, match=told) as stopped:
        train(module)
    assert named(str(stopped.value)) == ids_of(module, network.images[-1:])
    for name, value in network.named_parameters():
        assert torch.equal(value, network.before[name]), name
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["epoch"] == 0


@pytest.mark.parametrize(("way", "batches"), [("nan", 1), ("gradient", 2)])
def test_a_sum_of_gradients_is_blamed_on_all_its_batches_but_a_loss_on_its_own(
    folder: Path, tmp_path: Path, way: str, batches: int
):
    # six batches of 4 an epoch: batches 4 and 5 make the third step
    network = Poisoned(way)
    module = module_of(folder, tmp_path / "run", network, accumulate=2, batch_size=4)
    if way == "nan":
        network.images.append(torch.empty(0, 3, 16, 16))  # one batch later: the second of its step
    with pytest.raises(RunError, match=rf"epoch 0, step {batches}: the (loss|gradient) is not finite") as stopped:
        train(module)
    assert named(str(stopped.value)) == ids_of(module, network.images[-batches:])


def test_a_step_that_a_gradient_scaler_skips_does_not_stop_the_run(folder: Path, tmp_path: Path):
    module = module_of(folder, tmp_path / "run", network := Poisoned("none"))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, float("inf"))
    module._trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()))
    module.on_before_optimizer_step(optimizer)


def test_running_statistics_that_are_not_finite_stop_at_validation(folder: Path, tmp_path: Path):
    told = r"^epoch 1: bn2\.running_var is not finite; lower --learning-rate, or train with --precision 32-true\.$"
    with pytest.raises(RunError, match=told):
        train(module_of(folder, tmp_path / "run", Poisoned("statistics")))


def test_an_output_that_is_not_finite_on_validation_cases_stops(folder: Path, tmp_path: Path):
    with pytest.raises(RunError, match=r"^epoch 0: the network's output on validation cases is not finite\.$"):
        train(module_of(folder, tmp_path / "run", Poisoned("output")))


def test_on_the_command_line_it_is_one_line_and_exit_code_1(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    arguments = ["finetune", *flags(settings(folder, out=tmp_path / "run", model="test_module:poisoned"))]
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert re.fullmatch(r"acnorm: epoch 1, step 4: the loss is not finite; .*\n", told.err)
    assert told.out == ""
    assert not (tmp_path / "run/metrics.json").exists()
    assert "ERROR stopped: epoch 1, step 4: the loss is not finite" in (tmp_path / "run/log.txt").read_text()


@pytest.mark.parametrize(("method", "model"), [("acnorm", "tiny_runs:tiny"), ("vanilla", "tiny_runs:without_norm")])
def test_every_parameter_learns_once_and_the_head_alone_at_its_own_rate(
    folder: Path, tmp_path: Path, method: str, model: str
):
    changes = {
        "method": method,
        "model": model,
        "learning_rate": 0.02,
        "head_rate": 3,
        "optimizer": "sgd",
        "momentum": 0.7,
    }
    weights = {"weights": folder / "weights.pth"} if method == "acnorm" else {}
    made = config(folder, out=tmp_path / "run", weight_decay=0.1, **changes, **weights)
    data = prepare_data(made)
    prepared = prepare_model(made, data)
    module = FinetuneModule(prepared.module, prepared.network.head, data, made)
    module._trainer = SimpleNamespace(global_rank=0, world_size=1)
    optimizer = module.configure_optimizers()["optimizer"]
    rates = {id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(rates)
    assert rates == {
        id(p): pytest.approx(0.06 if name.startswith("fc.") else 0.02) for name, p in prepared.module.named_parameters()
    }
    assert all(
        (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.7, True, 0.1)
        for group in optimizer.param_groups
    )


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_the_rate_falls_along_a_cosine_to_0_at_the_last_step(folder: Path, tmp_path: Path, accumulate: int):
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=2, accumulate=accumulate)).path
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == 2 * -(-3 // accumulate)
    assert [group["lr"] for group in state["optimizer_states"][0]["param_groups"]] == pytest.approx([0, 0], abs=1e-12)
    assert pd.read_csv(run / "metrics.csv")["learning_rate"].tolist() == pytest.approx([0.01, 0.005])


def test_an_area_under_the_curve_that_is_not_defined_counts_as_chance(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    undefined = {"macro_auc": float("nan"), "accuracy": 1.0}
    monkeypatch.setattr("acnorm.training.objective.classification_metrics", lambda *_: undefined)
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=2)).path
    assert pd.read_csv(run / "metrics.csv")["val_macro_auc"].tolist() == [0.5, 0.5]


def test_randomness_of_an_epoch_depends_on_seed_epoch_and_process_alone(folder: Path, tmp_path: Path):
    def draw(seed: int, epoch: int, rank: int) -> float:
        module = module_of(folder, tmp_path / "run", Poisoned("none"), seed=seed)
        module._trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
        torch.rand(seed + epoch)
        module.on_train_epoch_start()
        return float(torch.rand(()))

    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    values = [draw(*key) for key in keys]
    assert values == [draw(*key) for key in keys]
    assert len(set(values)) == len(keys)
