"""The network that a run ships: a plain one in safetensors, with what is needed to load it anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from acnorm.data.atomic import replacing
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.preprocessing import Preprocessing
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_network, build_unet
from acnorm.training.run_folder import RunFolder

AnyPreprocessing = Preprocessing | IntensityPreprocessing
WEIGHTS, DESCRIPTION, CODE = "model.safetensors", "model.json", "network.py"


@dataclass(frozen=True)
class ShippedModel:
    """A finished run's network in eval mode, its classes, and how images are brought to it.

    several: whether an image may show several classes, each with a probability of its own (sigmoid, not softmax).
    """

    network: nn.Module
    classes: tuple[str, ...]
    preprocessing: AnyPreprocessing
    several: bool = False


def ship(
    run: RunFolder,
    network: Network,
    plain: nn.Module,
    classes: tuple[str, ...],
    preprocessing: AnyPreprocessing,
    task: str,
) -> None:
    """Write model/model.safetensors and model/model.json; where the network is acnorm's own, also its code.

    Args:
        run: the run folder.
        network: as it was built.
        plain: the folded network with the trained weights.
        classes: names of the outputs.
        preprocessing: of the images.
        task: "classification", "multilabel" or "segmentation".

    Examples:
        >>> import tempfile
        >>> run, network = RunFolder(Path(tempfile.mkdtemp())), build_network("cifar/resnet20", classes=2, channels=1)
        >>> prepare = Preprocessing(size=32, channels=1, mean=(0.5,), deviation=(0.2,))
        >>> ship(run, network, network.module, ("healthy", "ill"), prepare, "classification")
        >>> load_shipped(run).classes
        ('healthy', 'ill')
    """
    module, function = network.factory.split(":")
    if network.source.standalone and network.factory.startswith(network.source.module):
        code = Path(str(import_module(module).__file__)).read_text(encoding="utf-8")
        run.write_text(f"model/{CODE}", code)
        module = Path(CODE).stem
    description = {
        "model": network.name,
        "import": {"module": module, "name": function},
        "arguments": network.arguments,
        "classes": list(classes),
        "task": task,
        "input": list(preprocessing.shape),
        "preprocessing": preprocessing.to_dict(),
    }
    with replacing(run.model / WEIGHTS) as draft:
        state = {name: value.detach().cpu().contiguous() for name, value in plain.state_dict().items()}
        save_file(state, draft)
    run.write_json(f"model/{DESCRIPTION}", description)


def load_shipped(run: RunFolder, model: str | None = None) -> ShippedModel:
    """Load the network of a finished run.

    A run names its factory, but a file never decides what code is imported: for a "module:function" network the
    caller must name it.

    Args:
        run: the run folder.
        model: "module:function" of a network of your own; not needed for the models of ``acnorm``.

    Raises:
        UserError: the run is not finished or damaged, or its network is not one of acnorm's and ``model`` is not given.

    Examples:
        >>> load_shipped(RunFolder(Path("nowhere")))  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: nowhere: is not a finished run (no model/model.json)
    """
    description = run.read_json(f"model/{DESCRIPTION}")
    try:
        name = str(description["model"])
        classes = tuple(str(label) for label in description["classes"])
        kind = IntensityPreprocessing if description.get("task") == "segmentation" else Preprocessing
        preprocessing = kind.from_dict(description["preprocessing"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{run.model / DESCRIPTION}: is damaged ({error}); run acnorm finetune again.") from None
    if ":" in name and model != name:
        raise UserError(f"{run.path}: was trained with the network {name}; to import that code give --model {name}.")
    if isinstance(preprocessing, IntensityPreprocessing):
        dimensions = len(preprocessing.patch)
        built = build_unet(name, classes=len(classes), channels=preprocessing.channels, dimensions=dimensions)
    else:
        dimensions = preprocessing.dimensions
        built = build_network(name, classes=len(classes), channels=preprocessing.channels, dimensions=dimensions)
    network = built.module
    try:
        network.load_state_dict(load_file(run.model / WEIGHTS))
    except Exception as error:
        what = " ".join(str(error).split())[:200]
        raise UserError(f"{run.model / WEIGHTS}: does not load ({what}); run acnorm finetune again.") from None
    return ShippedModel(network.eval(), classes, preprocessing, description.get("task") == "multilabel")


def example_batch(preprocessing: AnyPreprocessing, batch: int = 2) -> torch.Tensor:
    """Return seeded random images of the network's input shape.

    Examples:
        >>> example_batch(Preprocessing(size=8, channels=1, mean=(0.5,), deviation=(0.2,))).shape
        torch.Size([2, 1, 8, 8])
    """
    return torch.randn((batch, *preprocessing.shape), generator=torch.Generator().manual_seed(0))
