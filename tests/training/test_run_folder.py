"""The folder of a run: what is refused, and files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.errors import UserError
from acnorm.training.run_folder import RunFolder

NEITHER = {"resume": False, "overwrite": False}
RESUME, OVERWRITE = NEITHER | {"resume": True}, NEITHER | {"overwrite": True}


def run_at(folder: Path, **files: str) -> RunFolder:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return RunFolder(folder)


@pytest.mark.parametrize("how", [NEITHER, OVERWRITE])
def test_a_new_or_empty_folder_is_free(tmp_path: Path, how: dict[str, bool]):
    RunFolder(tmp_path).check_free(**how)
    RunFolder(tmp_path / "a" / "new").check_free(**how)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [RESUME, OVERWRITE])
def test_a_run_may_be_resumed_or_overwritten(tmp_path: Path, how: dict[str, bool]):
    run_at(tmp_path / "run", config_yaml="seed: 1").check_free(**how)


@pytest.mark.parametrize(
    ("how", "files", "message"),
    [
        (NEITHER, {"config_yaml": "seed: 1"}, "is not empty; --resume goes on with the run in it, --overwrite deletes it first"),
        (NEITHER, {"notes_txt": "mine"}, "is not empty; --resume goes on with the run in it, --overwrite deletes it first"),
        (RESUME, {"notes_txt": "mine"}, r"holds files but no run \(no config\.yaml\); give another folder"),
        (OVERWRITE, {"notes_txt": "mine"}, r"holds files but no run \(no config\.yaml\); give another folder"),
        (RESUME, {}, "holds no run to resume; leave --resume out to start one"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_free_is_refused(tmp_path: Path, how: dict[str, bool], files: dict, message: str):
    run = run_at(tmp_path / "run", **files)
    with pytest.raises(UserError, match=rf"^--out .*run: {message}\.$"):
        run.check_free(**how)


@pytest.mark.parametrize("how", [NEITHER, RESUME, OVERWRITE])
def test_a_file_is_refused(tmp_path: Path, how: dict[str, bool]):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UserError, match=r"^--out .*run: is a file; give a folder\.$"):
        RunFolder(tmp_path / "run").check_free(**how)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot be made \(Not a directory\); give another folder\.$"):
        RunFolder(tmp_path / "file" / "run").make()


def test_clearing_deletes_what_is_there_and_nothing_else(tmp_path: Path):
    (tmp_path / "other").write_text("mine")
    run = run_at(tmp_path / "run", config_yaml="seed: 1")
    run.clear()
    run.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_is_written_is_read(tmp_path: Path):
    run = RunFolder(tmp_path / "new")
    content = {"name": "Grün", "values": [1, 0.1, None], "nested": {"b": 1, "a": 2}}
    run.write_json("deep/er.json", content)
    run.write_yaml("config.yaml", content)
    assert run.read_json("deep/er.json") == run.read_config() == content
    assert list(run.read_config()["nested"]) == ["b", "a"]


def test_a_run_is_finished_once_it_has_metrics(tmp_path: Path):
    run = RunFolder(tmp_path)
    assert not run.finished
    run.write_json("metrics.json", {})
    assert run.finished


def test_what_cannot_be_written_leaves_the_file_before(tmp_path: Path):
    run = RunFolder(tmp_path)
    run.write_json("metrics.json", {"epochs": 3})
    with pytest.raises(ValueError, match="JSON compliant"):
        run.write_json("metrics.json", {"loss": float("nan")})
    with pytest.raises(UnicodeEncodeError):
        run.write_text("metrics.json", "half \ud800")
    assert run.read_json("metrics.json") == {"epochs": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_json_that_is_damaged_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(UserError, match=r"metrics\.json: is damaged \(not JSON\); run acnorm finetune again\.$"):
        RunFolder(tmp_path).read_json("metrics.json")


def test_json_that_is_not_there_means_an_unfinished_run(tmp_path: Path):
    told = r"is not a finished run \(no metrics\.json\); give the --out of acnorm finetune\.$"
    with pytest.raises(UserError, match=told):
        RunFolder(tmp_path).read_json("metrics.json")


@pytest.mark.parametrize("content", [b"- a", b"a: [", b"", b"\xff\xfe\x00", b"3"])
def test_a_config_that_is_damaged_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml: is damaged; start the run again with --overwrite\.$"):
        RunFolder(tmp_path).read_config()


def test_a_folder_without_config_is_no_run(tmp_path: Path):
    with pytest.raises(UserError, match=r"is not a run \(no config\.yaml\); give the --out of acnorm finetune\.$"):
        RunFolder(tmp_path).read_config()
