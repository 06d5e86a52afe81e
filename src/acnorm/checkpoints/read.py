"""Read a checkpoint file to a plain state dict, without running code from it."""

from __future__ import annotations

import hashlib
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from acnorm.checkpoints.others import told_by_content, told_of_folder, told_of_zip
from acnorm.checkpoints.pickles import LARGEST, code_in_pickle, is_of_torch, is_pickle, protocol_of
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
_DEEPEST = 8  # dictionaries in dictionaries
_PROTOCOL = 2  # the latest of pickle that torch.load reads without its own code
CARD = "acnorm"  # the key in the metadata of a safetensors file under which its card is kept, as JSON


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
            code to load (with the names of that code), is pickled by a later protocol than PyTorch's, holds no tensors
            or no values or sparse ones, or holds a network with AC-Norm not yet folded.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> torch.save({"state_dict": {"module.conv.weight": torch.zeros(2, 3)}}, file)
        >>> read_checkpoint(file).state["module.conv.weight"].shape
        torch.Size([2, 3])
    """
    path = Path(path)
    kind, content = _read(path, _first_bytes(path))
    state, wrapper = _find_state(content, set())
    if not state:
        state, wrapper = _only_state(path, content)
    if not state and _holds_arrays(content, set()):
        raise UserError(f"{path}: holds NumPy arrays, which need code to load; save them by name as .npz.")
    if not state:
        keys = ", ".join(str(key)[:40] for key in list(content)[:5]) if isinstance(content, Mapping) else ""
        there = f" (its keys are {keys})" if keys else ""
        raise UserError(f"{path}: holds no tensors by name{there}; give a state dict or a file that holds one.")
    if any(value.is_meta for value in state.values()):
        raise UserError(f"{path}: holds names and shapes without values (meta tensors); save it with its weights.")
    odd = next((name for name, value in state.items() if value.layout != torch.strided or value.is_nested), None)
    if odd is not None:
        raise UserError(f"{path}: {odd} is a sparse or nested tensor; save it as a plain one (to_dense()).")
    state = {name: value.detach() for name, value in state.items()}
    if any(name.endswith(".source_weight") for name in state):
        raise UserError(
            f"{path}: holds a network with AC-Norm not yet folded; give model/model.safetensors of the run instead."
        )
    outer = [str(key) for key in content if str(key) not in (*wrapper, *state)]
    card = _card(path) if kind == "safetensors" else None
    return Checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest(), state, kind, wrapper, tuple(outer), card)


def _first_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UserError(f"{path}: {told_of_folder(path)}")
        if not path.is_file():
            raise UserError(
                f"{path}: no such file; give the path of a checkpoint (.pth, .pt, .th, .ckpt, .safetensors)."
            )
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
    told = told_by_content(path, head)
    if told is not None:
        raise UserError(f"{path}: {told}")
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
        raise UserError(f"{path}: {told_of_zip(members)}")
    return "PyTorch", _read_torch(path)


def _damaged(path: Path) -> str:
    return f"{path}: is damaged or cut short; download it again."


def _read_arrays(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        return {
            name: torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
            for name, array in arrays.items()
        }
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
    try:
        return _load(path)
    except Exception:
        with path.open("rb") as file:
            data = file.read(LARGEST)
        code = code_in_pickle(data)
        if not code and not is_pickle(data) and data[:1] != b"\x80":
            raise UserError(f"{path}: is not a PyTorch file; give .pth, .pt, .th, .ckpt or .safetensors.") from None
        if not code and is_pickle(data) and not is_of_torch(data):
            raise UserError(f"{path}: is a pickle, but none of PyTorch; save its tensors by torch.save.") from None
        raise UserError(_why(path, code, data)) from None


def _read_torch(path: Path) -> Any:
    code = _unsafe_globals(path)  # all of them, where PyTorch can tell
    try:
        return _load(path)
    except Exception:
        data = _pickle_in_zip(path)
        raise UserError(_why(path, code or code_in_pickle(data), data)) from None


def _pickle_in_zip(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            with archive.open(name) as file:
                return file.read(LARGEST)
    except Exception:
        return b""


def _load(path: Path) -> Any:
    with warnings.catch_warnings(), stand_ins(), path.open("rb") as file:  # by name it would judge the suffix
        warnings.simplefilter("ignore")  # of what it sees in damaged files, before it stops
        return torch.load(file, map_location="cpu", weights_only=True)


def _why(path: Path, code: tuple[str, ...], data: bytes) -> str:
    """Why a pickle was not loaded."""
    told = ", ".join(code[:5]) + (f" and {len(code) - 5} more" if len(code) > 5 else "")
    if code:
        return (
            f"{path}: needs code to load ({told}), which acnorm never runs; "
            "save its state dict as safetensors where you trust it."
        )
    protocol = protocol_of(data)
    if protocol > _PROTOCOL:
        return (
            f"{path}: is pickled by protocol {protocol}, which torch.load does not take with weights_only=True; "
            "save its state dict as safetensors where you trust it."
        )
    return _damaged(path)


def _unsafe_globals(path: Path) -> tuple[str, ...]:
    """The names of code that a zipped file would run."""
    try:
        with stand_ins():
            return tuple(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
    except Exception:
        return ()


def _find_state(content: Any, seen: set[int], depth: int = 0) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict, and the keys under which it lay: the first that holds about as much as any."""
    if not _is_new(content, seen, depth):
        return {}, ()
    kept = [key for key in STATE_KEYS if isinstance(content.get(key), Mapping)]
    found = {key: _find_state(content[key], seen, depth + 1) for key in kept}
    sizes = {key: sum(value.numel() for value in state.values()) for key, (state, _) in found.items()}
    for key, (state, wrapper) in found.items():
        if state and 2 * sizes[key] >= max(sizes.values()):
            return state, (key, *wrapper)
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}, ()


def _is_new(content: Any, seen: set[int], depth: int) -> bool:
    """Whether it is a dictionary that was not looked into: a file may hold one in many places, or in itself."""
    if not isinstance(content, Mapping) or id(content) in seen or depth > _DEEPEST:
        return False
    seen.add(id(content))
    return True


def _only_state(path: Path, content: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict under keys that nobody else uses, where there is one alone."""
    found = list(_state_dicts(content, set()))
    if len(found) > 1:
        told = ", ".join(" → ".join(keys) for keys, _ in found[:5])
        raise UserError(f"{path}: holds several state dicts ({told}); save the one that is meant alone.")
    return (dict(found[0][1]), found[0][0]) if found else ({}, ())


def _state_dicts(
    content: Any, seen: set[int], keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    if not _is_new(content, seen, len(keys)):
        return
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if any(name.endswith("weight") for name in tensors):
        yield keys, tensors
        return
    for key, part in content.items():
        yield from _state_dicts(part, seen, (*keys, str(key)))


def _holds_arrays(content: Any, seen: set[int], depth: int = 0) -> bool:
    """Whether values that were not read stand under names of weights."""
    if not _is_new(content, seen, depth):
        return False
    named = any(isinstance(part, StandIn) and str(name).endswith("weight") for name, part in content.items())
    return named or any(_holds_arrays(part, seen, depth + 1) for part in content.values())
