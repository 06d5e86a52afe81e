"""AC-Norm inside what PyTorch offers: compile, export, checkpointing, autocast, memory formats, several processes."""

from __future__ import annotations

import shutil
import socket
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.utils.checkpoint import checkpoint

from acnorm.core import correlation
from acnorm.core.convert import convert
from acnorm.core.fold import fold
from acnorm.core.layer import ACNorm, without_recalibration
from networks import images_for, move, relative_difference, trained

FORMS = {"dense": 10**6, "windowed": 0}


@pytest.fixture(params=FORMS)
def _form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with the matrix, and without."""
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", FORMS[request.param])


in_both_forms = pytest.mark.usefixtures("_form")


def gradients(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    output = model(images)
    output.square().sum().backward()
    return [output.detach(), *(value.grad.clone() for value in model.parameters())]


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float = 1e-5) -> None:
    # conv biases and the like have gradients of nearly zero: measured against the largest
    scale = max(float(value.abs().max()) for value in expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert float((mine - theirs).abs().max()) <= tolerance * scale


# torch's own, when dynamo traces any autograd.Function
of_dynamo = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


@of_dynamo
@in_both_forms
@pytest.mark.parametrize(
    ("training", "init"),
    [
        (True, "paper"),
        (False, "identity"),
        pytest.param(True, "identity", marks=pytest.mark.slow),
        pytest.param(False, "paper", marks=pytest.mark.slow),
    ],
)
def test_compile_without_graph_breaks(training: bool, init: str):
    torch._dynamo.reset()
    model = move(convert(trained(), init=init)).train(training)
    compiled = torch.compile(deepcopy(model), fullgraph=True, backend="aot_eager")
    images = images_for()
    assert_close(gradients(compiled, images), gradients(model, images))
    move(model, seed=8)
    move(compiled, seed=8)  # the compiled one reads the parameters as they are now
    assert_close(gradients(compiled, images), gradients(model, images))
    with without_recalibration(model), without_recalibration(compiled):
        assert_close(gradients(compiled, images), gradients(model, images))


@of_dynamo
@in_both_forms
@pytest.mark.parametrize(
    ("context", "frozen"),
    [
        (torch.no_grad, []),
        (torch.inference_mode, []),
        (torch.enable_grad, ["bn1.norm.weight"]),
        pytest.param(torch.enable_grad, ["bn1.norm.weight", "bn1.norm.bias"], marks=pytest.mark.slow),
        (torch.enable_grad, None),
    ],
)
def test_compile_where_layers_need_no_gradient(frozen: list[str] | None, context: type):
    torch._dynamo.reset()
    model = move(convert(trained())).eval()
    for name in [name for name, _ in model.named_parameters()] if frozen is None else frozen:
        model.get_parameter(name).requires_grad_(False)
    with context():
        found = torch.compile(deepcopy(model), fullgraph=True, backend="aot_eager")(images_for())
        assert relative_difference(found.detach(), model(images_for()).detach()) < 1e-5


@of_dynamo
@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("_form", [pytest.param("dense", marks=pytest.mark.slow), "windowed"], indirect=True)
def test_compile_with_inductor():
    if not shutil.which("g++") and not shutil.which("clang++"):
        pytest.skip("no C++ compiler was found, which torch.compile's inductor needs")
    torch._dynamo.reset()
    layer = nn.BatchNorm1d(24)
    nn.init.normal_(layer.bias)
    model = move(convert(nn.Sequential(nn.Linear(5, 24), layer)))
    features = torch.randn(6, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inductor's own
        found = gradients(torch.compile(deepcopy(model), fullgraph=True), features)
    assert_close(found, gradients(model, features))


@in_both_forms
@pytest.mark.parametrize("training", [True, False])
def test_export(training: bool):
    model, images = move(convert(trained(), init="identity")).train(training), images_for()
    expected = deepcopy(model)(images).detach()
    exported = torch.export.export(model, (images,))
    assert relative_difference(exported.module()(images).detach(), expected) < 1e-6


def test_export_after_folding_holds_nothing_of_acnorm():
    model = fold(move(convert(trained())).eval(), images_for())
    exported = torch.export.export(model, (images_for(),))
    assert set(exported.state_dict) == set(trained().state_dict())


@in_both_forms
def test_checkpointing_without_reentrance():
    model = move(convert(trained()))
    other = deepcopy(model)
    expected = gradients(model, images_for())
    output = checkpoint(other, images_for(), use_reentrant=False)
    output.square().sum().backward()
    assert_close([output.detach(), *(value.grad for value in other.parameters())], expected, 1e-7)


@in_both_forms
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype: torch.dtype):
    model = move(convert(trained())).eval()
    exact = [value.detach().clone() for value in model.bn1.merged_affine()]
    correlated = model.bn2.correlation()
    with torch.autocast("cpu", dtype=dtype):
        output = model(images_for())
        assert all(torch.equal(*pair) for pair in zip(model.bn1.merged_affine(), exact, strict=True))
        assert torch.equal(model.bn2.correlation(), correlated)
    output.float().square().sum().backward()
    assert output.dtype == dtype
    assert relative_difference(output.detach(), model(images_for()).detach()) < 0.05
    assert all(value.grad.dtype == torch.float32 for value in model.parameters())


def test_channels_last():
    model = move(convert(trained(dtype=torch.float64)))
    images = images_for(dtype=torch.float64).repeat(1, 1, 2, 2)
    expected = gradients(model, images)
    other = deepcopy(model).to(memory_format=torch.channels_last)
    assert_close(gradients(other, images.to(memory_format=torch.channels_last)), expected, 1e-12)
    features = torch.randn(2, 8, 4, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    assert model.bn1(features).is_contiguous(memory_format=torch.channels_last)


def test_weight_averaging_sees_the_affine():
    model = convert(trained())
    averaged = torch.optim.swa_utils.AveragedModel(model)
    first = model.bn1.weight.detach().clone()
    averaged.update_parameters(model)
    averaged.update_parameters(move(model))
    assert isinstance(averaged.module.bn1, ACNorm)
    torch.testing.assert_close(averaged.module.bn1.weight.detach(), (first + model.bn1.weight.detach()) / 2)


@pytest.mark.parametrize(
    "hide",
    [
        lambda norm: prune.l1_unstructured(norm, "weight", amount=2),
        lambda norm: parametrize.register_parametrization(norm, "weight", nn.ReLU()),
        lambda norm: parametrize.register_parametrization(norm, "bias", nn.Tanh(), unsafe=True),
    ],
)
def test_a_hidden_weight_is_refused_in_words(hide: Callable[[nn.Module], object]):
    model = convert(trained())
    hide(model.bn1.norm)
    with pytest.raises(
        RuntimeError, match=r"^the weight of the wrapped layer is hidden by another tensor\. .*after acnorm"
    ):
        model(images_for())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _train_in_parallel(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(_frozen_statistics(), find_unused_parameters=False)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    shards = images_for(dtype=torch.float64).chunk(2)
    for step in range(2):
        optimiser.zero_grad()
        model(shards[rank]).square().sum(1).mean().backward()
        if step == 0:
            gradient = {name: value.grad.clone() for name, value in model.module.named_parameters()}
        optimiser.step()
    torch.save((gradient, model.module.state_dict()), Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def _frozen_statistics() -> nn.Module:
    # in eval the gradient of a batch is the mean of its halves' gradients, also through BatchNorm
    return move(convert(trained(dtype=torch.float64))).eval()


def test_two_processes_train_as_one(tmp_path: Path):
    torch.multiprocessing.spawn(_train_in_parallel, (_free_port(), str(tmp_path)), nprocs=2)
    (first_gradient, first), (second_gradient, second) = (
        torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    model = _frozen_statistics()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(2):
        optimiser.zero_grad()
        model(images_for(dtype=torch.float64)).square().sum(1).mean().backward()
        if step == 0:
            for name, value in model.named_parameters():
                assert torch.equal(first_gradient[name], second_gradient[name])
                assert relative_difference(first_gradient[name], value.grad) < 1e-12, name
        optimiser.step()
    assert all(relative_difference(first[name], value) < 1e-12 for name, value in model.state_dict().items())
