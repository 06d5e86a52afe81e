"""Networks of timm, torchvision and smp: loaded, converted, one step, folded, exported. In an environment of their own."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from acnorm.checkpoints.load import load_checkpoint
from acnorm.core.census import census
from acnorm.core.convert import convert
from acnorm.core.fold import fold
from acnorm.errors import UserError
from acnorm.models.pretrained import _IN_2D, _address
from acnorm.models.sources import Network, build_network, build_unet, find_source
from tiny_runs import config, eyes, spread_norms

pytest.importorskip("timm", reason="the extras have an environment of their own: make test-extras")

CLASSIFIERS = (
    "timm/resnet18",
    "timm/darknet53",  # norms that hold their activation
    "timm/efficientnet_b0",
    "timm/efficientnetv2_rw_t",
    "timm/mobilenetv3_small_050",
    "timm/regnety_002",
    "timm/densenet121",
    "timm/legacy_seresnet18",
    "timm/repvgg_a0",
    "timm/hrnet_w18_small",
    "torchvision/resnet18",
    "torchvision/densenet121",
    "torchvision/mobilenet_v2",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/googlenet",
    "torchvision/mnasnet0_5",
)
UNETS = (
    "timm/resnet18",
    "timm/efficientnet_b0",
    "timm/mobilenetv3_small_050",
    "timm/regnety_002",
    "torchvision/resnet18",
)
SEGMENTERS = ("smp/unet-resnet18", "smp/fpn-mobilenet_v2", "smp/unetplusplus-efficientnet-b0")


def images(channels: int = 1, size: int = 64, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(0))


def trained(module: nn.Module) -> nn.Module:
    """Weights that look trained."""
    torch.manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
    spread_norms(module)
    return module


def whole_job(folder: Path, network: Network, source: nn.Module, *, export: bool) -> None:
    """Load, convert, train one step, fold without a change of output, and export."""
    torch.save({"state_dict": source.state_dict()}, folder / "source.pth")
    report = load_checkpoint(network.module, folder / "source.pth", head=network.head, stem=network.stem)
    assert (report.parameter_share, report.norm_share) == (1.0, 1.0)
    plain = network.module.eval()
    with torch.no_grad():
        before = plain(images())
    model = convert(plain, report.trained_norms)
    assert census(model).converted
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model(images()).square().mean().backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        tuned = model(images())
        folded = fold(model)
        torch.testing.assert_close(folded(images()), tuned, rtol=1e-4, atol=1e-4 * float(tuned.abs().max()))
    assert not torch.equal(before, tuned)
    if export:
        program = torch.export.export(folded, (images(),))
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        with torch.no_grad():
            torch.testing.assert_close(
                torch.export.load(file).module()(images()), folded(images()), rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_from_load_to_export(tmp_path: Path, name: str):
    source = trained(build_network(name, classes=10, channels=3).module)
    network = build_network(name, classes=2, channels=1)
    whole_job(tmp_path, network, source, export=True)


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_on_a_classifiers_checkpoint(tmp_path: Path, name: str):
    source = trained(build_network(name, classes=10, channels=3).module)
    network = build_unet(name, classes=2, channels=1)
    whole_job(tmp_path, network, source, export=False)
    with torch.no_grad():
        assert network.module.eval()(images(size=72)).shape == (2, 2, 72, 72)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_keeps_its_pretrained_decoder(tmp_path: Path, name: str):
    source = trained(build_unet(name, classes=5, channels=3).module)
    network = build_unet(name, classes=2, channels=1)
    assert network.head == "segmentation_head"
    whole_job(tmp_path, network, source, export=False)


@pytest.mark.parametrize("name", ["smp/unet-resnet18", "smp/fpn-tu-resnet18"])
def test_the_weights_of_a_segmenter_s_encoder_are_found_and_leave_its_decoder_new(tmp_path: Path, name: str):
    assert _address(name, 2).startswith("https://huggingface.co/")
    source = trained(build_network("timm/resnet18", classes=10, channels=3).module)
    torch.save(source.state_dict(), tmp_path / "encoder.pth")
    network = build_unet(name, classes=2, channels=1)
    report = load_checkpoint(
        network.module, tmp_path / "encoder.pth", head=network.head, stem=network.stem, decoder=network.source.decoder
    )
    assert (report.parameter_share, report.norm_share) == (1.0, 1.0)
    assert any(new.startswith("decoder.") for new in report.head)


def test_usual_statistics_are_those_of_the_weights():
    assert find_source("timm/resnet50.a1_in1k").statistics == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert find_source("timm/tf_efficientnetv2_s").statistics == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet81", r"--model 'timm/resnet81' is not known; did you mean timm/resnet18"),
        ("torchvision/resnet81", r"--model 'torchvision/resnet81' is not known; did you mean torchvision/resnet18"),
        ("smp/unett-resnet34", r"--model 'smp/unett-resnet34' is not known; did you mean smp/unet-resnet34"),
        ("smp/unet-resnet35", r"--model 'smp/unet-resnet35' is not known; did you mean smp/unet-resnet"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, message: str):
    with pytest.raises(UserError, match=message):
        find_source(name)


def test_what_a_network_cannot_do():
    with pytest.raises(UserError, match="--model smp/unet-resnet18: segments; for classes give a network such as timm"):
        build_network("smp/unet-resnet18", classes=2, channels=1)
    with pytest.raises(
        UserError, match="VisionTransformer: its stages give no feature maps; choose a convolutional net"
    ):
        build_unet("timm/test_vit", classes=2, channels=3)
    with pytest.raises(
        UserError, match="--model timm/resnet18: comes in 2D only; for volumes there are monai/resnet10"
    ):
        build_network("timm/resnet18", classes=2, channels=1, dimensions=3)
    with pytest.raises(UserError, match="--model torchvision/googlenet: no U-Net can be built on it; there are cifar"):
        build_unet("torchvision/googlenet", classes=2, channels=1)


def test_a_run_its_predictions_and_its_shipped_network(tmp_path: Path):
    from acnorm.training.finetune import run_finetune
    from acnorm.training.predict import predict

    eyes(tmp_path / "eyes.npz", size=32)
    source = trained(build_network("timm/resnet18", classes=10, channels=3).module)
    torch.save(source.state_dict(), tmp_path / "source.pth")
    weights = str(tmp_path / "source.pth")
    run_finetune(config(tmp_path, model="timm/resnet18", weights=weights, method="acnorm", epochs=1))
    assert predict(tmp_path / "run", tmp_path / "eyes.npz").is_file()


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("timm/resnet50.a1_in1k", "https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors"),
        ("smp/unet-tu-resnet18", "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"),
        ("torchvision/densenet121", "https://download.pytorch.org/models/densenet121-a639ec97.pth"),
    ],
)
def test_where_public_weights_are(model: str, address: str):
    assert _address(model, 2) == address


def test_the_tables_of_public_weights_are_those_of_torchvision():
    for name, address in _IN_2D.items():
        known = {
            weights.url for weights in import_module("torchvision.models").get_model_weights(name.partition("/")[2])
        }
        assert address in known
