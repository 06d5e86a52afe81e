from __future__ import annotations

import pickle
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
    torch.save({"learner": {"best": STATE, "last": dict(STATE)}, "other": dict(STATE)}, tmp_path / "a.pth")
    told = r"holds several state dicts \(learner → best, learner → last, other\); save the one that is meant alone\."
    with pytest.raises(UserError, match=told):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_later_protocol_is_told_and_its_code_named(tmp_path: Path, protocol: int, zipped: bool):
    def save(content: dict) -> None:
        torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)

    save({"state_dict": STATE})
    told = (
        rf"a\.pth: is pickled by protocol {protocol}, which torch\.load does not take with weights_only=True; save its"
    )
    with pytest.raises(UserError, match=told):
        read_checkpoint(tmp_path / "a.pth")
    save({"state_dict": STATE, "x": Evil(tmp_path / "ran")})
    with pytest.raises(UserError, match=r"needs code to load \(pathlib\.Path\.touch\), which acnorm never"):
        read_checkpoint(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_holds_itself_is_looked_into_once(tmp_path: Path):
    content: dict = {"epoch": 3}
    content.update(dict.fromkeys(STATE_KEYS, content))
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="holds no tensors by name"):
        read_checkpoint(tmp_path / "a.pth")


def test_one_state_dict_under_two_keys_is_one(tmp_path: Path):
    torch.save({"best": STATE, "last": STATE}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").wrapper == ("best",)


def test_sparse_tensors_are_told(tmp_path: Path):
    torch.save({"conv.weight": STATE["conv.weight"].to_sparse()}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"conv\.weight is a sparse or nested tensor; save it as a plain one .to_dense"):
        read_checkpoint(tmp_path / "a.pth")


def test_parameters_are_read_as_plain_tensors(tmp_path: Path):
    torch.save(dict(torch.nn.Linear(2, 2).named_parameters()), tmp_path / "a.pth")
    assert not any(value.requires_grad for value in read_checkpoint(tmp_path / "a.pth").state.values())


def test_arrays_of_another_machine_are_read(tmp_path: Path):
    np.savez(tmp_path / "a.npz", **{"conv.weight": np.arange(6, dtype=">f4").reshape(2, 3)})
    assert torch.equal(read_checkpoint(tmp_path / "a.npz").state["conv.weight"], STATE["conv.weight"])


def test_a_path_that_cannot_be_is_told():
    with pytest.raises(UserError, match=r"cannot be read \(File name too long\); allow it, or give another file\."):
        read_checkpoint("a" * 5000)
