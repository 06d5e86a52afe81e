"""One run of a grid: its settings, and an address made of all that decides its result.

The address is a SHA-256 over the settings, the content of the data, of the checkpoint and of the division into splits,
and the code. Where files lie, and under which names, does not count; a cell is run once, whatever grid asks for it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from acnorm._version import __version__
from acnorm.bench.folds import Division
from acnorm.data.case import Collection
from acnorm.data.fingerprint import fingerprint
from acnorm.data.fitting import only_fitting
from acnorm.data.skipping import read_sound
from acnorm.errors import UserError
from acnorm.models.pretrained import PRETRAINED
from acnorm.models.sources import find_source
from acnorm.training.config import METHOD_SETTINGS, NOT_PART_OF_THE_RESULT, FinetuneConfig
from acnorm.tuning.method import setting_of

NAMED_BY_CONTENT = ("data", "weights", "splits", "out")
# They show and order results, and change none.
WITHOUT_EFFECT = ("bench", "report", "cli", "demo.py", "workflows.py")
LIBRARIES = ("torch", "monai", "lightning", "torchmetrics", "numpy", "scipy", "scikit-learn")
OF_NETWORKS = ("timm", "torchvision", "segmentation-models-pytorch")  # which give networks, and are extras


@dataclass(frozen=True)
class Inputs:
    """What the files that a configuration names hold.

    Args:
        collection: all cases of the data.
        data: fingerprint of them.
        weights: SHA-256 of the checkpoint; its name where it is fetched; None without one.
        network: SHA-256 of the file of a network of the user's own, and the versions of what an extra gives it.
    """

    collection: Collection
    data: str
    weights: str | None
    network: str | None


@dataclass(frozen=True)
class Cell:
    """One run.

    Args:
        labels: its place in the grid, by the names of the axes.
        config: its settings; those that name folders are filled in by the store.
        inputs: content of its files.
        division: of the cases.
    """

    labels: Mapping[str, Any]
    config: FinetuneConfig
    inputs: Inputs
    division: Division

    @functools.cached_property
    def address(self) -> str:
        """SHA-256 of all that decides the result."""
        return address_of(self.config, self.inputs, self.division)


def address_of(config: FinetuneConfig, inputs: Inputs, division: Division) -> str:
    """Return the address of a run.

    Settings that change nothing (``workers``, those of methods that are not used) do not count.

    Examples:
        >>> eyes = Inputs(Collection((), (), Path("eyes"), "folder"), "0a", None, None)
        >>> division = Division({"a": "train"}, "by hand", released_test=False)
        >>> def address(**settings):
        ...     config = FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", method="vanilla", **settings)
        ...     return address_of(config, eyes, division)
        >>> address() == address(workers=4), address() == address(epochs=3), len(address())
        (True, False, 64)
    """
    content = {
        "settings": deciding(config),
        "data": inputs.data,
        "weights": inputs.weights,
        "network": inputs.network,
        "splits": division.sha256,
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.lru_cache(maxsize=8)  # folds and fractions share their configuration
def deciding(config: FinetuneConfig) -> dict[str, Any]:
    """Return the settings that decide a result, those that name files left out.

    Examples:
        >>> config = FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", epochs=3, workers=4)
        >>> deciding(config)["epochs"], "workers" in deciding(config)
        (3, False)
    """
    methods = {setting_of(name) for name in config.method.split("+")}
    aside = {*NOT_PART_OF_THE_RESULT, *NAMED_BY_CONTENT, *(METHOD_SETTINGS.keys() - methods)}
    return {name: value for name, value in config.to_dict().items() if name not in aside}


@functools.cache
def code_version() -> str:
    """Return the versions of acnorm and of what it computes with, and a hash of its source files.

    Examples:
        >>> code_version().startswith("acnorm 0.1.0 ")
        True
    """
    package = Path(__file__).parents[1]
    whole = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        inside = file.relative_to(package)
        if inside.parts[0] not in WITHOUT_EFFECT:
            whole.update(inside.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"acnorm {__version__} ({whole.hexdigest()}) {' '.join(_versions(LIBRARIES))}"


def read_inputs(config: FinetuneConfig) -> Inputs:
    """Read what a configuration names.

    Raises:
        UserError: the network is not known, the data cannot be read, or the checkpoint is not there.

    Examples:
        >>> read_inputs(FinetuneConfig(data="nowhere", model="cifar/resnet20", out="run"))
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: nowhere: no such file or folder; check the path
    """
    find_source(config.model)
    collection, data = _read_data(config.data, config.format, config.skip_bad)
    return Inputs(collection, data, _weights(config.weights), network_content(config.model))


def forget_inputs() -> None:
    """Have ``read_inputs`` look at data and checkpoints again, which may have changed since it first did.

    Examples:
        >>> forget_inputs()
    """
    _read_data.cache_clear()
    _weights.cache_clear()


@functools.lru_cache(maxsize=64)
def _read_data(data: str, format: str | None, skip_bad: bool) -> tuple[Collection, str]:
    collection = read_sound(data, format, skip_bad=skip_bad)
    if skip_bad:  # what the runs leave out must not be in the splits that they are given
        collection = only_fitting(collection, skip_bad=True)
    return collection, fingerprint(collection.cases)


@functools.lru_cache(maxsize=256)
def _weights(weights: str | None) -> str | None:
    if weights is None or weights == PRETRAINED:
        return weights
    if not Path(weights).is_file():
        raise UserError(f"--weights {weights}: no such file; give a checkpoint, or leave it out for random weights.")
    with Path(weights).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def network_content(model: str) -> str | None:
    """Return what decides a network of the user's own or of an extra: its file, and the libraries that it comes from.

    Examples:
        >>> network_content("cifar/resnet20") is None
        True
    """
    own = _own_network(model)
    if own is None and model.partition("/")[0] not in ("timm", "torchvision", "smp"):
        return None
    return " ".join([*([own] if own else []), *_versions(OF_NETWORKS)])


def _versions(libraries: Sequence[str]) -> list[str]:
    found = []
    for name in libraries:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


def _own_network(model: str) -> str | None:
    module, colon, _ = model.partition(":")
    try:
        found = find_spec(module) if colon else None
    except (ImportError, ValueError):
        return None  # told when the run asks for the network
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return None
    whole = hashlib.sha256()
    for file in sorted(Path(found.origin).parent.glob("*.py")):  # it may import what lies beside it
        whole.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()
