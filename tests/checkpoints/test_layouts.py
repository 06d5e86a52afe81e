"""One tiny file per public layout: it is told what it is, and what is in it comes home to its network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from acnorm.checkpoints.doctor import examine
from acnorm.checkpoints.keys import match_names
from acnorm.checkpoints.layouts import LAYOUTS, known_layout
from acnorm.checkpoints.load import load_checkpoint
from acnorm.checkpoints.read import read_checkpoint
from acnorm.models.sources import build_network, build_unet

RESNET = "ResNet of torchvision, timm, MONAI or MedicalNet"
NUMBERS = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def prefixed(prefix: str) -> Callable[[str], str]:
    return lambda name: prefix + name


def numbered(prefix: str) -> Callable[[str], str]:
    def rename(name: str) -> str:
        child, _, rest = name.partition(".")
        return f"{prefix}{NUMBERS[child]}.{rest}" if child in NUMBERS else ""

    return rename


def numbered_without_pooling(prefix: str) -> Callable[[str], str]:
    shorter = {"conv1": "0", "bn1": "1", "layer1": "3", "layer2": "4", "layer3": "5", "layer4": "6"}

    def rename(name: str) -> str:
        child, _, rest = name.partition(".")
        return f"{prefix}{shorter[child]}.{rest}" if child in shorter else ""

    return rename


def of_children(prefix: str) -> Callable[[str], str]:
    return lambda name: name.replace("features.", prefix).replace(".layers.", ".")


def of_authors(name: str) -> str:
    norm = ".bn" in name or name.startswith("bn")
    return f"{name}_target" if norm and name.endswith(("weight", "bias")) else name


def without_layers(name: str) -> str:
    return name.replace(".layers.", ".")


def same(name: str) -> str:
    return name


# What writes it, the network in it, the names that it gives, tensors beside, the keys of the file, the layout told.
FILES = [
    ("torchvision", "monai/resnet18", same, (), (), RESNET),
    ("timm", "monai/densenet121", without_layers, (), (), "DenseNet"),
    ("MONAI's DenseNet", "monai/densenet121", same, (), (), "DenseNet"),
    ("MONAI", "monai/efficientnet-b0", same, (), (), "MONAI's EfficientNet"),
    (
        "MedicalNet",
        "monai/resnet18a",
        prefixed("module."),
        (),
        ("state_dict",),
        RESNET,
    ),
    ("CIFAR", "cifar/resnet20", prefixed("module."), (), ("state_dict",), "CIFAR ResNet"),
    ("Lightning", "cifar/resnet20", prefixed("model."), ("loss.weight",), ("state_dict",), "CIFAR ResNet"),
    ("timm's EMA", "monai/resnet10", prefixed("module."), (), ("state_dict_ema",), RESNET),
    ("Models Genesis", "genesis/unet3d", prefixed("module."), (), ("state_dict",), "Models Genesis"),
    ("PCRL", "genesis/unet3d", prefixed("module."), ("module.predictor.0.weight",), ("state_dict",), "PCRL"),
    (
        "RadImageNet",
        "monai/resnet50",
        numbered("backbone."),
        (),
        (),
        "RadImageNet or lightly (numbered children of a ResNet)",
    ),
    (
        "lightly",
        "monai/resnet18",
        numbered("backbone."),
        ("projection_head.layers.0.weight",),
        ("state_dict",),
        "RadImageNet or lightly (numbered children of a ResNet)",
    ),
    (
        "RadImageNet's DenseNet",
        "monai/densenet121",
        of_children("backbone.0."),
        (),
        (),
        "RadImageNet (numbered children of a DenseNet)",
    ),
    (
        "MoCo",
        "monai/resnet50",
        prefixed("module.encoder_q."),
        ("module.encoder_k.conv1.weight", "module.queue"),
        ("state_dict",),
        "MoCo",
    ),
    (
        "MoCo v3",
        "monai/resnet50",
        prefixed("module.base_encoder."),
        ("module.momentum_encoder.conv1.weight",),
        ("state_dict",),
        "MoCo v3 or PyTorch's MoCo",
    ),
    (
        "SimCLR",
        "monai/resnet18",
        prefixed("backbone."),
        ("projector.0.weight",),
        ("state_dict",),
        "SimCLR or another contrastive method",
    ),
    (
        "SimCLR on small images",
        "monai/resnet18",
        numbered_without_pooling("module.f."),
        ("module.g.0.weight",),
        (),
        "SimCLR or another contrastive method",
    ),
    (
        "BYOL's two networks apart",
        "monai/resnet18",
        numbered("encoder."),
        (),
        ("online_network_state_dict",),
        "RadImageNet or lightly (numbered children of a ResNet)",
    ),
    (
        "VISSL",
        "monai/resnet18",
        prefixed("_feature_blocks."),
        (),
        ("trunk", "model", "base_model", "classy_state_dict"),
        RESNET,
    ),
    (
        "solo-learn",
        "monai/resnet18",
        prefixed("backbone."),
        ("projector.0.weight", "momentum_backbone.conv1.weight"),
        ("state_dict",),
        "SimCLR or another contrastive method",
    ),
    (
        "SupContrast",
        "monai/resnet18",
        prefixed("encoder.module."),
        ("head.0.weight",),
        ("model",),
        RESNET,
    ),
    (
        "BYOL",
        "monai/resnet18",
        prefixed("online_encoder."),
        ("target_encoder.conv1.weight", "online_predictor.0.weight"),
        (),
        "BYOL",
    ),
    (
        "DINO",
        "monai/resnet50",
        prefixed("teacher.backbone."),
        ("student.backbone.conv1.weight",),
        (),
        "student and teacher, as DINO",
    ),
    (
        "lightly's DINO",
        "monai/resnet50",
        numbered("teacher_backbone."),
        ("student_backbone.0.weight",),
        ("state_dict",),
        "student and teacher, as DINO",
    ),
    ("compiled by stage", "monai/resnet10", lambda name: name.replace(".0.", "._orig_mod.0."), (), (), RESNET),
    ("DINO's keys", "monai/resnet50", prefixed("module.backbone."), (), ("teacher",), RESNET),
    (
        "the authors of AC-Norm",
        "monai/resnet18",
        of_authors,
        ("bn1.weight_source", "bn1.bias_source"),
        ("state_dict",),
        "AC-Norm (the authors' code)",
    ),
]
REFUSED = [
    ("SwinUNETR", ("swinViT.layers1.0.blocks.0.attn.qkv.weight",), (), "SwinUNETR or Swin SSL (MONAI)"),
    (
        "a Swin",
        ("module.patch_embed.proj.weight", "module.layers.0.attn.qkv.weight"),
        (),
        "SwinUNETR or Swin SSL (MONAI)",
    ),
    ("UNETR", ("vit.patch_embedding.cls_token", "vit.blocks.0.attn.qkv.weight"), (), "UNETR or ViT"),
    ("nnU-Net", ("encoder.stages.0.0.weight", "decoder.seg_layers.0.weight"), (), "nnU-Net"),
    ("nnssl", ("encoder.stages.0.0.weight",), ("nnssl_adaptation_plan",), "nnssl"),
    ("MobileNet", ("conv_stem.weight", "blocks.0.0.conv_dw.weight"), (), "timm's EfficientNet or MobileNet"),
    ("SegResNet", ("down_layers.0.1.conv1.conv.weight", "up_layers.0.0.conv1.conv.weight"), (), "MONAI's SegResNet"),
    ("DynUNet", ("input_block.conv1.conv.weight", "bottleneck.conv1.conv.weight"), (), "MONAI's DynUNet"),
    (
        "a bundle without residuals",
        ("model.0.conv.weight", "model.1.submodule.0.conv.weight"),
        (),
        "MONAI's UNet (bundles)",
    ),
    (
        "a bundle",
        ("model.0.conv.unit0.conv.weight", "model.1.submodule.0.conv.unit0.conv.weight"),
        (),
        "MONAI's UNet (bundles)",
    ),
]


def own_names(model: str) -> list[str]:
    with torch.device("meta"):
        dimensions = 3 if model.startswith("genesis") else 2
        network = build_network(model, classes=2, channels=1, dimensions=dimensions)
    return [name for name in network.module.state_dict() if not name.startswith(f"{network.head}.")]


def written(folder: Path, names: list[str], keys: tuple[str, ...], beside: tuple[str, ...] = ()) -> Path:
    content: dict = {name: torch.zeros(1) for name in names}
    for key in keys:
        content = {key: content, "epoch": 3}
    torch.save({**content, **dict.fromkeys(beside, "")}, folder / "weights.pth")
    return folder / "weights.pth"


@pytest.mark.parametrize(("writer", "model", "rename", "more", "keys", "told"), FILES, ids=[row[0] for row in FILES])
def test_what_is_in_it_comes_home(
    tmp_path: Path,
    writer: str,
    model: str,
    rename: Callable[[str], str],
    more: tuple[str, ...],
    keys: tuple[str, ...],
    told: str,
):
    own = own_names(model)
    names = [name for name in map(rename, own) if name]
    read = read_checkpoint(written(tmp_path, [*names, *more, "fc.weight"], keys))
    assert read.wrapper == keys[::-1]
    facts = examine(read)
    assert facts.layout == told
    assert facts.advice
    assert set(own) <= match_names(read.state, own).keys()


@pytest.mark.parametrize(("writer", "names", "beside", "told"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_no_network_takes_is_told(
    tmp_path: Path, writer: str, names: tuple[str, ...], beside: tuple[str, ...], told: str
):
    facts = examine(read_checkpoint(written(tmp_path, list(names), ("network_weights",), beside)))
    assert facts.layout == told
    assert not [row for row in LAYOUTS if row.name == told and row.models]


def test_every_layout_has_a_file():
    assert {row[-1] for row in [*FILES, *REFUSED]} == {row.name for row in LAYOUTS}


def test_other_names_fit_none():
    assert known_layout(["conv.weight", "bn.bias"]) is None


def test_the_values_of_numbered_children_are_those_that_load(tmp_path: Path):
    source, target = (build_network("monai/resnet10", classes=2, channels=3) for _ in range(2))
    rename = numbered("backbone.")
    state: dict[str, Tensor] = {rename(name): value for name, value in source.module.state_dict().items()}
    state.pop("")
    torch.save(state, tmp_path / "a.pt")
    report = load_checkpoint(target.module, tmp_path / "a.pt", head=target.head, stem=target.stem)
    assert (report.missing, report.unexpected, report.norm_share) == ((), (), 1.0)
    for name, value in target.module.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(value, source.module.state_dict()[name])


def test_the_affine_of_the_authors_target_goes_into_a_unet(tmp_path: Path):
    source = build_network("cifar/resnet20", classes=2, channels=3)
    state = {}
    for name, value in source.module.state_dict().items():
        if name in ("bn1.weight", "bn1.bias"):
            state[f"{name}_source"] = value + 1
        state[f"{name}_target" if "bn" in name and name.endswith(("weight", "bias")) else name] = value
    torch.save({"net": state}, tmp_path / "a.pt")
    target = build_unet("cifar/resnet20", classes=2, channels=3)
    report = load_checkpoint(target.module, tmp_path / "a.pt", head=target.head, stem=target.stem)
    assert report.parameter_share == 1.0
    assert torch.equal(target.module.state_dict()["encoder.bn1.weight"], source.module.bn1.weight)
