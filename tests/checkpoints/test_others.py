"""What is no checkpoint is told for what it is, in one line."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from acnorm.checkpoints.read import read_checkpoint
from acnorm.errors import UserError

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", b"", r"is empty .0 bytes.; download it again"),
        ("a.pth", b"<!DOCTYPE html>", "is a web page, not a checkpoint"),
        ("a.pth", b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        ("a.pth", b"hello", "is not a PyTorch file"),
        ("a.pth", b"PK\x03\x04 cut", "is damaged or cut short"),
        ("a.safetensors", b"12345678cut", "is not a whole safetensors file"),
        ("a.h5", b"\x89HDF\r\n\x1a\n....", "is an HDF5 file, as Keras writes them, not a PyTorch checkpoint; convert"),
        ("a.pth", b"\x1f\x8b....", "is a gzip file, not a PyTorch checkpoint; unpack it first"),
        ("a.pth", b"7z\xbc\xaf....", "is a 7z archive, not a PyTorch checkpoint; unpack it first"),
        ("a.pth", b"Rar!....", "is a RAR archive, not a PyTorch checkpoint; unpack it first"),
        ("a.pth", b"%PDF-1.7", "is a PDF document, not a PyTorch checkpoint; download the weights themselves"),
        ("a.onnx", b"\x08\x07", "is an ONNX file, which holds a graph, not a PyTorch checkpoint; take the PyTorch"),
        ("a.pb", b"\x0a\x07", "is a TensorFlow graph, not a PyTorch checkpoint; convert its weights"),
        ("a.ckpt.index", b"\x00\x07", "is a part of a TensorFlow checkpoint, not a PyTorch checkpoint; convert"),
        ("a.tflite", b"\x1c\x00", "is a TensorFlow Lite file, not a PyTorch checkpoint; convert its weights"),
        ("a.bin", b"\x1c\x00\x00\x00TFL3", "is a TensorFlow Lite file, not a PyTorch checkpoint; convert its weights"),
        ("a.pth", b"\x08\x07\x12\x07pytorch", "is an ONNX file, which holds a graph, not a PyTorch checkpoint; take"),
        ("a.ckpt.meta", b"\x0a\x9a", "is a part of a TensorFlow checkpoint, not a PyTorch checkpoint; convert"),
        ("a.ckpt.data-00000-of-00001", b"\x01\x02", "is a part of a TensorFlow checkpoint, not a PyTorch checkpoint"),
        (
            "a.ckpt",
            b"\0" * 100 + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
            "is a part of a TensorFlow checkpoint, not a PyTor",
        ),
        ("checkpoint", b'model_checkpoint_path: "a"', "is a part of a TensorFlow checkpoint, not a PyTorch checkpoint"),
        ("a.msgpack", b"\x81\xa6", "is a Flax file, not a PyTorch checkpoint; convert its weights"),
        ("a.pdparams", b"\x80\x04", "is a Paddle file, not a PyTorch checkpoint; convert its weights"),
        ("a.pth", b"BZh91AY", "is a bzip2 file, not a PyTorch checkpoint; unpack it first"),
        ("a.pth", b"\xfd7zXZ\x00", "is an xz file, not a PyTorch checkpoint; unpack it first"),
        ("a.pth", b"\x28\xb5\x2f\xfd", "is a Zstandard file, not a PyTorch checkpoint; unpack it first"),
        (
            "a.npy",
            b"\x93NUMPY\x01",
            "is one NumPy array, not a PyTorch checkpoint; save the arrays of the network by name",
        ),
        ("a.gguf", b"GGUF\x03", "is a GGUF file, not a PyTorch checkpoint; take the PyTorch weights"),
        ("a.pth", b'{"error": 404}', "is JSON, an index or a message of a server, not a PyTorch checkpoint; download"),
        ("a.pth", pickle.dumps({"a": 1}), r"is a pickle, but none of PyTorch; save its tensors by torch\.save\."),
        ("a.pth", pickle.dumps({"a": 1}, protocol=0), "is a pickle, but none of PyTorch; save its tensors"),
        ("a.keras", b"PK\x03\x04", "is a Keras archive, not a PyTorch checkpoint; convert its weights"),
    ],
)
def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tar", "a.pth"])
def test_a_tar_archive_is_told_by_any_name(tmp_path: Path, name: str):
    torch.save(STATE, tmp_path / "inside.pth")
    with tarfile.open(tmp_path / name, "w") as archive:
        archive.add(tmp_path / "inside.pth", "inside.pth")
    with pytest.raises(UserError, match=r"is a tar archive, not a PyTorch checkpoint; unpack it first\."):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["config.json", "model.weights.h5"], "is a Keras archive, not a PyTorch checkpoint; convert its weights"),
        (
            ["a/archive_format", "a/models/model.json"],
            r"is a program of torch\.export, not a checkpoint; take the state",
        ),
        (["saved_model/saved_model.pb"], "is a zip archive without a PyTorch checkpoint; unpack it first"),
    ],
)
def test_zips_of_others_are_told(tmp_path: Path, members: list[str], message: str):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in members:
            archive.writestr(name, "x")
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / "a.zip")


def test_a_program_of_torch_export_is_told(tmp_path: Path):
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "a.pt2")
    with pytest.raises(
        UserError, match=r"is a program of torch\.export.*save torch\.export\.load\(FILE\)\.state_dict as"
    ):
        read_checkpoint(tmp_path / "a.pt2")


def test_folders_are_told_with_what_is_in_them(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"is a folder; give the checkpoint file in it\.$"):
        read_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_text("x")
    with pytest.raises(UserError, match=r"is a folder; give the checkpoint file in it, such as model\.safetensors\.$"):
        read_checkpoint(tmp_path)
    (tmp_path / "data.pkl").write_text("x")
    with pytest.raises(UserError, match="is a PyTorch file that was unpacked, as some browsers do; download it again"):
        read_checkpoint(tmp_path)


def test_a_saved_model_of_tensorflow_is_told(tmp_path: Path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(UserError, match="is a TensorFlow SavedModel, not a PyTorch checkpoint; convert its weights to"):
        read_checkpoint(tmp_path)
