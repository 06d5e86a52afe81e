from __future__ import annotations

from pathlib import Path

import pandas as pd

from acnorm.bench import work
from acnorm.bench.engine import Outcome
from acnorm.bench.foresight import foreseen
from acnorm.bench.grid import Grid
from acnorm.bench.pilot import pilots_for, run_pilots
from acnorm.bench.store import Job, Store
from bench_tools import FakeProcess, base, fail, grid, settings_of, succeed

NOTHING = pd.DataFrame()


def chosen(folder: Path, known: pd.DataFrame = NOTHING, **changes: object) -> list[dict[str, object]]:
    made = grid(folder, **changes)
    return [dict(cell.labels) for cell in pilots_for(made.cells(), known)]


def test_one_for_each_value_that_may_change_the_cost(tmp_path: Path):
    axes = {"method": ["vanilla", "l2sp", "bss"], "batch_size": [8, 16], "learning_rate": [0.1, 0.01]}
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"never read")
    found = chosen(tmp_path, base=base(tmp_path, weights=str(weights)), axes=axes, seeds=(0, 1), fractions=(1.0, 0.5))
    assert [(one["method"], one["batch_size"], one["fraction"]) for one in found] == [
        ("vanilla", 8, 1.0),
        ("l2sp", 8, 1.0),
        ("vanilla", 16, 1.0),
        ("vanilla", 8, 0.5),
        ("bss", 8, 1.0),
    ]
    assert {(one["learning_rate"], one["seed"], one["fold"]) for one in found} == {(0.1, 0, 0)}


def test_none_for_what_is_known(tmp_path: Path):
    cells = grid(tmp_path).cells()
    rows = [
        {"address": one.address, "seconds": 1.0} | {f"label_{k}": v for k, v in one.labels.items()} for one in cells
    ]
    assert chosen(tmp_path, pd.DataFrame(rows)) == []
    assert [one["method"] for one in chosen(tmp_path, pd.DataFrame(rows[:1]))] == ["bn-only"]


def test_a_run_takes_what_its_pilot_took_and_its_further_epochs(tmp_path: Path):
    made = grid(tmp_path, base=base(tmp_path, epochs=5), seeds=(0, 1))
    cells, store = made.cells(), Store(tmp_path / "pilots")

    def launch(job: Job, _: bool) -> FakeProcess:
        return FakeProcess(lambda: Outcome(work.main([str(job.config)]), 2**27, ""))

    found = run_pilots(pilots_for(cells, NOTHING), store, launch, jobs=2)
    assert (len(found.known), found.planned, found.failed) == (2, 2, ())
    pilot = store.table()["seconds"]
    assert (found.known["seconds"] > pilot).all()
    assert (found.known["seconds"] < 5 * pilot).all()
    rows = foreseen(cells, found.known)
    assert rows["seconds"].notna().all()
    assert rows["memory"].tolist() == [2**27] * 4
    assert set(rows["state"]) == {"waiting"}
    assert [settings["epochs"] for settings in map(settings_of, jobs_of(store))] == [1, 1]


def jobs_of(store: Store) -> list[Job]:
    return [
        Job(address, store.config_file(address), store.run_folder(address), store.log_file(address), again=False)
        for address in store.table()["address"]
    ]


def test_methods_of_several_epochs_are_taken_to_cost_what_plain_fine_tuning_does(tmp_path: Path):
    store, asked = Store(tmp_path / "pilots"), list[str]()

    def launch(job: Job, _: bool) -> FakeProcess:
        asked.append(settings_of(job)["method"])
        return FakeProcess(lambda: succeed(job))

    made = grid(tmp_path, base=base(tmp_path, epochs=9, tracker="tensorboard"), axes={"method": ["lp-ft", "bn-only"]})
    run_pilots(pilots_for(made.cells(), NOTHING), store, launch, jobs=1)
    assert asked == ["vanilla", "bn-only"]
    assert all(settings_of(job)["tracker"] is None for job in jobs_of(store))


def test_failed_and_late_pilots_leave_the_others(tmp_path: Path):
    made: Grid = grid(tmp_path, base=base(tmp_path), axes={"method": ["vanilla", "bn-only", "l2"]})

    def launch(job: Job, _: bool) -> FakeProcess:
        never = {"vanilla": lambda: succeed(job), "bn-only": lambda: fail(job, "no memory")}
        method = settings_of(job)["method"]
        return FakeProcess(never.get(method, lambda: Outcome(1, None, "")), looks=10**9 if method == "l2" else 1)

    found = run_pilots(pilots_for(made.cells(), NOTHING), Store(tmp_path / "p"), launch, jobs=3, patience=0.5)
    assert (len(found.known), found.planned, found.failed) == (1, 3, ("no memory",))


def test_an_interrupt_keeps_what_is_known(tmp_path: Path):
    def launch(job: Job, _: bool) -> FakeProcess:
        if settings_of(job)["method"] == "bn-only":
            raise KeyboardInterrupt
        return FakeProcess(lambda: succeed(job))

    found = run_pilots(pilots_for(grid(tmp_path).cells(), NOTHING), Store(tmp_path / "p"), launch, jobs=1)
    assert (len(found.known), found.planned, found.failed) == (1, 2, ())
