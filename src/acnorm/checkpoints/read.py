"""Read a checkpoint file to a plain state dict, without running code from it."""

from __future__ import annotations

import hashlib
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from acnorm.checkpoints.pickles import code_in_pickle, is_of_torch, is_pickle
from acnorm.checkpoints.stand_ins import StandIn, stand_ins
from acnorm.errors import UserError

# Where public checkpoints keep the network, in order of preference.
STATE_KEYS = (
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "params_ema",
    "ema",
    "ema_model",
    "averaged_model",
    "teacher",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model_weights",
    "network_weights",
    "best_model_state",
    "best_model_state_dict",
    "best_state_dict",
    "encoder_state_dict",
    "online_network_state_dict",
    "classy_state_dict",
    "base_model",
    "trunk",
    "model",
    "net",
    "network",
    "encoder",
    "backbone",
    "module",
    "params",
    "weights",
    "state",
)
_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".ckpt", ".bin", ".tar")
_DEEPEST = 8  # dictionaries in dictionaries
CARD = "acnorm"  # the key in the metadata of a safetensors file under which its card is kept, as JSON
# How files begin that are no checkpoints for PyTorch, what they are, and what to do.
_OTHERS = {
    b"\x89HDF\r\n\x1a\n": (
        "an HDF5 file, as Keras writes them",
        "convert its weights to PyTorch where Keras is installed",
    ),
    b"\x1f\x8b": ("a gzip file", "unpack it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"BZh": ("a bzip2 file", "unpack it first"),
    b"\xfd7zXZ": ("an xz file", "unpack it first"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "unpack it first"),
    b"\x93NUMPY": ("one NumPy array", "save the arrays of the network by name as .npz"),
    b"GGUF": ("a GGUF file", "take the PyTorch weights that it was made from"),
    b"{": ("JSON, an index or a message of a server", "download the weights themselves"),
    b"%PDF": ("a PDF document", "download the weights themselves"),
}
_TENSORFLOW = "a part of a TensorFlow checkpoint", "convert its weights to PyTorch where TensorFlow is installed"
_KERAS = "a Keras archive", "convert its weights to PyTorch where Keras is installed"
_TFLITE = "a TensorFlow Lite file", "convert its weights to PyTorch where TensorFlow is installed"
_ONNX = "an ONNX file, which holds a graph", "take the PyTorch weights that it was exported from"
_OTHER_SUFFIXES = {
    ".onnx": _ONNX,
    ".pb": ("a TensorFlow graph", "convert its weights to PyTorch where TensorFlow is installed"),
    ".index": _TENSORFLOW,
    ".meta": _TENSORFLOW,
    ".tflite": _TFLITE,
    ".keras": _KERAS,
    ".msgpack": ("a Flax file", "convert its weights to PyTorch where Flax is installed"),
    ".pdparams": ("a Paddle file", "convert its weights to PyTorch where Paddle is installed"),
}


@dataclass(frozen=True)
class Checkpoint:
    """A state dict as read: tensors on the CPU, the file it came from and that file's SHA-256.

    kind: of file, in words. wrapper: the keys under which the state dict lay, the outermost first. beside: the other
    keys of the file. card: what ``acnorm pretrain`` wrote of how the checkpoint was made.
    """

    path: Path
    sha256: str
    state: dict[str, Tensor]
    kind: str = "PyTorch"
    wrapper: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    card: dict[str, Any] | None = None


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read safetensors, a PyTorch file (with ``weights_only=True`` always) or an .npz of arrays, by its content.

    Args:
        path: the file; a state dict, or a dict that holds one under a usual key ("state_dict", "model", …).

    Raises:
        UserError: no such file, a folder, not to be read, empty, not a checkpoint (told what it is), damaged, needs
            code to load (with the names of that code), holds no tensors or no values, or holds a network with AC-Norm
            not yet folded.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> torch.save({"state_dict": {"module.conv.weight": torch.zeros(2, 3)}}, file)
        >>> read_checkpoint(file).state["module.conv.weight"].shape
        torch.Size([2, 3])
    """
    path = Path(path)
    kind, content = _read(path, _first_bytes(path))
    state, wrapper = _find_state(content)
    if not state:
        state, wrapper = _only_state(path, content)
    if not state and _holds_arrays(content):
        raise UserError(f"{path}: holds NumPy arrays, which need code to load; save them by name as .npz.")
    if not state:
        keys = ", ".join(str(key)[:40] for key in list(content)[:5]) if isinstance(content, Mapping) else ""
        there = f" (its keys are {keys})" if keys else ""
        raise UserError(f"{path}: holds no tensors by name{there}; give a state dict or a file that holds one.")
    if any(value.is_meta for value in state.values()):
        raise UserError(f"{path}: holds names and shapes without values (meta tensors); save it with its weights.")
    if any(name.endswith(".source_weight") for name in state):
        raise UserError(
            f"{path}: holds a network with AC-Norm not yet folded; give model/model.safetensors of the run instead."
        )
    outer = [str(key) for key in content if str(key) not in (*wrapper, *state)]
    card = _card(path) if kind == "safetensors" else None
    return Checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest(), state, kind, wrapper, tuple(outer), card)


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(_folder(path))
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a checkpoint (.pth, .pt, .th, .ckpt, .safetensors).")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); allow it, or give another file.") from None
    if not head:
        raise UserError(f"{path}: is empty (0 bytes); download it again.")
    return head


def _read(path: Path, head: bytes) -> tuple[str, Any]:
    size = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and 2 <= size <= path.stat().st_size - 8:
        return "safetensors", _read_safetensors(path)
    _refuse_others(path, head)
    if head[:2] != b"PK":
        if path.suffix.lower() == ".safetensors":
            raise UserError(f"{path}: is not a whole safetensors file; download it again.")
        return "PyTorch (before version 1.6)", _read_bare(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except Exception:
        raise UserError(_damaged(path)) from None
    if any(name.endswith(".npy") for name in members):
        return "npz", _read_arrays(path)
    if any(name.endswith("constants.pkl") for name in members):
        raise UserError(
            f"{path}: is a TorchScript program, which runs code; take the state dict that it was made from, or save "
            "torch.jit.load(FILE).state_dict() as safetensors where you trust it."
        )
    if not any(name.endswith("data.pkl") for name in members):
        raise UserError(_of_zip(path, members))
    return "PyTorch", _read_torch(path, _unsafe_globals(path))


def _refuse_others(path: Path, head: bytes) -> None:
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        raise UserError(f"{path}: is a web page, not a checkpoint; download the file itself.")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: is a Git LFS pointer, not the file; run `git lfs pull` where it came from.")
    told = next((told for start, told in _OTHERS.items() if head.startswith(start)), None)
    told = told or _by_content(path, head) or _OTHER_SUFFIXES.get(path.suffix.lower())
    if told is not None:
        raise UserError(f"{path}: is {told[0]}, not a PyTorch checkpoint; {told[1]}.")


def _by_content(path: Path, head: bytes) -> tuple[str, str] | None:
    """What a file is that says so elsewhere than at its beginning."""
    if head[4:8] == b"TFL3":
        return _TFLITE
    if head[:1] == b"\x08" and (b"\x12\x07pytorch" in head or b"onnx" in head.lower()):
        return _ONNX
    if ".data-0" in path.name or head.startswith(b"model_checkpoint_path:"):
        return _TENSORFLOW
    if _is_tar(path):
        return "a tar archive", "unpack it first"
    return None


def _is_tar(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def _of_zip(path: Path, members: Sequence[str]) -> str:
    """What a zip archive is that holds no state dict."""
    names = {name.rpartition("/")[2] for name in members}
    if "model.weights.h5" in names:
        return f"{path}: is {_KERAS[0]}, not a PyTorch checkpoint; {_KERAS[1]}."
    if "archive_format" in names or any("/models/" in name for name in members):
        return (
            f"{path}: is a program of torch.export, not a checkpoint; take the state dict that it was made from, or "
            "save torch.export.load(FILE).state_dict as safetensors where you trust it."
        )
    return f"{path}: is a zip archive without a PyTorch checkpoint; unpack it first."


def _folder(path: Path) -> str:
    if (path / "data.pkl").is_file():
        return f"{path}: is a PyTorch file that was unpacked, as some browsers do; download it again and leave it so."
    try:
        inside = sorted(file.name for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    except OSError:
        inside = []
    such = f", such as {inside[0]}" if inside else ""
    return f"{path}: is a folder; give the checkpoint file in it{such}."


def _damaged(path: Path) -> str:
    return f"{path}: is damaged or cut short; download it again."


def _read_arrays(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    except (ValueError, TypeError):
        raise UserError(f"{path}: holds other than arrays of numbers; save plain arrays by name.") from None
    except Exception:  # zlib, zip and numpy each have their own
        raise UserError(_damaged(path)) from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception:
        raise UserError(f"{path}: is not a whole safetensors file; download it again.") from None


def _card(path: Path) -> dict[str, Any] | None:
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(CARD)
    try:
        card = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return card if isinstance(card, dict) else None


def _read_bare(path: Path) -> Any:
    """A file of before version 1.6, which is pickles in a row, or what is none."""
    code = code_in_pickle(path)
    try:
        return _load(path)
    except Exception:
        if code:
            raise UserError(_needs_code(path, code)) from None
        if path.read_bytes()[:1] != b"\x80" and not is_pickle(path):
            raise UserError(f"{path}: is not a PyTorch file; give .pth, .pt, .th, .ckpt or .safetensors.") from None
        if is_pickle(path) and not is_of_torch(path):
            raise UserError(f"{path}: is a pickle, but none of PyTorch; save its tensors by torch.save.") from None
        raise UserError(_damaged(path)) from None


def _read_torch(path: Path, code: tuple[str, ...]) -> Any:
    try:
        return _load(path)
    except Exception:
        raise UserError(_needs_code(path, code) if code else _damaged(path)) from None


def _load(path: Path) -> Any:
    with warnings.catch_warnings(), stand_ins(), path.open("rb") as file:  # by name it would judge the suffix
        warnings.simplefilter("ignore")  # of what it sees in damaged files, before it stops
        return torch.load(file, map_location="cpu", weights_only=True)


def _needs_code(path: Path, code: tuple[str, ...]) -> str:
    told = ", ".join(code[:5]) + (f" and {len(code) - 5} more" if len(code) > 5 else "")
    return (
        f"{path}: needs code to load ({told}), which acnorm never runs; "
        "save its state dict as safetensors where you trust it."
    )


def _unsafe_globals(path: Path) -> tuple[str, ...]:
    """The names of code that a zipped file would run."""
    try:
        with stand_ins():
            return tuple(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
    except Exception:
        return ()


def _find_state(content: Any, depth: int = 0) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict, and the keys under which it lay: the first that holds about as much as any."""
    if not isinstance(content, Mapping) or depth > _DEEPEST:
        return {}, ()
    kept = [key for key in STATE_KEYS if isinstance(content.get(key), Mapping)]
    found = {key: _find_state(content[key], depth + 1) for key in kept}
    sizes = {key: sum(value.numel() for value in state.values()) for key, (state, _) in found.items()}
    for key, (state, wrapper) in found.items():
        if state and 2 * sizes[key] >= max(sizes.values()):
            return state, (key, *wrapper)
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}, ()


def _only_state(path: Path, content: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict under keys that nobody else uses, where there is one alone."""
    found = list(_state_dicts(content))
    if len(found) > 1:
        told = ", ".join(" → ".join(keys) for keys, _ in found[:5])
        raise UserError(f"{path}: holds several state dicts ({told}); save the one that is meant alone.")
    return (dict(found[0][1]), found[0][0]) if found else ({}, ())


def _state_dicts(content: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    if not isinstance(content, Mapping) or len(keys) > _DEEPEST:
        return
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if any(name.endswith("weight") for name in tensors):
        yield keys, tensors
        return
    for key, part in content.items():
        yield from _state_dicts(part, (*keys, str(key)))


def _holds_arrays(content: Any, depth: int = 0) -> bool:
    """Whether values that were not read stand under names of weights."""
    if isinstance(content, Mapping) and depth <= _DEEPEST:
        named = any(isinstance(part, StandIn) and str(name).endswith("weight") for name, part in content.items())
        return named or any(_holds_arrays(part, depth + 1) for part in content.values())
    return False
