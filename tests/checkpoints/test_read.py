from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from acnorm.checkpoints.read import read_checkpoint
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
