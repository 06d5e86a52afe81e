from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from acnorm.bench.store import FILE, Store
from acnorm.errors import UserError
from bench_tools import grid, planned, result, settings_of


def nobody(_: str) -> bool:
    return False


def everybody(_: str) -> bool:
    return True


def test_a_planned_cell_has_its_settings_and_splits(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1), folds=2)
    job = store.claim("me", nobody)
    assert job is not None
    settings = settings_of(job)
    assert settings["out"] == str(job.run) == str(store.run_folder(job.address))
    assert Path(settings["data"]).is_absolute()
    division = json.loads(Path(settings["splits"]).read_text())
    assert division["origin"] == ("made: fold 1 of 2 for validation (test given), stratified, patients whole (seed 0)")
    assert len(list((tmp_path / "bench/splits").iterdir())) == 4  # both methods on the same


def test_every_cell_is_claimed_once(tmp_path: Path):
    store, other = planned(tmp_path, seeds=(0, 1)), Store(tmp_path / "bench")
    jobs = [runner.claim(name, everybody) for runner, name in [(store, "me"), (other, "you")] * 3]
    addresses = [job.address for job in jobs if job is not None]
    assert len(addresses) == len(set(addresses)) == 4
    assert jobs[4] is None
    assert store.counts() == {"waiting": 0, "running": 4, "done": 0, "failed": 0}


def test_the_cell_of_a_dead_runner_is_free_once_its_process_has_ended(tmp_path: Path):
    store = planned(tmp_path)
    first = store.claim("dead", nobody)
    assert first is not None
    store.started(first.address, "orphan")
    assert store.orphaned(lambda name: name == "orphan")
    second = store.claim("me", lambda name: name == "orphan")
    assert second is not None
    assert second.address != first.address
    assert store.claim("me", lambda name: name in ("orphan", "me")) is None
    assert not store.orphaned(lambda name: name == "me")
    again = store.claim("me", lambda name: name == "me")
    assert again is not None
    assert again.address == first.address


def test_a_failed_cell_is_tried_once_more_after_all_others(tmp_path: Path):
    store = planned(tmp_path)
    first = store.claim("me", everybody)
    assert first is not None
    assert not first.again
    assert store.fail(first.address, "it broke", memory=None)
    second, third = store.claim("me", everybody), store.claim("me", everybody)
    assert second is not None
    assert third is not None
    assert third.address == first.address != second.address
    assert third.again
    assert not store.fail(third.address, "it broke again", memory=5)
    assert store.claim("me", everybody) is None
    assert store.counts() == {"waiting": 0, "running": 1, "done": 0, "failed": 1}
    assert store.table()["error"].fillna("").tolist() == ["it broke again", ""]
    assert store.largest_memory() == 5


def test_the_same_command_tries_failed_cells_again_and_keeps_finished_ones(tmp_path: Path):
    store = planned(tmp_path)
    jobs = [store.claim("me", everybody) for _ in range(2)]
    store.finish(jobs[0].address, result(0.8), seconds=3.0, memory=7)
    for _ in range(2):
        store.fail(jobs[1].address, "it broke", memory=None)
    assert store.counts()["failed"] == 1
    store = planned(tmp_path, seeds=(0, 1))
    assert store.counts() == {"waiting": 3, "running": 0, "done": 1, "failed": 0}
    table = store.table()
    assert table["state"].tolist() == ["done", "waiting", "waiting", "waiting"]
    assert table["label_seed"].tolist() == [0, 0, 1, 1]
    assert table.loc[0, "metric_macro_auc"] == 0.8
    assert table.loc[0, ["seconds", "memory", "training_seconds"]].tolist() == [3.0, 7, 10.0]
    assert store.about() == {"compare": "method", "baseline": "vanilla", "metric": None}


def test_cells_of_an_earlier_grid_do_not_count(tmp_path: Path):
    planned(tmp_path, seeds=(0, 1))
    store = planned(tmp_path, seeds=(1,))
    assert sum(store.counts().values()) == 2
    assert store.table()["label_seed"].tolist() == [1, 1]


def test_a_released_cell_is_as_it_was(tmp_path: Path):
    store = planned(tmp_path)
    job = store.claim("me", everybody)
    store.release(job.address)
    again = store.claim("me", everybody)
    assert again == job


def test_places_with_the_same_result_share_a_cell(tmp_path: Path):
    """A setting of AC-Norm is no difference between two plain runs."""
    axes = {"method": ["vanilla", "bn-only"], "acnorm.temperature": [0.5, 1.0]}
    store = planned(tmp_path, axes=axes)
    assert len(store.table()) == 4
    addresses = store.table()["address"]
    assert addresses.nunique() == 2
    job = store.claim("me", everybody)
    store.finish(job.address, result(0.8), seconds=1.0, memory=1)
    assert store.counts()["done"] == 2
    assert len(store.table()) == 4


def test_folders_that_are_no_bench(tmp_path: Path):
    with pytest.raises(UserError) as error:
        Store.existing(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: holds no bench (no bench.sqlite); give the --out of acnorm bench or acnorm compare."
    )
    (tmp_path / "bench.sqlite").write_text("no database, but text that is long enough to be looked at" * 20)
    with pytest.raises(UserError, match=r"--out .*: cannot be used \(file is not a database\); give another folder"):
        Store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*file: cannot be used \(.*\); give another folder"):
        Store(tmp_path / "file")


def test_settings_files_are_those_of_finetune(tmp_path: Path):
    store = planned(tmp_path)
    written = [yaml.safe_load(file.read_text()) for file in sorted((store.folder / "configs").iterdir())]
    assert {settings["method"] for settings in written} == set(grid(tmp_path).axes["method"])


def test_parts_of_a_grid_are_added_one_to_another(tmp_path: Path):
    whole = grid(tmp_path, seeds=(0, 1))
    store = Store(tmp_path / "bench")
    about = {"compare": "method", "baseline": "vanilla"}
    first, second = whole.selected(["seed=0"]).cells(), whole.selected(["seed=1"]).cells()
    store.plan(first, about, keep=lambda _: True)
    for cell in first[:1]:
        store.finish(cell.address, result(0.7), seconds=1.0, memory=1)
    store.plan(second, about, keep=lambda _: True)
    table = store.table()
    assert list(table["label_seed"]) == [0, 1, 1]  # what was not finished is for the command that asked for it
    assert list(table["state"]) == ["done", "waiting", "waiting"]
    store.plan(whole.cells(), about, keep=lambda _: True)
    assert list(store.table()["label_seed"]) == [0, 0, 1, 1]
    store.plan(second, about)
    assert list(store.table()["label_seed"]) == [1, 1]  # without keep these are the grid


def test_what_failed_in_another_part_stays_told(tmp_path: Path):
    whole = grid(tmp_path)
    store = Store(tmp_path / "bench")
    about = {"compare": "method", "baseline": "vanilla"}
    first, second = whole.selected(["method=bn-only"]).cells(), whole.selected(["method=vanilla"]).cells()
    store.plan(first, about, keep=lambda _: True)
    for _ in range(2):
        store.fail(first[0].address, "it broke", memory=None)
    store.plan(second, about, keep=lambda _: True)
    table = store.table()
    assert list(zip(table["label_method"], table["state"], strict=True)) == [
        ("bn-only", "failed"),
        ("vanilla", "waiting"),
    ]
    assert store.counts()["failed"] == 1
    store.plan(first, about, keep=lambda _: True)
    assert store.counts() == {"waiting": 1, "running": 0, "done": 0, "failed": 0}  # tried again by its own command


def test_a_cell_whose_code_has_changed_takes_its_old_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path / "bench")
    cells = grid(tmp_path).cells()
    store.plan(cells, {}, keep=lambda _: True)
    store.finish(cells[0].address, result(0.7), seconds=1.0, memory=1)
    monkeypatch.setattr("acnorm.bench.cells.code_version", lambda: "new")
    store.plan(grid(tmp_path).cells(), {}, keep=lambda _: True)
    assert list(store.table()["state"]) == ["waiting", "waiting"]


def test_where_a_cell_comes_from(tmp_path: Path):
    cells = grid(tmp_path).cells()
    store = Store(tmp_path / "bench")
    store.plan(cells, {})
    row = store.table().iloc[0]
    assert row["data_sha256"] == cells[0].inputs.data
    assert row["splits_sha256"] == cells[0].division.sha256
    assert row["weights_sha256"] is None
    assert row["code"].startswith("acnorm ")


def test_a_bench_of_before_devices_were_told_is_gone_on_with(tmp_path: Path):
    store = planned(tmp_path)
    job = store.claim("me", everybody)
    store.finish(job.address, result(0.8), seconds=3.0, memory=7)
    store.close()
    with closing(sqlite3.connect(tmp_path / "bench" / FILE)) as database:
        database.execute("ALTER TABLE cells DROP COLUMN computed_on")
    store = planned(tmp_path)
    second = store.claim("me", everybody)
    store.finish(second.address, result(0.8) | {"computed_on": "cpu, 32-true"}, seconds=3.0, memory=7)
    assert store.table()["computed_on"].fillna("").tolist() == ["", "cpu, 32-true"]
