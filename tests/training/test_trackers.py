"""What trackers are told is read back from their own files."""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from acnorm.bench.cells import Inputs, address_of
from acnorm.bench.folds import Division
from acnorm.cli.main import main
from acnorm.data.case import Collection
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.finetune import run_finetune
from acnorm.training.pretrain import run_pretrain
from acnorm.training.pretrain_config import pretrain_config
from acnorm.training.settings import config_from_flags
from tiny_runs import NETWORK, config, equal, eyes, weights_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trackers")
    eyes(folder / "eyes.npz")
    return folder


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """The same run without a tracker."""
    return run_finetune(config(folder, out=folder / "plain", epochs=3)).path


def halted(folder: Path, tracker: str) -> Path:
    """A run that was killed after its second epoch."""
    run = folder / tracker
    with pytest.MonkeyPatch.context() as patch:

        def kill(*_: Any) -> None:
            raise RuntimeError("killed")

        from acnorm.training.fit import History

        end = History.on_train_epoch_end

        def second(history: History, trainer: Any, module: Any) -> None:
            end(history, trainer, module)
            if trainer.current_epoch == 2:
                kill()

        patch.setattr(History, "on_train_epoch_end", second)
        with pytest.raises(RuntimeError, match="killed"):
            run_finetune(config(folder, out=run, epochs=3, tracker=tracker))
    return run


def resumed(folder: Path, tracker: str) -> Path:
    """That run, gone on with to its end."""
    run = halted(folder, tracker)
    return run_finetune(config(folder, out=run, epochs=3, tracker=tracker, resume=True)).path


def losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


def result_of(run: Path) -> float:
    return json.loads((run / "metrics.json").read_text())["splits"]["test"]["metrics"]["macro_auc"]["value"]


def check_same(run: Path, plain: Path) -> None:
    """A tracker looks on and changes nothing."""
    assert losses(run) == losses(plain)
    assert equal(weights_of(run), weights_of(plain))


def test_tensorboard_tells_the_whole_run(folder: Path, plain: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = resumed(folder, "tensorboard")
    check_same(run, plain)
    events = accumulator.EventAccumulator(str(run / "trackers/tensorboard")).Reload()
    told = {event.step: event.value for event in events.Scalars("train_loss_epoch")}
    assert list(told.values()) == pytest.approx(losses(run), rel=1e-5)
    assert len(events.Scalars("train_loss_epoch")) == 3
    assert {"val_macro_auc", "val_loss"} <= set(events.Tags()["scalars"])
    [final] = events.Scalars("test/macro_auc")
    assert final.value == pytest.approx(result_of(run))
    assert final.step == max(told) + 1


def test_mlflow_tells_the_whole_run(folder: Path, plain: Path):
    mlflow = pytest.importorskip("mlflow", exc_type=ImportError)
    run = resumed(folder, "mlflow")
    check_same(run, plain)
    client = mlflow.MlflowClient(f"sqlite:///{run / 'trackers/mlflow.db'}")
    experiment = client.get_experiment_by_name("acnorm")
    [found] = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "mlflow"
    assert found.info.status == "FINISHED"
    assert (found.data.params["epochs"], found.data.params["method"]) == ("3", "vanilla")
    assert "out" not in found.data.params
    told = client.get_metric_history(found.info.run_id, "train_loss_epoch")
    assert [metric.value for metric in told] == pytest.approx(losses(run), rel=1e-5)
    assert found.data.metrics["test/macro_auc"] == pytest.approx(result_of(run))


def test_wandb_tells_the_whole_run(folder: Path, plain: Path, monkeypatch: pytest.MonkeyPatch):
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    run = resumed(folder, "wandb")
    check_same(run, plain)
    assert wandb.run is None  # the next run of this process gets one of its own
    files = sorted((run / "trackers/wandb").glob("offline-run-*/*.wandb"))
    assert len({file.name for file in files}) == 1  # two parts of one run
    assert len(files) == 2
    rows = [row for file in files for row in history_of(file)]
    told = [row["train_loss_epoch"] for row in rows if "train_loss_epoch" in row]
    first, before_the_kill, last = losses(run)
    whole = (
        [first, before_the_kill, last] if len(told) == 3 else [first, last]
    )  # W&B writes late: a kill may lose a row
    assert told == pytest.approx(whole, rel=1e-5)
    assert rows[-1]["test/macro_auc"] == pytest.approx(result_of(run))


def history_of(file: Path) -> list[dict[str, Any]]:
    """The logged rows in a file of W&B: records in LevelDB's log format, cut into blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts, rows = file.read_bytes(), 7, b"", []
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # the rest of a block is empty
            at += 32768 - at % 32768
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record.FromString(parts)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
            parts = b""
    return rows


def test_pretraining_is_tracked_too(folder: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = {"data": folder / "eyes.npz", "model": NETWORK, "method": "rotation", "out": folder / "pre", "epochs": 1}
    run = run_pretrain(
        pretrain_config(settings | {"batch_size": 8, "accelerator": "cpu", "devices": "1", "tracker": "tensorboard"})
    ).path
    events = accumulator.EventAccumulator(str(run / "trackers/tensorboard")).Reload()
    [told] = events.Scalars("train_loss_epoch")
    assert [told.value] == pytest.approx(losses(run), rel=1e-5)


def test_the_flag_may_be_given_several_times():
    flags = ["--data", "eyes.npz", "--model", NETWORK, "--out", "run"]
    assert config_from_flags(flags).tracker is None
    assert config_from_flags([*flags, "--tracker", "wandb"]).tracker == "wandb"
    given = config_from_flags([*flags, "--tracker", "wandb", "--epochs", "3", "--tracker=mlflow"])
    assert (given.tracker, given.epochs) == ("wandb,mlflow", 3)


def test_a_tracker_is_not_part_of_the_result():
    inputs = Inputs(Collection((), (), Path("eyes"), "folder"), "0a", None, None)
    first, second = (
        FinetuneConfig(data="eyes", model=NETWORK, out="run", tracker=tracker) for tracker in (None, "tensorboard")
    )
    division = Division({"a": "train"}, "by hand", released_test=False)
    assert address_of(first, inputs, division) == address_of(second, inputs, division)
    assert first.difference(second) == []


def test_trackers_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(
        UserError, match=r"^tracker is 'csv', must be of tensorboard, mlflow, wandb, with commas between\.$"
    ):
        config(folder, tracker="csv")
    arguments = ["pretrain", "--data", "d", "--model", NETWORK, "--method", "rotation", "--out", str(folder / "none")]
    assert main([*arguments, "--tracker", "wandb", "--tracker", "csv"]) == 2
    assert capsys.readouterr().err == (
        "acnorm: tracker is 'wandb,csv', must be of tensorboard, mlflow, wandb, with commas between.\n"
    )


@pytest.mark.parametrize(
    ("tracker", "package"),
    [("tensorboard", "tensorboard"), ("mlflow", "mlflow"), ("mlflow", "alembic"), ("wandb", "wandb")],
)
def test_a_tracker_that_is_not_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, package: str
):
    for name in ("mlflow", "sqlalchemy", "alembic"):
        monkeypatch.setitem(sys.modules, name, sys)  # whether they are here or not
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as error:
        run_finetune(config(folder, out=tmp_path / "run", tracker=tracker))
    assert str(error.value) == (
        f"--tracker {tracker}: import of {package} halted; None in sys.modules; pip install 'acnorm[trackers]'."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_cannot_be_begun(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the disk is full.\nand more")

    monkeypatch.setattr("acnorm.training.trackers.TensorBoardLogger", refuse)
    with pytest.raises(UserError) as error:
        run_finetune(config(folder, out=tmp_path / "run", tracker="tensorboard"))
    assert str(error.value) == (
        "--tracker tensorboard: cannot be begun (the disk is full); mend that, or leave it out."
    )
