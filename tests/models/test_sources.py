"""From a name to a network: what every row of the table promises, factories of one's own, and refusals."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from acnorm.errors import UserError
from acnorm.models.cifar import CifarResNet
from acnorm.models.sources import MODELS, ModelSource, build_network, find_source
from tiny_runs import TinyNet

every = pytest.mark.parametrize("name", MODELS)


def install(monkeypatch: pytest.MonkeyPatch, name: str, result: object) -> None:
    """Make `name:make` a factory that returns `result`."""

    def make(num_classes: int, in_channels: int) -> object:
        return result

    module = ModuleType(name)
    module.make = make
    monkeypatch.setitem(sys.modules, name, module)


@every
def test_every_network_takes_the_channels_and_gives_the_classes(name: str):
    dimensions = MODELS[name].dimensions[0]
    network = build_network(name, classes=4, channels=1, dimensions=dimensions)
    with torch.no_grad():
        assert network.module.eval()(torch.zeros(1, 1, *(32,) * dimensions)).shape == (1, 4)
    head, stem = network.module.get_submodule(network.head), network.module.get_submodule(network.stem)
    assert (type(head), head.out_features) == (nn.Linear, 4)
    assert (type(stem), stem.in_channels) == (nn.Conv2d if dimensions == 2 else nn.Conv3d, 1)
    assert (network.name, network.source) == (name, MODELS[name])


@pytest.mark.parametrize("name", ["cifar/resnet20", "monai/resnet18", "tiny_runs:tiny"])
def test_factory_and_arguments_build_it_again(name: str):
    network = build_network(name, classes=3, channels=2)
    module, function = network.factory.split(":")
    again = getattr(import_module(module), function)(**network.arguments)
    again.load_state_dict(network.module.state_dict())  # strict: the same names and shapes
    images = torch.randn(2, 2, 32, 32)
    assert torch.equal(network.module.eval()(images), again.eval()(images))


@pytest.mark.parametrize(
    ("name", "head", "stem"),
    [
        ("cifar/resnet20", "linear", "conv1"),
        ("monai/resnet18", "fc", "conv1"),
        ("monai/densenet121", "class_layers.out", "features.conv0"),
        ("monai/efficientnet-b0", "_fc", "_conv_stem"),
        ("monai/seresnet50", "last_linear", "layer0.conv1"),
    ],
)
def test_head_and_stem_by_name(name: str, head: str, stem: str):
    network = build_network(name, classes=2, channels=3)
    assert (network.head, network.stem) == (head, stem)


@pytest.mark.parametrize("depth", [18, 50])
def test_monai_resnets_are_laid_out_as_torchvisions(depth: int):
    module = build_network(f"monai/resnet{depth}", classes=2, channels=3).module
    assert (module.conv1.kernel_size, module.conv1.stride) == ((7, 7), (2, 2))
    assert "layer2.0.downsample.0.weight" in module.state_dict()
    assert not [name for name in module.state_dict() if name.endswith("downsample.0.bias") or name == "conv1.bias"]


def test_cifar_depths_are_those_of_the_names():
    for name, source in MODELS.items():
        if name.startswith("cifar/"):
            assert build_network(name, classes=2, channels=3).arguments["depth"] == int(
                name.removeprefix("cifar/resnet")
            )
            assert [len(values) for values in source.statistics] == [3, 3]


@every
def test_standalone_files_need_torch_alone(name: str):
    if MODELS[name].standalone:
        tree = ast.parse(Path(import_module(MODELS[name].module).__file__).read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {module.split(".")[0] for module in imported} <= {"torch", *sys.stdlib_module_names}
    else:
        assert not name.startswith("cifar/")


def test_a_factory_of_ones_own():
    network = build_network("tiny_runs:tiny", classes=4, channels=2)
    assert isinstance(network.module, TinyNet)
    assert (network.head, network.stem, network.factory) == ("fc", "conv1", "tiny_runs:tiny")
    assert network.arguments == {"num_classes": 4, "in_channels": 2}
    assert (network.source.statistics, network.source.standalone) == (None, False)


def test_the_last_linear_layer_is_the_head_and_without_convolution_there_is_no_stem(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, "nets", nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 2)))
    network = build_network("nets:make", classes=2, channels=1)
    assert (network.head, network.stem) == ("1", None)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cifar/resnet21", r"did you mean cifar/resnet\d+ or .*\?"),
        ("monai/resnet-18", r"did you mean monai/resnet18 or .*\?"),
        ("swin", rf"there are cifar/resnet20, .*, {list(MODELS)[-1]}\."),
        ("tiny_runs:", r"there are cifar/.*\."),
        (":tiny", r"there are cifar/.*\."),
        ("", r"there are cifar/.*\."),
    ],
)
def test_unknown_names_are_told_with_the_nearest(name: str, hint: str):
    with pytest.raises(
        UserError, match=rf"^--model '{name}' is not known; {hint} Or give module:function for a network of your own\.$"
    ):
        find_source(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.nets:make", "no module 'nowhere'; install it or put it on PYTHONPATH."),
        ("./nets.py:make", "'./nets.py' is no module; give its name without folder and suffix, on PYTHONPATH."),
        ("/work/nets:make", "'/work/nets' is no module; give its name without folder and suffix, on PYTHONPATH."),
        ("tiny_runs:huge", "module 'tiny_runs' has no function 'huge'."),
        ("tiny_runs:NETWORK", "module 'tiny_runs' has no function 'NETWORK'."),
        (
            "tiny_runs:weights_of",
            "the factory cannot be called with in_channels, num_classes (missing a required argument: 'run'); "
            "it must take num_classes and in_channels.",
        ),
        (
            "builtins:dict",
            "the factory cannot be called with in_channels, num_classes (no signature found for builtin type "
            "<class 'dict'>); it must take num_classes and in_channels.",
        ),
        ("nets:make", "returned str; a torch.nn.Module is needed."),
        ("headless:make", "its last linear layer must give 5 outputs, one a class."),
        ("wrong:make", "its last linear layer must give 5 outputs, one a class."),
    ],
)
def test_factories_that_will_not_do_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, message: str):
    install(monkeypatch, "nets", "resnet")
    install(monkeypatch, "headless", nn.Conv2d(1, 5, 3))
    install(monkeypatch, "wrong", nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 4)))
    with pytest.raises(UserError) as caught:
        build_network(name, classes=5, channels=1)
    assert str(caught.value) == f"--model {name}: {message}"


def test_a_factory_that_raises_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch):
    def make(num_classes: int, in_channels: int) -> nn.Module:
        raise RuntimeError(f"no {num_classes} classes\nfor {in_channels} channels")

    monkeypatch.setitem(sys.modules, "raising", ModuleType("raising"))
    monkeypatch.setattr(sys.modules["raising"], "make", make, raising=False)
    with pytest.raises(UserError) as caught:
        build_network("raising:make", classes=5, channels=1)
    told = "the factory stopped with RuntimeError: no 5 classes for 1 channels; --debug shows where."
    assert str(caught.value) == f"--model raising:make: {told}"


def test_a_module_that_cannot_be_imported_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "broken_nets.py").write_text("def make(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserError, match=r"importing 'broken_nets' stopped with SyntaxError: .*; --debug shows where\.$"
    ):
        build_network("broken_nets:make", classes=5, channels=1)


def test_find_source_of_ones_own():
    assert find_source("a.b:c") == ModelSource("a.b", "c", {})
    assert find_source("cifar/resnet20").function == CifarResNet.__name__
