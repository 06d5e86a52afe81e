"""Read a checkpoint file to a plain state dict, without running code from it."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from acnorm.errors import UserError

# Where public checkpoints keep the network, in order of preference.
STATE_KEYS = ("state_dict", "model_state_dict", "model_state", "network_weights", "model", "net", "network", "encoder")


@dataclass(frozen=True)
class Checkpoint:
    """A state dict as read: tensors on the CPU, the file it came from and that file's SHA-256."""

    path: Path
    sha256: str
    state: dict[str, Tensor]


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read safetensors or a PyTorch file, with ``weights_only=True`` always.

    Args:
        path: the file; a state dict, or a dict that holds one under a usual key ("state_dict", "model", …).

    Raises:
        UserError: no such file, a folder, empty, not a checkpoint, damaged, needs code to load, holds no
            tensors, or holds a network with AC-Norm not yet folded.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> torch.save({"state_dict": {"module.conv.weight": torch.zeros(2, 3)}}, file)
        >>> read_checkpoint(file).state["module.conv.weight"].shape
        torch.Size([2, 3])
    """
    path = Path(path)
    head = _first_bytes(path)
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    else:
        content = _read_torch(path, head)
    state = _find_state(content)
    if not state:
        raise UserError(f"{path}: holds no tensors by name; give a state dict or a file that holds one.")
    if any(name.endswith(".source_weight") for name in state):
        raise UserError(
            f"{path}: holds a network with AC-Norm not yet folded; give model/model.safetensors of the run instead."
        )
    return Checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest(), state)


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the checkpoint file in it.")
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a checkpoint (.pth, .pt, .th, .ckpt, .safetensors).")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise UserError(f"{path}: is empty (0 bytes); download it again.")
    if head.lstrip()[:1] == b"<":
        raise UserError(f"{path}: is a web page, not a checkpoint; download the file itself.")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: is a Git LFS pointer, not the file; run `git lfs pull` where it came from.")
    return head


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: is not a whole safetensors file ({error}); download it again.") from None


def _read_torch(path: Path, head: bytes) -> Any:
    if head[:2] not in (b"PK", b"\x80\x02"):
        raise UserError(f"{path}: is not a PyTorch file; give .pth, .pt, .th, .ckpt or .safetensors.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = str(error).partition("GLOBAL ")[2].partition(" was not")[0] or "objects that are not tensors"
        raise UserError(
            f"{path}: needs code to load ({found}), which acnorm never runs; "
            "save its state dict as safetensors where you trust it."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise UserError(f"{path}: is damaged or cut short; download it again.") from None


def _find_state(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for key in STATE_KEYS:
        if isinstance(content.get(key), Mapping):
            found = _find_state(content[key])
            if found:
                return found
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
