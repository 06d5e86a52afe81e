"""One pass over the cases in eval mode: the features that all measures share, kept by their content where asked."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from acnorm._version import __version__
from acnorm.checkpoints.keys import match_names
from acnorm.checkpoints.read import read_checkpoint
from acnorm.data.atomic import replacing
from acnorm.data.case import Case
from acnorm.data.dataset import CaseDataset
from acnorm.data.fingerprint import fingerprint
from acnorm.errors import UserError
from acnorm.models.sources import Network

BATCH_SIZE = 64


def features_of(network: Network, cases: CaseDataset, cache: Path | None = None) -> tuple[NDArray[np.float32], bool]:
    """Return the input of the head for each case [case, feature], and whether it was read from the cache.

    Args:
        network: with its weights loaded; it is left as it was.
        cases: in the order of the result, without augmentation.
        cache: folder of features by the SHA-256 of everything they depend on: the cases and their files, the weights,
            the network's structure and code, the preprocessing, and the versions of torch and acnorm.

    Raises:
        UserError: the head is not used, or the cache cannot be written.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.loading import load_data
        >>> from acnorm.data.phantoms import fundus_phantoms
        >>> from acnorm.models.sources import build_network
        >>> file = fundus_phantoms(Path(tempfile.mkdtemp()) / "eyes.npz", domain="source", cases=60, size=16, seed=0)
        >>> network = build_network("cifar/resnet20", classes=3, channels=3)
        >>> features, cached = features_of(network, load_data(file).train)
        >>> features.shape[1], cached
        (64, False)
    """
    if cache is None:
        return _pass(network, cases), False
    return kept_in(cache, features_key(network, cases), len(cases), lambda: _pass(network, cases))


def kept_in(
    cache: Path, key: str, rows: int, make: Callable[[], NDArray[np.float32]]
) -> tuple[NDArray[np.float32], bool]:
    """Return features from the cache, and whether they were there; made and written where not.

    Args:
        cache: the folder.
        key: of the features.
        rows: how many there must be.
        make: gives them where they are not there, or broken.

    Raises:
        UserError: the cache cannot be written.

    Examples:
        >>> import tempfile
        >>> cache = Path(tempfile.mkdtemp())
        >>> [kept_in(cache, "a", 1, lambda: np.ones((1, 2), np.float32))[1] for _ in range(2)]
        [False, True]
    """
    file = cache / f"{key}.safetensors"
    kept = _read(file, rows)
    if kept is not None:
        return kept, True
    features = make()
    with replacing(file) as draft:
        save_file({"features": torch.from_numpy(features)}, draft)
    return features, False


def features_key(network: Network, cases: CaseDataset) -> str:
    """Return the SHA-256 of everything that the features depend on.

    Examples:
        >>> features_key.__name__
        'features_key'
    """
    return content_key(network, cases.cases, {"preprocessing": cases.preprocessing.to_dict()})


def content_key(network: Network, cases: Sequence[Case], settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a network but its head, of cases with their files, and of settings.

    Args:
        network: with its weights loaded.
        cases: in the order of the features.
        settings: plain values, all that else the features depend on.

    Examples:
        >>> content_key.__name__
        'content_key'
    """
    whole = hashlib.sha256()
    what = {
        "cases": fingerprint(cases),
        "order": [case.id for case in cases],
        **settings,
        "head": network.head,
        "structure": repr(network.module),
        "versions": [__version__, torch.__version__],
    }
    whole.update(json.dumps(what, sort_keys=True).encode())
    source = inspect.getsourcefile(type(network.module))
    if source is not None and Path(source).is_file():
        whole.update(Path(source).read_bytes())
    for name, value in network.module.state_dict().items():
        if not name.startswith(f"{network.head}."):
            whole.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            whole.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def source_probabilities(network: Network, file: Path | str, features: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the softmax of the checkpoint's own head on the features [case, source class]; None where it brings none.

    Args:
        network: names the head.
        file: the checkpoint.
        features: the input of the head.

    Raises:
        UserError: the file cannot be read.

    Examples:
        >>> source_probabilities.__name__
        'source_probabilities'
    """
    state = match_names(read_checkpoint(file).state, network.module.state_dict())
    weight, bias = state.get(f"{network.head}.weight"), state.get(f"{network.head}.bias")
    if weight is None or weight.ndim != 2 or weight.shape[0] < 2 or weight.shape[1] != features.shape[1]:
        return None
    logits = torch.from_numpy(features).double() @ weight.double().T
    if bias is not None and bias.shape == weight.shape[:1]:
        logits += bias.double()
    return logits.softmax(dim=1).numpy()


@torch.no_grad()
def _pass(network: Network, cases: CaseDataset) -> NDArray[np.float32]:
    module = network.module
    modes = {layer: layer.training for layer in module.modules()}
    seen: list[Tensor] = []
    hook = module.get_submodule(network.head).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    device, parts = next(module.parameters()).device, []
    module.eval()
    try:
        for start in range(0, len(cases), BATCH_SIZE):
            rows = range(start, min(start + BATCH_SIZE, len(cases)))
            module(torch.stack([cases[0, row]["image"] for row in rows]).to(device))
            parts.append(_one_row_a_case(seen, len(rows), network))
            seen.clear()
    finally:
        hook.remove()
        for layer, training in modes.items():
            layer.training = training
    return torch.cat(parts).float().cpu().numpy()


def _one_row_a_case(seen: list[Tensor], cases: int, network: Network) -> Tensor:
    """The head's input; of heads that look at several places, the mean over these."""
    if len(seen) != 1 or seen[0].shape[0] != cases:
        raise UserError(
            f"--model {network.name}: its head {network.head} is not called once on all images; "
            "no features can be read."
        )
    values = seen[0]
    return values if values.ndim == 2 else values.reshape(cases, -1, values.shape[-1]).mean(dim=1)


def _read(file: Path, cases: int) -> NDArray[np.float32] | None:
    """Features of the cache; None where there are none, or where the file is broken and must be made anew."""
    if not file.is_file():
        return None
    try:
        features = load_file(file)["features"]
    except (SafetensorError, OSError, KeyError):
        return None
    return features.numpy() if features.ndim == 2 and len(features) == cases else None
