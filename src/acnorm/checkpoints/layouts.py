"""Public checkpoint layouts, known by the names of their tensors: who writes such files, and what to do with them.

A row is data: what all must be there, and what is said. The first that fits is told, so the particular stand before
the general.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from acnorm.checkpoints.keys import without_inner_wrappers


@dataclass(frozen=True)
class Layout:
    """One public layout.

    name: who writes it.
    signs: patterns, each of which some tensor's name must match.
    advice: the --model that takes it, or why there is none.
    models: pattern of the names in ``MODELS`` that it may be for; empty where none is.
    licence: of the weights, where those that are public under this layout have one that binds their users.
    beside: other keys of the file that must be there.
    """

    name: str
    signs: tuple[str, ...]
    advice: str
    models: str = "*"
    licence: str | None = None
    beside: tuple[str, ...] = ()


_TRANSFORMER = "a transformer: it has no BatchNorm, so AC-Norm has nothing to work on, and no model here takes it"
_PLANS = "nnU-Net's plans make the network; no model here takes it, give module:function for its network"
_OTHER = "no model here takes it; give module:function for its network"
_ATTENTION = r"blocks\.\d+\.attn"
_CONTRAST = r"(projector|projection_head|proj_head|contrastive_head|(^|\.)g\.)"
_NUMBERED = r"^(module\.)?(backbone\.|encoder\.|model\.)?"

LAYOUTS: tuple[Layout, ...] = (
    Layout("AC-Norm (the authors' code)", (r"weight_target$", r"weight_source$"), "its target affine is taken"),
    Layout("SwinUNETR or Swin SSL (MONAI)", (r"(swinViT|patch_embed)\.", r"layers.*attn"), _TRANSFORMER, ""),
    Layout("UNETR or ViT", (r"(patch_embed|patch_embedding|pos_embed|cls_token)", _ATTENTION), _TRANSFORMER, ""),
    Layout("nnssl", (r"^encoder\.stages\.",), _PLANS, "", beside=("nnssl_adaptation_plan",)),
    Layout("nnU-Net", (r"^encoder\.stages\.", r"^decoder\.seg_layers\."), _PLANS, ""),
    Layout(
        "PCRL",
        (r"down_tr64\.", r"(predictor|sr_head|fc1|online)"),
        "--model genesis/unet3d takes the way down and up",
        "genesis/*",
        "none is given: ask its authors",
    ),
    Layout(
        "Models Genesis",
        (r"down_tr64\.ops\.0\.conv1\.weight$",),
        "--model genesis/unet3d",
        "genesis/*",
        "for non-commercial use, where they are its authors'",
    ),
    Layout(
        "RadImageNet or lightly (numbered children of a ResNet)",
        (_NUMBERED + r"0\.weight$", r"(^|\.)4\.0\.conv1\.weight$"),
        "a ResNet such as torchvision/resnet50; its numbers are read as names",
        "monai/resnet*",
    ),
    Layout(
        "RadImageNet (numbered children of a DenseNet)",
        (_NUMBERED + r"0\.denseblock1\.",),
        "--model monai/densenet121 or torchvision/densenet121",
        "monai/densenet*",
    ),
    Layout("MoCo", (r"encoder_q\.", r"encoder_k\."), "its query encoder is taken"),
    Layout("MoCo v3 or PyTorch's MoCo", (r"base_encoder\.", r"momentum_encoder\."), "its base encoder is taken"),
    Layout("BYOL", (r"online_encoder\.", r"target_(encoder|network)"), "its online encoder is taken"),
    Layout("student and teacher, as DINO", (r"student[._]", r"teacher[._]"), "the one that fits more is taken"),
    Layout(
        "SimCLR or another contrastive method",
        (r"(backbone|encoder|model|f)\..*conv1", _CONTRAST),
        "its backbone is taken, its projector left over",
    ),
    Layout(
        "ResNet of torchvision, timm, MONAI or MedicalNet",
        (r"layer1\.0\.conv1\.weight$", r"layer4\.0\.conv1\.weight$"),
        "--model monai/resnet…, timm/resnet… or torchvision/resnet…",
        "monai/*resnet*",
    ),
    Layout("CIFAR ResNet", (r"(^|\.)layer3\.0\.conv1\.weight$",), "--model cifar/resnet…", "cifar/*"),
    Layout(
        "timm's EfficientNet or MobileNet", (r"(^|\.)conv_stem\.weight$", r"(^|\.)blocks\.0\.0\."), "--model timm/…", ""
    ),
    Layout(
        "MONAI's EfficientNet",
        (r"_conv_stem\.(conv\.)?weight$", r"_blocks\.0\.0\."),
        "--model monai/efficientnet-b…",
        "monai/efficientnet*",
    ),
    Layout(
        "DenseNet",
        (r"features\.denseblock1\.",),
        "--model monai/densenet121, timm/densenet… or torchvision/densenet…",
        "monai/densenet*",
    ),
    Layout("MONAI's SegResNet", (r"down_layers\.0\.", r"up_layers\.0\."), _OTHER, ""),
    Layout("MONAI's DynUNet", (r"input_block\.conv1\.", r"bottleneck\.conv1\."), _OTHER, ""),
    Layout("MONAI's UNet (bundles)", (r"model\.0\.conv\.(unit0\.|weight$)", r"submodule\."), _OTHER, ""),
)


def known_layout(names: Iterable[str], beside: Iterable[str] = ()) -> Layout | None:
    """Return the public layout that names of tensors, and the other keys of their file, fit; None of none.

    Examples:
        >>> known_layout(["module.down_tr64.ops.0.conv1.weight"]).advice
        '--model genesis/unet3d'
    """
    names, beside = [without_inner_wrappers(name) for name in names], set(beside)
    for layout in LAYOUTS:
        there = all(any(re.search(sign, name) for name in names) for sign in layout.signs)
        if there and set(layout.beside) <= beside:
            return layout
    return None
