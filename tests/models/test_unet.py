"""U-Nets on every encoder: any size in, the encoder's own features inside, and only the encoder converted."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from acnorm.checkpoints.load import load_checkpoint
from acnorm.core.census import census
from acnorm.core.convert import convert
from acnorm.core.fold import fold
from acnorm.errors import UserError
from acnorm.models.genesis import GenesisUNet
from acnorm.models.sources import MODELS, build_network, build_unet
from tiny_runs import spread_norms

KINDS = [
    ("cifar/resnet20", 2),
    ("monai/resnet18", 2),
    ("monai/resnet10", 3),
    ("monai/densenet121", 2),
    ("monai/efficientnet-b0", 2),
    ("monai/efficientnet-b0", 3),
    ("monai/seresnet50", 2),
]
every = pytest.mark.parametrize(("name", "dimensions"), KINDS)


def images_for(dimensions: int, channels: int = 1, size: int = 32, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, channels, *(size,) * dimensions, generator=generator)


def classifier_file(folder: Path, name: str, dimensions: int, channels: int = 1) -> tuple[nn.Module, Path]:
    """A classification network that looks trained, and its checkpoint."""
    module = build_network(name, classes=5, channels=channels, dimensions=dimensions).module
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
    spread_norms(module)
    torch.save({"state_dict": {f"module.{key}": value for key, value in module.state_dict().items()}}, folder / "c.pth")
    return module, folder / "c.pth"


def loaded(folder: Path, name: str, dimensions: int):
    classifier, file = classifier_file(folder, name, dimensions)
    network = build_unet(name, classes=3, channels=1, dimensions=dimensions)
    report = load_checkpoint(network.module, file, head=network.head, stem=network.stem)
    return classifier, network, report


@pytest.mark.parametrize("name", [name for name, source in MODELS.items() if 2 in source.dimensions])
def test_every_encoder_gives_logits_of_the_images_size(name: str):
    network = build_unet(name, classes=3, channels=1)
    with torch.no_grad():
        for size in ((32, 32), (50, 37)):
            assert network.module.eval()(torch.zeros(1, 1, *size)).shape == (1, 3, *size)
    assert isinstance(network.module.get_submodule(network.stem), nn.Conv2d)


def test_volumes_of_any_size():
    network = build_unet("monai/resnet10", classes=2, channels=1, dimensions=3)
    with torch.no_grad():
        assert network.module.eval()(torch.zeros(1, 1, 33, 20, 17)).shape == (1, 2, 33, 20, 17)


@every
def test_a_classifiers_checkpoint_fills_the_encoder_and_the_decoder_is_new(tmp_path: Path, name: str, dimensions: int):
    classifier, network, report = loaded(tmp_path, name, dimensions)
    assert (report.parameter_share, report.file_share, report.missing) == (1, 1, ())
    used = {key.removeprefix("encoder.") for key in network.module.state_dict()}
    assert {key for key in classifier.state_dict() if "num_batches" not in key} - used == set(report.unexpected)
    assert any("weight" in key for key in report.unexpected)  # the classifier's head
    assert all(key.startswith("decoder.") for key in report.head)
    own = network.module.state_dict()
    for key, value in classifier.state_dict().items():
        assert f"encoder.{key}" not in own or torch.equal(own[f"encoder.{key}"], value), key


@every
def test_the_encoders_features_are_those_of_the_classifier(tmp_path: Path, name: str, dimensions: int):
    classifier, network, _ = loaded(tmp_path, name, dimensions)
    images = images_for(dimensions)
    kept: list[torch.Tensor] = []
    heads = [layer for key, layer in classifier.named_modules() if isinstance(layer, nn.Linear)]
    after = classifier._conv_head_padding if "efficientnet" in name else heads[-1]
    after.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        classifier.eval()(images)
        last = network.module.eval().features(images)[-1]
    if name == "monai/densenet121":  # its head begins with a ReLU
        last = last.relu()
    wanted = kept[0] if kept[0].ndim == 2 else kept[0].flatten(2).mean(2)
    torch.testing.assert_close(last.flatten(2).mean(2), wanted, rtol=1e-4, atol=1e-4)


@every
def test_only_the_encoder_is_converted_and_folding_changes_no_output(tmp_path: Path, name: str, dimensions: int):
    _, network, report = loaded(tmp_path, name, dimensions)
    plain = deepcopy(network.module)
    module = convert(network.module, report.trained_norms)
    done = census(module)
    assert all(layer.name.startswith("encoder.") for layer in done.converted)
    assert len(done.converted) == len(report.trained_norms) > 0
    assert all(layer.name.startswith("decoder.") for layer in done.left_alone)
    images = images_for(dimensions)
    with torch.no_grad():
        before = module.eval()(images)
        after = fold(module)(images)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
    again = convert(plain)  # without the report: by the affine
    assert census(again).converted == done.converted


def test_its_gradient_reaches_every_parameter():
    network = build_unet("cifar/resnet20", classes=2, channels=3).module
    network(images_for(2, channels=3)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "dimensions", "message"),
    [
        ("cifar/resnet20", 3, r"--model cifar/resnet20: comes in 2D only; for volumes there are monai/resnet10, "),
        ("tiny_runs:tiny", 2, r"--model tiny_runs:tiny: no U-Net can be built on it; there are cifar/resnet20, "),
        ("genesis/unet3d", 2, r"--model genesis/unet3d: comes in 3D only; for 2D images and slices there are cifar/"),
        ("cifar/resnet21", 2, r"--model 'cifar/resnet21' is not known; did you mean "),
    ],
)
def test_what_no_unet_can_be_built_on_is_refused(name: str, dimensions: int, message: str):
    with pytest.raises(UserError, match=message):
        build_unet(name, classes=2, channels=3, dimensions=dimensions)


def test_the_unet_of_models_genesis_is_loaded_whole_but_for_its_last_layer(tmp_path: Path):
    torch.manual_seed(0)
    trained = GenesisUNet(1, 1)
    spread_norms(trained)
    state = {f"module.{key}": value for key, value in trained.state_dict().items()}
    torch.save({"epoch": 9, "state_dict": state}, tmp_path / "Genesis_Chest_CT.pt")
    network = build_unet("genesis/unet3d", classes=3, channels=1, dimensions=3)
    report = load_checkpoint(network.module, tmp_path / "Genesis_Chest_CT.pt", head=network.head, stem=network.stem)
    assert (report.parameter_share, report.norm_share, report.missing) == (1, 1, ())
    assert report.head == ("out_tr.final_conv.weight", "out_tr.final_conv.bias")
    module = convert(network.module, report.trained_norms)
    assert len(census(module).converted) == 14
    with torch.no_grad():
        assert module.eval()(torch.zeros(1, 1, 16, 8, 8)).shape == (1, 3, 16, 8, 8)
    classifier = build_network("genesis/unet3d", classes=2, channels=1, dimensions=3)
    report = load_checkpoint(
        classifier.module, tmp_path / "Genesis_Chest_CT.pt", head=classifier.head, stem=classifier.stem
    )
    assert (report.parameter_share, report.file_share) == (1, 1)
    assert all(name.startswith(("up_tr", "out_tr")) for name in report.unexpected)


def test_the_names_and_shapes_of_models_genesis():
    shapes = {name: tuple(value.shape) for name, value in GenesisUNet(1, 1).state_dict().items()}
    wanted = {
        "down_tr64.ops.0.conv1.weight": (32, 1, 3, 3, 3),
        "down_tr64.ops.1.bn1.running_mean": (64,),
        "down_tr512.ops.1.conv1.weight": (512, 256, 3, 3, 3),
        "up_tr256.up_conv.weight": (512, 512, 2, 2, 2),
        "up_tr256.ops.0.conv1.weight": (256, 768, 3, 3, 3),
        "up_tr128.ops.0.conv1.weight": (128, 384, 3, 3, 3),
        "up_tr64.ops.0.conv1.weight": (64, 192, 3, 3, 3),
        "up_tr64.ops.1.conv1.bias": (64,),
        "out_tr.final_conv.weight": (1, 64, 1, 1, 1),
    }
    assert {name: shapes.get(name) for name in wanted} == wanted
    assert len(shapes) == 14 * 7 + 3 * 2 + 2
