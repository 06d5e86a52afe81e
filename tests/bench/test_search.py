"""The search of settings: judged on validation alone, as many trials for all, the same again after an interrupt."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.bench import search as searching
from acnorm.bench.grid import Grid
from acnorm.bench.processes import Outcome
from acnorm.bench.results import results_of
from acnorm.bench.run import run_bench
from acnorm.bench.search import Trial, best_of, given_settings, proposed, space_of, with_settings
from acnorm.bench.store import Job, Store
from acnorm.errors import UserError
from acnorm.report.bench import write_bench_report
from acnorm.training.config import FinetuneConfig
from acnorm.tuning.method import METHODS
from acnorm.tuning.space import Between, OneOf
from bench_tools import FakeProcess, base, fail, settings_of

Value = Callable[[dict[str, Any]], float]
METHODS_COMPARED = ["vanilla", "lrd"]


def config(method: str, **changes: Any) -> FinetuneConfig:
    return FinetuneConfig(data="d", model="m", out="o", method=method, **changes)


def leave(job: Job, val: float | None, test: float, metric: str = "macro_auc", **more: float) -> Outcome:
    """A finished run with figures of both splits."""
    job.run.mkdir(parents=True, exist_ok=True)
    others = {name: {"value": value} for name, value in more.items()}
    figures = (("val", val), ("test", test))
    splits = {name: {"metrics": {metric: {"value": value}, **others}} for name, value in figures}
    (job.run / "metrics.json").write_text(json.dumps({"monitor": f"val_{metric}", "seconds": 10.0, "splits": splits}))
    return Outcome(0, None, "")


def nearness(wanted: dict[str, Any]) -> float:
    """Best where the learning rate is 0.003, and the decay of lrd 0.6."""
    decay = abs(wanted["lrd"]["decay"] - 0.6) if wanted["method"] == "lrd" else 0.0
    return 1 - 0.2 * abs(np.log10(wanted["learning_rate"]) + 2.5) - decay


class Launcher:
    """Cells that end at once; remembers them."""

    def __init__(self, test: Value, val: Value = nearness, stop_after: int | None = None) -> None:
        self.test, self.val, self.stop_after, self.jobs = test, val, stop_after, []

    def __call__(self, job: Job, _: bool) -> FakeProcess:
        if len(self.jobs) == self.stop_after:
            raise KeyboardInterrupt
        self.jobs.append(job)
        wanted = settings_of(job)
        return FakeProcess(lambda: leave(job, self.val(wanted), self.test(wanted)))


def grid(folder: Path, **changes: Any) -> Grid:
    usual = {"base": base(folder), "axes": {"method": METHODS_COMPARED}, "seeds": (0, 1), "search": 4}
    return Grid(**usual | changes)


def searched(folder: Path, launcher: Launcher, name: str = "bench", **changes: Any) -> Store:
    return run_bench(grid(folder, **changes), folder / name, launch=launcher)


def choices(store: Store) -> list[dict[str, Any]]:
    return store.about()["search"]["choices"]


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    base(folder)
    return folder


@pytest.fixture(scope="module")
def done(eyes: Path) -> tuple[Store, Launcher]:
    launcher = Launcher(lambda _: 0.5)
    return searched(eyes, launcher), launcher


def test_every_method_has_as_many_trials_in_every_place(done: tuple[Store, Launcher]):
    store, launcher = done
    tried = Counter((wanted["method"], wanted["seed"]) for wanted in map(settings_of, launcher.jobs))
    assert tried == dict.fromkeys([(method, seed) for method in METHODS_COMPARED for seed in (0, 1)], 4)
    assert {choice["trials"] for choice in choices(store)} == {4}
    assert len({job.address for job in launcher.jobs}) == 16


def test_the_first_trial_has_the_settings_as_given_and_the_others_differ(done: tuple[Store, Launcher]):
    _, launcher = done
    rates = [wanted["learning_rate"] for wanted in map(settings_of, launcher.jobs)]
    assert rates[:4] == [0.001] * 4
    assert 0.001 not in rates[4:]
    assert all(0.0001 <= rate <= 0.01 for rate in rates)


def test_only_the_best_on_validation_is_the_cell_of_its_place(done: tuple[Store, Launcher]):
    store, launcher = done
    table = store.table("val")
    assert len(table) == 4
    assert "label_trial" not in table
    for _, row in table.iterrows():
        own = [
            nearness(wanted)
            for wanted in map(settings_of, launcher.jobs)
            if (wanted["method"], wanted["seed"]) == (row["label_method"], row["label_seed"])
        ]
        assert row["metric_macro_auc"] == max(own)
    assert [choice["value"] for choice in choices(store)] == table["metric_macro_auc"].tolist()


@given(seed=st.integers(0, 2**31))
@settings(max_examples=2, deadline=None)
def test_whatever_the_test_figures_are_the_same_is_tried_and_chosen(
    eyes: Path, done: tuple[Store, Launcher], seed: int, tmp_path_factory: pytest.TempPathFactory
):
    draw = np.random.default_rng(seed)
    launcher = Launcher(lambda _: float(draw.random()))
    store = searched(eyes, launcher, name=tmp_path_factory.mktemp("bench").name)
    assert choices(store) == choices(done[0])
    assert [job.address for job in launcher.jobs] == [job.address for job in done[1].jobs]


def test_no_test_figure_is_asked_of_the_store_before_the_choice(eyes: Path, tmp_path: Path, monkeypatch):
    asked: list[tuple[str, bool]] = []
    table = Store.table

    def noting(store: Store, split: str = "test"):
        asked.append((split, bool(store.about().get("searching"))))
        return table(store, split)

    monkeypatch.setattr(Store, "table", noting)
    store = searched(eyes, Launcher(lambda _: 0.5), name=str(tmp_path / "bench"))
    results_of(store)
    assert {split for split, searching in asked if searching} == {"val"}
    assert asked[-1] == ("test", False)


def test_an_interrupted_search_goes_on_with_the_same_trials(eyes: Path, done: tuple[Store, Launcher], tmp_path: Path):
    first, second = Launcher(lambda _: 0.5, stop_after=9), Launcher(lambda _: 0.5)
    with pytest.raises(KeyboardInterrupt):
        searched(eyes, first, name=str(tmp_path / "bench"))
    store = Store(tmp_path / "bench")
    assert store.about()["searching"]
    assert results_of(store).blocks == ()
    write_bench_report(store.folder)
    page = (store.folder / "report.html").read_text()
    assert "Settings are being searched: 4 trials for every run; nothing is compared before the search is done." in page
    assert not (store.folder / "results.csv").read_text().count("macro_auc,0.5")
    store = searched(eyes, second, name=str(tmp_path / "bench"))
    assert [job.address for job in (*first.jobs, *second.jobs)] == [job.address for job in done[1].jobs]
    assert choices(store) == choices(done[0])


def test_the_same_command_runs_nothing_again_and_more_trials_go_on(eyes: Path, tmp_path: Path):
    first, second, third = (Launcher(lambda _: 0.5) for _ in range(3))
    searched(eyes, first, name=str(tmp_path / "bench"))
    searched(eyes, second, name=str(tmp_path / "bench"))
    assert not second.jobs
    searched(eyes, third, name=str(tmp_path / "bench"), search=6)
    assert len(third.jobs) == 4 * 2


def test_failed_trials_count_and_are_not_chosen(eyes: Path, tmp_path: Path):
    class Failing(Launcher):
        def __call__(self, job: Job, again: bool) -> FakeProcess:
            if settings_of(job)["learning_rate"] == 0.001:
                self.jobs.append(job)
                return FakeProcess(lambda: fail(job))
            return super().__call__(job, again)

    launcher = Failing(lambda _: 0.5)
    store = searched(eyes, launcher, name=str(tmp_path / "bench"), seeds=(0,))
    assert [(choice["trials"], choice["failed"]) for choice in choices(store)] == [(4, 1)] * 2
    assert all(choice["number"] > 0 for choice in choices(store))
    assert store.counts()["done"] == 2
    assert len(launcher.jobs) == 2 * (2 + 3)  # a failed one is tried once more
    write_bench_report(store.folder)
    assert "2 trials failed and count as tried." in (store.folder / "results.md").read_text()


def test_where_all_trials_fail_the_place_has_failed(eyes: Path, tmp_path: Path):
    class Failing(Launcher):
        def __call__(self, job: Job, _: bool) -> FakeProcess:
            return FakeProcess(lambda: fail(job))

    store = searched(eyes, Failing(lambda _: 0.5), name=str(tmp_path / "bench"), seeds=(0,), search=2)
    assert store.counts() == {"waiting": 0, "running": 0, "done": 0, "failed": 2}
    assert [choice["value"] for choice in choices(store)] == [None, None]
    write_bench_report(store.folder)


def test_a_metric_of_which_less_is_better_is_searched_downwards(eyes: Path, tmp_path: Path):
    class Brier(Launcher):
        def __call__(self, job: Job, again: bool) -> FakeProcess:
            process = super().__call__(job, again)

            def work() -> Outcome:
                outcome = leave(job, self.val(settings_of(job)), 0.5)
                file = job.run / "metrics.json"
                file.write_text(file.read_text().replace("macro_auc", "brier"))
                return outcome

            return FakeProcess(work) if process else process

    launcher = Brier(lambda _: 0.5)
    store = searched(eyes, launcher, name=str(tmp_path / "bench"), seeds=(0,), metric="brier")
    for choice in choices(store):
        values = [nearness(w) for w in map(settings_of, launcher.jobs) if w["method"] == choice["labels"]["method"]]
        assert choice["value"] == min(values)


@pytest.mark.parametrize("metric", [None, "macro_auc"])
def test_a_metric_that_one_fold_does_not_have_is_no_mistake(eyes: Path, tmp_path: Path, metric: str | None):
    """Such as a distance where nothing was found: a trial without it counts as tried, and the others are compared."""

    class Gaps(Launcher):
        def __call__(self, job: Job, again: bool) -> FakeProcess:
            process = super().__call__(job, again)
            if settings_of(job)["seed"] == 1 and settings_of(job)["learning_rate"] == 0.001:
                return FakeProcess(lambda: leave(job, None, 0.5, accuracy=0.9))
            return process

    store = searched(eyes, Gaps(lambda _: 0.5), name=str(tmp_path / "bench"), metric=metric)
    missing = [choice["labels"]["seed"] for choice in choices(store) if choice["failed"]]
    assert missing == [1, 1]
    assert {choice["metric"] for choice in choices(store)} == {"macro_auc"}
    assert all(choice["number"] > 0 for choice in choices(store) if choice["labels"]["seed"] == 1)


def test_a_metric_that_no_run_has_is_told(eyes: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"^--metric brier: is not measured here; there are macro_auc\.$"):
        searched(eyes, Launcher(lambda _: 0.5), name=str(tmp_path / "bench"), metric="brier", seeds=(0,))


def test_a_task_without_the_metric_is_judged_by_its_own(eyes: Path, tmp_path: Path):
    class TwoKinds(Launcher):
        def __call__(self, job: Job, again: bool) -> FakeProcess:
            process = super().__call__(job, again)
            if settings_of(job)["image_size"] == 16:
                return FakeProcess(lambda: leave(job, 0.5, 0.5, metric="dice"))
            return process

    tasks = {"classes": {}, "maps": {"image_size": 16}}
    store = searched(
        eyes, TwoKinds(lambda _: 0.5), name=str(tmp_path / "bench"), metric="macro_auc", seeds=(0,), tasks=tasks
    )
    assert {(choice["labels"]["task"], choice["metric"]) for choice in choices(store)} == {
        ("classes", "macro_auc"),
        ("maps", "dice"),
    }


def test_the_report_says_what_was_chosen(done: tuple[Store, Launcher]):
    store, _ = done
    write_bench_report(store.folder)
    text = (store.folder / "results.md").read_text()
    assert "| vanilla | 8 | " in text
    assert "learning rate 0." in text
    assert "lrd.decay 0." in text
    assert "Settings were searched: 4 trials for every method in every fold" in text
    assert "the best by macro AUC on validation cases taken; test figures of the other trials were not read." in text
    page = (store.folder / "report.html").read_text()
    assert "<h2>Settings</h2>" in page
    assert len((store.folder / "search.csv").read_text().splitlines()) == 5


def test_a_grid_without_a_search_in_the_same_folder_forgets_it(eyes: Path, tmp_path: Path):
    searched(eyes, Launcher(lambda _: 0.5), name=str(tmp_path / "bench"), seeds=(0,), search=2)
    store = searched(eyes, Launcher(lambda _: 0.5), name=str(tmp_path / "bench"), seeds=(0,), search=None)
    assert store.about()["search"] is None
    write_bench_report(store.folder)
    assert "searched" not in (store.folder / "results.md").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_every_space_lies_in_what_the_method_allows(method: str):
    for name, found in METHODS[method].space.items():
        ends = found.values if isinstance(found, OneOf) else (found.low, found.high)
        for value in ends:
            changed = with_settings(config(method), {f"{method.replace('-', '_')}.{name}": value})
            assert changed.make_method().problems() == []
    given_there = given_settings(config(method))
    assert with_settings(config(method), given_there) == config(method)
    assert "learning_rate" in given_there


@given(
    seed=st.integers(0, 2**31),
    values=st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=0, max_size=7),
    given_rate=st.floats(1e-5, 10),
)
@settings(max_examples=15, deadline=None)
def test_what_is_proposed_is_repeatable_allowed_and_of_three_digits(seed, values, given_rate):
    run = config("lrd+l2sp", learning_rate=given_rate)
    space, tried = space_of(run), []
    for value in values:
        settings = proposed(space, tried, [seed], maximise=True)
        assert settings == proposed(space, tried, [seed], maximise=True)
        assert settings not in [trial.settings for trial in tried]
        with_settings(run, settings)
        tried.append(Trial(settings, value))
        for name, found in settings.items():
            assert space[name].low <= found <= space[name].high
            assert float(f"{found:.3g}") == found or found in (space[name].low, space[name].high)


def test_settings_as_given_outside_of_the_usual_range_make_it_wider():
    run = with_settings(config("l2sp+last-k"), {"l2sp.alpha": 2.0, "l2sp.beta": 0.0, "last_k.stages": 3})
    space = space_of(run)
    assert space["l2sp.alpha"] == Between(1e-5, 2.0, log=True)
    assert space["l2sp.beta"] == Between(1e-5, 0.1, log=True)  # 0 is on no logarithmic scale
    assert space["last_k.stages"] == OneOf((1, 2, 3))
    assert proposed(space, [Trial(given_settings(run), 0.5)], [0], maximise=True)


def test_the_model_learns_from_the_trials():
    """After some trials, proposals are nearer to the best than draws are."""

    def best(informed: bool) -> float:
        space, tried = space_of(config("vanilla")), []
        for at in range(25):
            settings = proposed(space, tried if informed else tried[:0], [at], maximise=True)
            tried.append(Trial(settings, -abs(np.log10(settings["learning_rate"]) + 2.5)))
        return float(np.mean([trial.value for trial in tried[10:]]))

    assert best(informed=True) > best(informed=False) + 0.1


def test_the_first_of_equals_is_best():
    trials = [Trial({}, None), Trial({}, 0.3), Trial({}, 0.3), Trial({}, 0.1)]
    assert (best_of(trials, maximise=True), best_of(trials, maximise=False)) == (1, 3)
    assert best_of(trials[:1], maximise=True) == 0


def test_without_optuna_one_line_says_how_to_get_it(eyes: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError) as error:
        searched(eyes, Launcher(lambda _: 0.5), name=str(tmp_path / "bench"))
    assert str(error.value) == "--search needs Optuna: pip install 'acnorm[search]' (or optuna)."
    assert not (tmp_path / "bench").exists()


def test_what_cannot_be_searched_is_told(eyes: Path):
    with pytest.raises(UserError, match=r"^grid: search is 1, must be 2 or more trials\.$"):
        grid(eyes, search=1)
    with pytest.raises(UserError, match=r"^grid: a search runs all cells of a grid; leave out --only or search\.$"):
        grid(eyes).selected(["seed=0"])
    axes = {"method": METHODS_COMPARED, "lrd.decay": [0.5, 0.7]}
    with pytest.raises(
        UserError, match=r"^grid: axes: lrd\.decay is searched as well; leave out the axis or search\.$"
    ):
        grid(eyes, axes=axes).cells()
    axes = {"method": ["vanilla", "fast", "slow"]}
    variants = {"fast": {"method": "bss", "learning_rate": 0.3}, "slow": {"method": "bss", "learning_rate": 0.01}}
    with pytest.raises(UserError) as error:
        grid(eyes, axes=axes, variants=variants).cells()
    assert str(error.value) == (
        "grid: method: 'fast' and 'slow' differ in nothing but what is searched; leave one of them out, or search."
    )
    variants["slow"] |= {"method": "acnorm", "acnorm": {"init": "identity"}}
    assert len(grid(eyes, axes=axes, variants=variants, seeds=(0,)).cells()) == 3


def test_cells_that_another_command_runs_are_waited_for(eyes: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(searching, "PAUSE", 0.0)
    store, launcher, calls = Store(tmp_path / "bench"), Launcher(lambda _: 0.5), []

    def run(cells, again: bool) -> None:
        calls.append(again)
        store.plan(cells, {}, again=again)
        while len(calls) % 3 == 0 and (
            job := store.claim("me", lambda _: False)
        ):  # the first two looks find it running
            launcher(job, False).poll()
            store.finish(job.address, json.loads((job.run / "metrics.json").read_text()), seconds=1.0, memory=1)

    cells, found = searching.search(grid(eyes, seeds=(0,)).cells(), 2, None, store, run)
    assert calls == [True, False, False, False, False, False]
    assert len(cells) == len(found) == 2
