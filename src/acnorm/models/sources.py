"""From one string to a network: "cifar/resnet20", "monai/resnet18", "timm/resnet50", "module:function"."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from torch import nn

from acnorm.errors import UserError
from acnorm.models.extras import extra_source
from acnorm.models.source import ModelSource
from acnorm.models.unet import UNet

CIFAR_STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@dataclass(frozen=True)
class Network:
    """A network and what is needed to build it again.

    head: name of what is new by design, a classifier's last linear layer or a U-Net's decoder.
    stem: name of its first convolution (None: it has none).
    factory: "module:function"; arguments: all of the factory's arguments.
    """

    module: nn.Module
    name: str
    factory: str
    arguments: dict[str, Any]
    head: str
    stem: str | None
    source: ModelSource


def _cifar(depth: int) -> ModelSource:
    return ModelSource(
        "acnorm.models.cifar",
        "CifarResNet",
        {"depth": depth},
        statistics=CIFAR_STATISTICS,
        standalone=True,
        stages=(("conv1", "bn1", "relu", "layer1"), ("layer2",), ("layer3",)),
        stem=("conv1", "bn1", "relu"),
    )


def _monai_resnet(depth: int, shortcut: str = "B", *, bias: bool = False) -> ModelSource:
    # Stem stride and shortcut as torchvision's, whose parameter names MONAI shares.
    arguments: dict[str, Any] = {"conv1_t_stride": 2, "bias_downsample": bias}
    arguments |= {} if shortcut == "B" else {"shortcut_type": shortcut}
    stages = (("conv1", "bn1", "relu"), ("maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4",))
    return _monai(f"resnet{depth}", arguments, stages, channels="n_input_channels")


def _monai(
    function: str,
    arguments: dict[str, Any],
    stages: tuple[tuple[str, ...], ...],
    *,
    channels: str = "in_channels",
    classes: str = "num_classes",
) -> ModelSource:
    return ModelSource(
        "monai.networks.nets",
        function,
        {"spatial_dims": 2, **arguments},
        channels=channels,
        classes=classes,
        stages=stages,
        dimensions=(2, 3),
    )


def _efficientnet(size: int) -> ModelSource:
    arguments = {"model_name": f"efficientnet-b{size}", "pretrained": False}
    stages = (
        ("_conv_stem_padding", "_conv_stem", "_bn0", "_swish", "_blocks.0"),
        ("_blocks.1",),
        ("_blocks.2",),
        ("_blocks.3", "_blocks.4"),
        ("_blocks.5", "_blocks.6"),
    )
    return _monai("EfficientNetBN", arguments, stages)


def _senet(function: str) -> ModelSource:
    stages = (("layer0.conv1", "layer0.bn1", "layer0.relu1"), ("layer0.pool", "layer1"), ("layer2",), ("layer3",))
    return _monai(function, {}, (*stages, ("layer4",)))


MODELS: dict[str, ModelSource] = {
    **{f"cifar/resnet{depth}": _cifar(depth) for depth in (20, 32, 44, 56, 110)},
    **{f"monai/resnet{depth}": _monai_resnet(depth) for depth in (10, 18, 34, 50)},
    **{f"monai/resnet{depth}a": _monai_resnet(depth, "A") for depth in (18, 34)},  # MedicalNet's
    **{f"monai/resnet{depth}-bias": _monai_resnet(depth, bias=True) for depth in (10, 18, 34, 50)},  # MONAI's default
    "monai/densenet121": _monai(
        "DenseNet121",
        {},
        (
            ("features.conv0", "features.norm0", "features.relu0"),
            ("features.pool0", "features.denseblock1"),
            ("features.transition1", "features.denseblock2"),
            ("features.transition2", "features.denseblock3"),
            ("features.transition3", "features.denseblock4", "features.norm5"),
        ),
        classes="out_channels",
    ),
    **{f"monai/efficientnet-b{size}": _efficientnet(size) for size in (0, 1, 2)},
    "monai/seresnet50": _senet("SEResNet50"),
    "genesis/unet3d": ModelSource(
        "acnorm.models.genesis",
        "GenesisClassifier",
        {},
        standalone=True,
        segmenter=("GenesisUNet", "out_tr"),
        decoder=("up_tr256", "up_tr128", "up_tr64"),
        dimensions=(3,),
    ),
}


def build_network(name: str, *, classes: int, channels: int, dimensions: int = 2) -> Network:
    """Build the classification network ``name`` with new weights.

    Args:
        name: one of ``MODELS``, or "module:function" for a factory of your own, called with
            ``num_classes`` and ``in_channels``.
        classes: outputs of the head.
        channels: channels of the images.
        dimensions: 2 or 3; MONAI's networks come in both.

    Raises:
        UserError: unknown name (names the nearest), a 3D form that is not there, a module or function that is not
            there, a factory that takes other arguments, raises, or does not return a network with a linear head.

    Examples:
        >>> network = build_network("cifar/resnet20", classes=5, channels=1)
        >>> network.head, network.stem
        ('linear', 'conv1')
    """
    source = find_source(name)
    if not source.classifies:
        raise UserError(f"--model {name}: segments; for classes give a network such as timm/resnet34.")
    factory = _factory(name, source)
    arguments = {**source.arguments, source.channels: channels, source.classes: classes}
    _refuse_dimensions(name, dimensions)
    if "spatial_dims" in arguments:
        arguments["spatial_dims"] = dimensions
    try:
        inspect.signature(factory).bind(**arguments)
    except (TypeError, ValueError) as error:  # ValueError: nobody knows its signature
        raise UserError(
            f"--model {name}: the factory cannot be called with {', '.join(sorted(arguments))} ({error}); "
            "it must take num_classes and in_channels."
        ) from None
    try:
        module = factory(**arguments)
    except Exception as error:
        raise UserError(f"--model {name}: the factory stopped with {_told(error)}; --debug shows where.") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"--model {name}: returned {type(module).__name__}; a torch.nn.Module is needed.")
    heads = [at for at, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not heads or cast(nn.Linear, module.get_submodule(heads[-1])).out_features != classes:
        raise UserError(f"--model {name}: its last linear layer must give {classes} outputs, one a class.")
    stems = [at for at, layer in module.named_modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    place = f"{source.module}:{source.function}"
    return Network(module, name, place, arguments, heads[-1], stems[0] if stems else None, source)


def build_unet(name: str, *, classes: int, channels: int, dimensions: int = 2) -> Network:
    """Build a U-Net for segmentation whose encoder is the classification network ``name``, with new weights.

    The checkpoints of the classification network load into it; ``Network.head`` is the whole decoder.

    Args:
        name: one of ``MODELS``.
        classes: of the label map, with the background.
        channels: of the images.
        dimensions: 2 or 3; MONAI's networks come in both.

    Raises:
        UserError: as ``build_network``, and for a network of your own, whose stages are not known.

    Examples:
        >>> network = build_unet("cifar/resnet20", classes=2, channels=3)
        >>> network.head, network.stem
        ('decoder', 'encoder.conv1')
    """
    if find_source(name).segmenter is not None:
        return _with_own_decoder(name, classes, channels, dimensions)
    whole = build_network(name, classes=classes, channels=channels, dimensions=dimensions)
    if whole.source.tapped:
        return _tapped(whole, classes, channels)
    if not whole.source.stages:
        raise UserError(f"--model {name}: no U-Net can be built on it; there are {', '.join(MODELS)}.")
    encoder = whole.module
    used = {name.partition(".")[0] for stage in whole.source.stages for name in stage}
    for child in [child for child, _ in encoder.named_children() if child not in used]:
        delattr(encoder, child)
    module = UNet(encoder, whole.source.stages, channels, classes, dimensions)
    arguments = {"name": name, "classes": classes, "channels": channels, "dimensions": dimensions}
    factory = f"{__name__}:build_unet"
    return Network(module, name, factory, arguments, "decoder", f"encoder.{whole.stem}", whole.source)


def _with_own_decoder(name: str, classes: int, channels: int, dimensions: int) -> Network:
    _refuse_dimensions(name, dimensions)
    source = find_source(name)
    function, head = cast(tuple[str, str], source.segmenter)
    arguments = {**source.arguments, source.classes: classes, source.channels: channels}
    module = getattr(import_module(source.module), function)(**arguments)
    stem = next(at for at, layer in module.named_modules() if isinstance(layer, nn.Conv2d | nn.Conv3d))
    return Network(module, name, f"{source.module}:{function}", arguments, head, stem, source)


def _tapped(whole: Network, classes: int, channels: int) -> Network:
    """A U-Net on the stages that a network tells of itself."""
    encoder: Any = whole.module
    taps = [stage["module"] for stage in getattr(encoder, "feature_info", ())]
    if not taps:
        raise UserError(f"--model {whole.name}: no U-Net can be built on it: it tells no stages.")
    encoder.reset_classifier(0)
    module = UNet(encoder, [[tap] for tap in taps], channels, classes, tapped=True)
    arguments = {"name": whole.name, "classes": classes, "channels": channels, "dimensions": 2}
    factory = f"{__name__}:build_unet"
    return Network(module, whole.name, factory, arguments, "decoder", f"encoder.{whole.stem}", whole.source)


def _refuse_dimensions(name: str, dimensions: int) -> None:
    if dimensions not in find_source(name).dimensions and ":" not in name:
        known = ", ".join(key for key, row in MODELS.items() if dimensions in row.dimensions)
        only, data = ("2D", "volumes") if dimensions == 3 else ("3D", "2D images and slices")
        raise UserError(f"--model {name}: comes in {only} only; for {data} there are {known}.")


def find_source(name: str) -> ModelSource:
    """Return how to build the network ``name``.

    Raises:
        UserError: the name is not known; the nearest are named.

    Examples:
        >>> find_source("cifar/resnet20").function
        'CifarResNet'
    """
    if name in MODELS:
        return MODELS[name]
    extra = extra_source(name)
    if extra is not None:
        return extra
    module, colon, function = name.partition(":")
    if colon and module and function:
        return ModelSource(module, function, {})
    near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(MODELS)}."
    raise UserError(f"--model {name!r} is not known; {hint} Or give module:function for a network of your own.")


def _factory(name: str, source: ModelSource) -> Callable[..., object]:
    if source.module.startswith(".") or "/" in source.module:
        raise UserError(
            f"--model {name}: {source.module!r} is no module; give its name without folder and suffix, on PYTHONPATH."
        )
    try:
        module = import_module(source.module)
    except ModuleNotFoundError as error:
        raise UserError(f"--model {name}: no module {error.name!r}; install it or put it on PYTHONPATH.") from None
    except Exception as error:
        raise UserError(
            f"--model {name}: importing {source.module!r} stopped with {_told(error)}; --debug shows where."
        ) from error
    factory = getattr(module, source.function, None)
    if not callable(factory):
        raise UserError(f"--model {name}: module {source.module!r} has no function {source.function!r}.")
    return cast(Callable[..., object], factory)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
