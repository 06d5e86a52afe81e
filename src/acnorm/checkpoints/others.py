"""What a file or folder is that is no checkpoint for PyTorch, and what to do with it, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
_END_OF_TENSORFLOW = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # of its tables: an .index, or a .ckpt of version 1
_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".ckpt", ".bin", ".tar")


def told_by_content(path: Path, head: bytes) -> str | None:
    """Say what a file is that is no checkpoint, by how it begins, how it ends, or its suffix; None where it may be one.

    Args:
        path: the file.
        head: its first bytes, 64 or more where it has so many.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> _ = file.write_bytes(b"<!DOCTYPE html>")
        >>> told_by_content(file, file.read_bytes()[:64])
        'is a web page, not a checkpoint; download the file itself.'
    """
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return "is a web page, not a checkpoint; download the file itself."
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file; run `git lfs pull` where it came from."
    told = next((told for start, told in _OTHERS.items() if head.startswith(start)), None)
    told = told or _elsewhere(path, head) or _OTHER_SUFFIXES.get(path.suffix.lower())
    return None if told is None else f"is {told[0]}, not a PyTorch checkpoint; {told[1]}."


def _elsewhere(path: Path, head: bytes) -> tuple[str, str] | None:
    """What a file is that says so elsewhere than at its beginning."""
    if head[4:8] == b"TFL3":
        return _TFLITE
    if head[:1] == b"\x08" and (b"\x12\x07pytorch" in head or b"onnx" in head.lower()):
        return _ONNX
    if ".data-0" in path.name or head.startswith(b"model_checkpoint_path:") or _ends(path, _END_OF_TENSORFLOW):
        return _TENSORFLOW
    if _is_tar(path):
        return "a tar archive", "unpack it first"
    return None


def _ends(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(end)))
        return file.read() == end


def _is_tar(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def told_of_zip(members: Sequence[str]) -> str:
    """Say what a zip archive is that holds no state dict.

    Args:
        members: names of the files in it.

    Examples:
        >>> told_of_zip(["readme.txt"])
        'is a zip archive without a PyTorch checkpoint; unpack it first.'
    """
    names = {name.rpartition("/")[2] for name in members}
    if "model.weights.h5" in names:
        return f"is {_KERAS[0]}, not a PyTorch checkpoint; {_KERAS[1]}."
    if "archive_format" in names or any("/models/" in name for name in members):
        return (
            "is a program of torch.export, not a checkpoint; take the state dict that it was made from, or "
            "save torch.export.load(FILE).state_dict as safetensors where you trust it."
        )
    return "is a zip archive without a PyTorch checkpoint; unpack it first."


def told_of_folder(path: Path) -> str:
    """Say what a folder is, and which file in it may be meant.

    Examples:
        >>> import tempfile
        >>> told_of_folder(Path(tempfile.mkdtemp()))
        'is a folder; give the checkpoint file in it.'
    """
    if (path / "data.pkl").is_file():
        return "is a PyTorch file that was unpacked, as some browsers do; download it again and leave it so."
    if (path / "saved_model.pb").is_file():
        return f"is a TensorFlow SavedModel, not a PyTorch checkpoint; {_TENSORFLOW[1]}."
    try:
        inside = sorted(file.name for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    except OSError:
        inside = []
    such = f", such as {inside[0]}" if inside else ""
    return f"is a folder; give the checkpoint file in it{such}."
