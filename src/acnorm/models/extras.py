"""Networks of timm, torchvision and segmentation_models_pytorch, by the names that these packages give them.

They are imported here and nowhere else, and only when such a network is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from torch import nn

from acnorm.errors import UserError
from acnorm.models.source import ModelSource

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SEGMENTERS = ("unet", "unetplusplus", "manet", "linknet", "fpn", "pan", "deeplabv3", "deeplabv3plus", "upernet")
_PACKAGES = {"timm": "timm", "torchvision": "torchvision", "smp": "segmentation_models_pytorch"}
# of torchvision's classifiers, those whose stages run one after the other; "relu" stands for a ReLU
_RESNET = (("conv1", "bn1", "relu"), ("maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4",))
_DENSENET = (
    ("features.conv0", "features.norm0", "features.relu0"),
    ("features.pool0", "features.denseblock1"),
    ("features.transition1", "features.denseblock2"),
    ("features.transition2", "features.denseblock3"),
    ("features.transition3", "features.denseblock4", "features.norm5"),
)


def extra_source(name: str) -> ModelSource | None:
    """Return how to build ``timm/NAME``, ``torchvision/NAME`` or ``smp/ARCHITECTURE-ENCODER``; None of other names.

    Raises:
        UserError: the package is not installed or cannot be imported, or has no network of that name (the nearest are
            named).

    Examples:
        >>> extra_source("cifar/resnet20") is None
        True
    """
    family, _, rest = name.partition("/")
    if family not in _PACKAGES or not rest:
        return None
    package = _imported(family, name)
    return {"timm": _timm, "torchvision": _torchvision, "smp": _smp}[family](package, name, rest)


def extra_names(family: str) -> list[str]:
    """Return the names of all networks of "timm", "torchvision" or "smp" (there with one encoder, of many).

    Raises:
        UserError: the package is not installed or cannot be imported.

    Examples:
        >>> extra_names.__name__
        'extra_names'
    """
    package = _imported(family, f"{family}/…")
    if family == "timm":
        names = package.list_models()
    elif family == "torchvision":
        names = _classifiers(package)
    else:
        names = [f"{architecture}-resnet34" for architecture in SEGMENTERS]
    return [f"{family}/{name}" for name in names]


def torchvision_classifier(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """Return torchvision's classifier ``name`` with new weights, its first convolution for ``in_channels``.

    Examples:
        >>> torchvision_classifier.__name__
        'torchvision_classifier'
    """
    models = import_module("torchvision.models")
    further: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):  # whose side branches are for training from scratch
        further = {"aux_logits": False, "init_weights": True}
    module = cast(nn.Module, models.get_model(name, weights=None, num_classes=num_classes, **further))
    if in_channels != 3:
        place, stem = next((place, part) for place, part in module.named_modules() if isinstance(part, nn.Conv2d))
        new = nn.Conv2d(
            in_channels,
            stem.out_channels,
            cast(tuple[int, int], stem.kernel_size),
            cast(tuple[int, int], stem.stride),
            cast(tuple[int, int], stem.padding),
            bias=stem.bias is not None,
        )
        module.set_submodule(place, new)
        if hasattr(module, "transform_input"):
            module.transform_input = False  # type: ignore[assignment]  # it is for three channels
    return module


def _timm(timm: ModuleType, name: str, rest: str) -> ModelSource:
    base = rest.partition(".")[0]  # what follows a dot names weights
    if not timm.is_model(base):
        raise UserError(_unknown(name, (f"timm/{known}" for known in timm.list_models())))
    config = timm.get_pretrained_cfg(rest) if "." in rest else timm.get_pretrained_cfg(base)
    statistics = IMAGENET if config is None else (tuple(config.mean), tuple(config.std))
    return ModelSource(
        "timm",
        "create_model",
        {"model_name": base, "pretrained": False},
        channels="in_chans",
        statistics=statistics,
        tapped=True,
    )


def _torchvision(torchvision: ModuleType, name: str, rest: str) -> ModelSource:
    known = _classifiers(torchvision)
    if rest not in known:
        raise UserError(_unknown(name, (f"torchvision/{other}" for other in known)))
    stages: tuple[tuple[str, ...], ...] = ()
    if rest.startswith(("resnet", "resnext", "wide_resnet")):
        stages = _RESNET
    elif rest.startswith("densenet"):
        stages = _DENSENET
    return ModelSource(__name__, "torchvision_classifier", {"name": rest}, statistics=IMAGENET, stages=stages)


def _smp(smp: ModuleType, name: str, rest: str) -> ModelSource:
    architecture, _, encoder = rest.partition("-")
    if architecture not in SEGMENTERS:
        raise UserError(_unknown(name, (f"smp/{other}-{encoder or 'resnet34'}" for other in SEGMENTERS)))
    if not encoder.startswith("tu-") and encoder not in smp.encoders.encoders:
        raise UserError(_unknown(name, (f"smp/{architecture}-{other}" for other in smp.encoders.encoders)))
    return ModelSource(
        "segmentation_models_pytorch",
        "create_model",
        {"arch": architecture, "encoder_name": encoder, "encoder_weights": None},
        classes="classes",
        statistics=IMAGENET,
        segmenter=("create_model", "segmentation_head"),
        decoder=("decoder",),
        classifies=False,
    )


def _classifiers(torchvision: ModuleType) -> list[str]:
    return [str(name) for name in torchvision.models.list_models(module=torchvision.models)]


def _imported(family: str, name: str) -> ModuleType:
    package = _PACKAGES[family]
    extra = "timm" if family == "torchvision" else family
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(f"--model {name}: needs {error.name}; pip install 'acnorm[{extra}]'.") from None
    except Exception as error:  # torchvision's operators do not load beside another build of torch
        what = " ".join(str(error).split())[:200]
        raise UserError(
            f"--model {name}: {package} cannot be imported ({what}); torch and torchvision must be of one build: "
            f"pip install 'torch==={_torch_version()}' torchvision."
        ) from error


def _torch_version() -> str:
    import torch

    return torch.__version__.partition("+")[0]


def _unknown(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known[:8])}, …"
    return f"--model {name!r} is not known; {hint}"
