from __future__ import annotations

import pickle
import tarfile
import warnings
import zipfile
from argparse import Namespace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from acnorm.checkpoints.read import STATE_KEYS, read_checkpoint
from acnorm.errors import UserError

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize("wrap", [(), ("state_dict",), ("model",), ("net", "state_dict")])
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_files_of_any_layout(tmp_path: Path, wrap: tuple[str, ...], zipped: bool):
    content: dict = STATE
    for key in wrap:
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "a.pth")
    assert torch.equal(read.state["conv.weight"], STATE["conv.weight"])
    assert len(read.sha256) == 64


def test_safetensors(tmp_path: Path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "a.safetensors").state["conv.weight"], STATE["conv.weight"])


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path):
    torch.save({"state_dict": STATE, "extra": Evil(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"needs code to load .*which acnorm never runs"):
        read_checkpoint(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


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


def test_missing_folder_and_empty_state(tmp_path: Path):
    with pytest.raises(UserError, match="no such file; give the path of a checkpoint"):
        read_checkpoint(tmp_path / "b.pth")
    with pytest.raises(UserError, match="is a folder; give the checkpoint file in it"):
        read_checkpoint(tmp_path)
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="holds no tensors by name"):
        read_checkpoint(tmp_path / "a.pth")
    torch.save({"bn.source_weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="AC-Norm not yet folded; give model/model.safetensors"):
        read_checkpoint(tmp_path / "a.pth")


def test_arrays_of_an_npz(tmp_path: Path):
    np.savez(tmp_path / "a.npz", **{"conv.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3)})
    read = read_checkpoint(tmp_path / "a.npz")
    assert torch.equal(read.state["conv.weight"], STATE["conv.weight"])
    assert read.kind == "npz"
    np.savez(tmp_path / "b.npz", a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(UserError, match=r"b\.npz: holds other than arrays of numbers; save plain arrays by name\."):
        read_checkpoint(tmp_path / "b.npz")


def test_a_torchscript_program_is_refused(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its deprecation
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt: is a TorchScript program, which runs code; take the state dict"):
        read_checkpoint(tmp_path / "a.pt")


def test_all_code_that_a_file_would_run_is_named(tmp_path: Path):
    torch.save({"a": Evil(tmp_path / "ran"), "b": Fraction(1, 2), "state_dict": STATE}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"needs code to load \(builtins\.getattr, fractions\.Fraction, pathlib\.Path"):
        read_checkpoint(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", STATE_KEYS)
def test_every_usual_key_is_opened(tmp_path: Path, key: str):
    torch.save({key: STATE, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "a.pth")
    read = read_checkpoint(tmp_path / "a.pth")
    assert read.state.keys() == STATE.keys()
    assert (read.wrapper, read.beside) == ((key,), ("epoch", "optimizer"))


def test_the_moving_average_comes_before_the_weights_that_it_averages(tmp_path: Path):
    torch.save({"state_dict": STATE, "state_dict_ema": {"conv.weight": torch.ones(2, 3)}}, tmp_path / "a.pth")
    assert torch.equal(read_checkpoint(tmp_path / "a.pth").state["conv.weight"], torch.ones(2, 3))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_the_code_of_a_bare_pickle_is_named(tmp_path: Path, protocol: int):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": Fraction(1, 2)}, protocol=protocol))
    with pytest.raises(UserError, match=r"a\.pkl: needs code to load \(.*fractions\.Fraction.*\), which acnorm never"):
        read_checkpoint(tmp_path / "a.pkl")


def test_the_content_decides_and_not_the_suffix(tmp_path: Path):
    save_file(STATE, tmp_path / "a.bin")
    torch.save(STATE, tmp_path / "b.safetensors")
    for name, kind in (("a.bin", "safetensors"), ("b.safetensors", "PyTorch")):
        read = read_checkpoint(tmp_path / name)
        assert torch.equal(read.state["conv.weight"], STATE["conv.weight"])
        assert read.kind == kind


def test_a_header_that_begins_like_a_web_page_is_none(tmp_path: Path):
    save_file(STATE, tmp_path / "a.safetensors", metadata={"fill": "x" * 15280})
    size = int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little")
    save_file(STATE, tmp_path / "a.safetensors", metadata={"fill": "x" * (15280 + 0x3C20 - size)})
    assert (tmp_path / "a.safetensors").read_bytes()[:2] == b" <"
    assert read_checkpoint(tmp_path / "a.safetensors").state.keys() == STATE.keys()


@pytest.mark.parametrize("kind", ["zip", "legacy", "npz", "safetensors"])
def test_damage_of_any_sort_is_one_line(tmp_path: Path, kind: str):
    whole = tmp_path / "whole"
    if kind == "npz":
        np.savez_compressed(tmp_path / "whole.npz", a=np.random.default_rng(0).random((20, 3)))
        whole = tmp_path / "whole.npz"
    elif kind == "safetensors":
        save_file(STATE, whole)
    else:
        torch.save(STATE, whole, _use_new_zipfile_serialization=kind == "zip")
    content, draw = whole.read_bytes(), np.random.default_rng(1)
    for attempt in range(150):
        broken = bytearray(content)
        if attempt % 3:
            broken[int(draw.integers(len(content)))] = int(draw.integers(256))
        else:
            broken = broken[: int(draw.integers(1, len(content)))]
        (tmp_path / "a").write_bytes(broken)
        told = ""
        try:
            read_checkpoint(tmp_path / "a")
        except UserError as error:
            told = str(error)
        assert "\n" not in told


def test_other_zips_and_what_holds_no_values(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match=r"is a zip archive without a PyTorch checkpoint; unpack it first\."):
        read_checkpoint(tmp_path / "a.zip")
    torch.save({"a": torch.empty(2, device="meta")}, tmp_path / "b.pth")
    with pytest.raises(UserError, match=r"holds names and shapes without values \(meta tensors\)"):
        read_checkpoint(tmp_path / "b.pth")
    torch.save({"learner": {"lr": 1}, "epoch": 3}, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"holds no tensors by name \(its keys are learner, epoch\); give"):
        read_checkpoint(tmp_path / "c.pth")
    (tmp_path / "d.pth").write_bytes(b"\xef\xbb\xbf<!DOCTYPE html>")
    with pytest.raises(UserError, match="is a web page"):
        read_checkpoint(tmp_path / "d.pth")
    torch.save({"ema": {"decay": torch.tensor(0.99)}, "model": STATE}, tmp_path / "e.pth")
    assert read_checkpoint(tmp_path / "e.pth").state.keys() == STATE.keys()


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.save(STATE, tmp_path / "a.pth")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\); allow it, or give another file\."):
        read_checkpoint(tmp_path / "a.pth")


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


@pytest.mark.parametrize("zipped", [True, False])
def test_arguments_and_numbers_beside_the_weights_are_passed_over(tmp_path: Path, zipped: bool):
    beside = {
        "args": Namespace(lr=0.1, out=Path("runs")),
        "best": np.float64(0.9),
        "history": np.arange(3.0),
        "folder": tmp_path,
    }
    torch.save({"state_dict": STATE, **beside}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "a.pth")
    assert torch.equal(read.state["conv.weight"], STATE["conv.weight"])
    assert read.beside == ("args", "best", "history", "folder")
    torch.save(
        {"state_dict": STATE, **beside, "x": Fraction(1, 2)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(UserError, match=r"needs code to load \(fractions\.Fraction\), which acnorm never runs"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_are_numpy_arrays_are_told(tmp_path: Path, zipped: bool):
    content = {"state_dict": {"conv.weight": np.zeros(3)}}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"holds NumPy arrays, which need code to load; save them by name as \.npz\."):
        read_checkpoint(tmp_path / "a.pth")


def test_a_state_dict_under_a_key_of_its_own_is_found_where_it_is_alone(tmp_path: Path):
    steps = {"state": {0: {"exp_avg": torch.ones(2)}}}
    torch.save({"learner": {"best": STATE}, "optimizer": steps}, tmp_path / "a.pth")
    read = read_checkpoint(tmp_path / "a.pth")
    assert (read.wrapper, read.beside) == (("learner", "best"), ("optimizer",))
    assert read.state.keys() == STATE.keys()
    torch.save({"learner": {"best": STATE, "last": STATE}, "other": STATE}, tmp_path / "a.pth")
    told = r"holds several state dicts \(learner → best, learner → last, other\); save the one that is meant alone\."
    with pytest.raises(UserError, match=told):
        read_checkpoint(tmp_path / "a.pth")
