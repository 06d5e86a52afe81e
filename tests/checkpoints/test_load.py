from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from acnorm.checkpoints.load import load_checkpoint
from acnorm.errors import UserError
from acnorm.models.cifar import CifarResNet
from acnorm.models.sources import build_network, build_unet


def saved(folder: Path, model: nn.Module, prefix: str = "") -> Path:
    state = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state}, folder / "weights.pth")
    return folder / "weights.pth"


def test_wrapped_checkpoint_loads_and_the_head_stays_new(tmp_path: Path):
    source, target = CifarResNet(20), CifarResNet(20, num_classes=5)
    head = target.linear.weight.detach().clone()
    report = load_checkpoint(target, saved(tmp_path, source, "module."), head="linear", stem="conv1")
    assert report.parameter_share == report.norm_share == 1.0
    assert len(report.trained_norms) == 19
    assert not report.missing
    assert not report.unexpected
    assert torch.equal(target.bn1.weight, source.bn1.weight)
    assert torch.equal(target.linear.weight, head)


def test_stem_is_adapted_to_grey_images(tmp_path: Path):
    source, target = CifarResNet(20), CifarResNet(20, in_channels=1)
    report = load_checkpoint(target, saved(tmp_path, source), head="linear", stem="conv1")
    assert report.adapted == ("conv1.weight",)
    assert torch.allclose(target.conv1.weight, source.conv1.weight.sum(dim=1, keepdim=True), atol=1e-6)


def test_too_little_is_refused_and_changes_nothing(tmp_path: Path):
    target = CifarResNet(32)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(
        UserError, match=r"only \d+\.\d% of the parameters of CifarResNet would load .at least 90% must"
    ):
        load_checkpoint(target, saved(tmp_path, CifarResNet(20)), head="linear", stem="conv1")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_not_a_number_in_the_file_is_refused(tmp_path: Path):
    source = CifarResNet(20)
    source.conv1.weight.data[0] = float("nan")
    with pytest.raises(UserError, match=r"conv1\.weight holds NaN or infinity"):
        load_checkpoint(CifarResNet(20), saved(tmp_path, source), head="linear")


def test_a_deeper_networks_file_is_refused(tmp_path: Path):
    target = CifarResNet(20)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    file = saved(tmp_path, CifarResNet(56))
    told = (
        r"weights\.pth: is of a deeper network than CifarResNet as asked for: 31\.\d% of what it holds would be used "
        r"\(at least 90% must\), 180 tensors would be left over \(layer1\.3\.conv1\.weight, .*, …\)\. "
        r"Give the --model that the file was made with, or allow less with --minimum-share\.$"
    )
    with pytest.raises(UserError, match=told):
        load_checkpoint(target, file, head="linear", stem="conv1")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    report = load_checkpoint(target, file, head="linear", stem="conv1", minimum_share=0.3)
    assert report.parameter_share == 1.0
    assert report.file_share == pytest.approx(0.31, abs=0.01)
    assert str(report).endswith("; 31.6% of what it holds for such a network is used")


def test_what_else_a_file_holds_is_no_deeper_network(tmp_path: Path):
    state = {f"encoder_q.{name}": value for name, value in CifarResNet(20).state_dict().items()}
    state |= {f"encoder_k.{name}": value for name, value in CifarResNet(20).state_dict().items()}
    state |= {"queue": torch.zeros(128, 4096), "decoder.up1.conv1.weight": torch.zeros(64, 64, 3, 3)}
    torch.save(state, tmp_path / "moco.pth")
    report = load_checkpoint(CifarResNet(20), tmp_path / "moco.pth", head="linear", stem="conv1")
    assert report.file_share == report.parameter_share == 1.0
    assert "is used" not in str(report)


@pytest.mark.parametrize(
    ("stem_rule", "how", "wanted"),
    [
        ("sum", "sum over channels (3 to 1)", lambda weight: weight.sum(dim=1, keepdim=True)),
        ("mean", "mean over channels (3 to 1)", lambda weight: weight.mean(dim=1, keepdim=True)),
        ("repeat", "repeating channels (3 to 1)", lambda weight: 3 * weight[:, :1]),
        ("first", "keeping the first channels (3 to 1)", lambda weight: weight[:, :1]),
    ],
)
def test_the_report_says_how_the_stem_was_adapted(tmp_path: Path, stem_rule, how: str, wanted):
    source, target = CifarResNet(20), CifarResNet(20, in_channels=1)
    report = load_checkpoint(target, saved(tmp_path, source), head="linear", stem="conv1", stem_rule=stem_rule)
    assert torch.allclose(target.conv1.weight, wanted(source.conv1.weight), atol=1e-6)
    assert f"1 adapted (conv1.weight) by {how}, 0 missing" in str(report)
    assert report.to_dict()["how"] == [how]


def test_the_report_says_how_kernels_went_into_3d(tmp_path: Path):
    flat, deep = (build_network("monai/resnet10", classes=2, channels=1, dimensions=sides) for sides in (2, 3))
    file = saved(tmp_path, flat.module)
    report = load_checkpoint(deep.module, file, head=deep.head, stem=deep.stem, depth_rule="centre")
    assert report.how == ("setting into the middle slice",)
    assert torch.equal(deep.module.layer1[0].conv1.weight[..., 1], flat.module.layer1[0].conv1.weight)


@pytest.mark.parametrize(
    ("made", "asked", "told"),
    [
        ("monai/resnet18a", "monai/resnet18", "its shortcuts hold no parameters (type A, as MedicalNet's ResNet-18"),
        ("monai/resnet18", "monai/resnet18a", "its shortcuts are convolutions (type B), those of the network hold no"),
        ("monai/resnet18-bias", "monai/resnet18", "the convolutions of its shortcuts have a bias, as in MONAI by"),
        ("monai/resnet18", "monai/resnet18-bias", "the convolutions of its shortcuts have no bias, those of the"),
    ],
)
@pytest.mark.parametrize("build", [build_network, build_unet])
def test_shortcuts_of_another_kind_are_refused(tmp_path: Path, made: str, asked: str, told: str, build):
    source, target = build_network(made, classes=2, channels=1), build(asked, classes=2, channels=1)
    file = saved(tmp_path, source.module, "module.")
    with pytest.raises(UserError, match=re.escape(told)):
        load_checkpoint(target.module, file, head=target.head, stem=target.stem)
    given = {"head": target.head, "stem": target.stem, "minimum_share": 0}
    assert load_checkpoint(target.module, file, **given).parameter_share > 0.9
    right = build_network(made, classes=2, channels=1)
    assert load_checkpoint(right.module, file, head="fc", stem="conv1").parameter_share == 1.0


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64])
def test_numbers_of_another_kind_are_refused(tmp_path: Path, dtype: torch.dtype):
    source = CifarResNet(20)
    state = {name: value.to(dtype) if value.ndim == 4 else value for name, value in source.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    told = f"conv1.weight holds {str(dtype)[6:]} (quantised?); give the weights as floating point of 16 bits or more."
    with pytest.raises(UserError, match=re.escape(told)):
        load_checkpoint(CifarResNet(20), tmp_path / "a.pth", head="linear")


def test_an_encoder_alone_leaves_a_decoder_new_and_a_whole_network_brings_it(tmp_path: Path):
    whole = build_unet("genesis/unet3d", classes=2, channels=1, dimensions=3)
    state = whole.module.state_dict()
    parts = {"encoder": [name for name in state if name.startswith("down_")], "whole": list(state)}
    parts["half"] = [*parts["encoder"], *(name for name in state if name.startswith("up_tr256"))]
    reports = {}
    for kind, names in parts.items():
        torch.save({f"module.{name}": state[name] for name in names}, tmp_path / f"{kind}.pth")
        target = build_unet("genesis/unet3d", classes=2, channels=1, dimensions=3)
        given = {"head": target.head, "stem": target.stem, "decoder": target.source.decoder, "minimum_share": 0.0}
        reports[kind] = load_checkpoint(target.module, tmp_path / f"{kind}.pth", **given)
    assert (reports["encoder"].parameter_share, reports["encoder"].missing) == (1.0, ())
    assert sum(name.startswith("up_") for name in reports["encoder"].head) == sum(
        name.startswith("up_") for name in state
    )
    assert (reports["whole"].parameter_share, len(reports["whole"].head)) == (1.0, 2)
    assert reports["half"].parameter_share < 1
    assert any(name.startswith("up_tr64") for name in reports["half"].missing)
    assert not any(name.startswith("up_") for name in reports["encoder"].trained_norms)
    assert any(name.startswith("up_") for name in reports["whole"].trained_norms)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ("swinViT.layers1.0.blocks.0.attn.qkv.weight",),
            "It looks like SwinUNETR or Swin SSL (MONAI): a transformer: ",
        ),
        (
            ("encoder.stages.0.0.weight",),
            "It looks like nnssl: nnU-Net's plans make the network; no model here takes it",
        ),
    ],
)
def test_of_what_no_network_takes_the_refusal_says_what_it_is(tmp_path: Path, names: tuple[str, ...], told: str):
    torch.save(
        {"network_weights": dict.fromkeys(names, torch.ones(1)), "nnssl_adaptation_plan": ""}, tmp_path / "a.pth"
    )
    with pytest.raises(UserError, match=re.escape(told)):
        load_checkpoint(CifarResNet(20), tmp_path / "a.pth", head="linear")


def test_kernels_of_volumes_do_not_go_into_a_network_of_images(tmp_path: Path):
    deep, flat = (build_network("monai/resnet10", classes=2, channels=1, dimensions=sides) for sides in (3, 2))
    told = r"Its kernels are 3D, those of the network 2D: give it volumes, or a checkpoint of a 2D network\.$"
    with pytest.raises(UserError, match=told):
        load_checkpoint(flat.module, saved(tmp_path, deep.module), head="fc", stem="conv1")
