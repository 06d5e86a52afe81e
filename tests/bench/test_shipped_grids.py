"""The grids in benchmarks/grids: every cell of them has settings that can be, and there are as many as is said."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from acnorm.bench.cells import Cell, Inputs, read_inputs
from acnorm.bench.grid import Grid, read_grid
from acnorm.data.case import Case, Collection
from acnorm.training.config import FinetuneConfig

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GRIDS = BENCHMARKS / "grids"
COUNTS = {"smoke": 18, "small": 648, "paper": 648, "study": 552, "ablation": 570, "methods": 324, "other_norms": 54}
COUNTS |= {"recipes": 144, "controls": 288}
METHODS = {"vanilla", "linear-probe", "bn-only", "l2sp", "bss", "stochnorm", "acnorm", "acnorm-identity", "acnorm+l2sp"}


def stand_in(config: FinetuneConfig) -> Inputs:
    """Forty cases in the place of the data, whose content is their name."""
    cases = tuple(Case(f"{at:02}", Path(f"{at}.png"), at % 2) for at in range(40))
    collection = Collection(cases, ("healthy", "ill"), Path(config.data), "folder")
    return Inputs(collection, config.data, config.weights, None)


def without_check(settings: dict[str, Any]) -> FinetuneConfig:
    """A configuration of the files alone: to check settings takes a tenth of a second."""
    return FinetuneConfig(**{name: settings[name] for name in ("data", "model", "weights", "out")})


def cells_of(grid: Grid, *, checked: bool = True) -> list[Cell]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acnorm.bench.grid.read_inputs", stand_in)
        if not checked:
            patch.setattr("acnorm.bench.grid.config_from_settings", without_check)
            patch.setattr("acnorm.bench.grid.twins", lambda _: None)  # without their settings all are alike
        return grid.cells()


@pytest.fixture(scope="module")
def small() -> list[Cell]:
    return cells_of(read_grid(GRIDS / "small.yaml"), checked=False)


def test_every_grid_is_counted():
    assert {file.stem for file in GRIDS.iterdir()} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_cells_are_as_many_as_is_said(name: str):
    cells = cells_of(read_grid(GRIDS / f"{name}.yaml"), checked=False)
    assert len(cells) == COUNTS[name]
    assert f"{COUNTS[name]} runs" in (GRIDS / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["smoke", "controls"])
def test_settings_of_no_two_methods_are_the_same(name: str):
    assert len(cells_of(read_grid(GRIDS / f"{name}.yaml"))) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "only"),
    [
        ("smoke", ["seed=0", "method=vanilla"]),
        ("small", ["seed=0", "fraction=1", "source=supervised", "method=acnorm-identity"]),
        ("small", ["seed=0", "fraction=1", "source=self-supervised", "task=nodule-segmentation"]),
        ("paper", ["seed=0", "fraction=1", "source=supervised", "method=acnorm-identity"]),
    ],
)
def test_settings_are_those_that_the_names_say(name: str, only: list[str]):
    cells = cells_of(read_grid(GRIDS / f"{name}.yaml").selected(only))
    for cell in cells:
        config, method = cell.config, cell.labels["method"]
        assert config.method == method.removesuffix("-identity")
        assert config.acnorm.init == ("identity" if method.endswith("-identity") else "paper")
        assert config.task in (cell.labels["task"], None) or name == "smoke"
    assert len({cell.address for cell in cells}) == len(cells)


def test_small_is_every_method_on_every_task_from_both_sources(small: list[Cell]):
    places = Counter((cell.labels["task"], cell.labels["source"], cell.labels["method"]) for cell in small)
    assert len(places) == 6 * 2 * 9
    assert set(places.values()) == {3 * 2}
    assert {method for _, _, method in places} == METHODS
    sources = {(cell.config.model, cell.labels["source"]): cell.config.weights for cell in small}
    assert len(sources) == len(set(sources.values())) == 4


def test_the_sources_of_small_are_in_the_zoo(small: list[Cell]):
    zoo = yaml.safe_load((BENCHMARKS / "zoo.yaml").read_text())
    made = {
        f"runs/zoo/{size}-{name}/model/encoder.safetensors": part["model"]
        for size, part in zoo.items()
        for name in part["checkpoints"]
    }
    assert all(made[cell.config.weights] == cell.config.model for cell in small)


@pytest.mark.parametrize(
    ("only", "count"), [(["seed=0", "method=vanilla,acnorm"], 48), (["task=dr-grading,vessel-segmentation", "source=supervised"], 108)]
)  # fmt: skip
def test_the_parts_that_small_names(only: list[str], count: int):
    assert len(cells_of(read_grid(GRIDS / "small.yaml").selected(only), checked=False)) == count
    text = (GRIDS / "small.yaml").read_text()
    assert " ".join(only) in text


def test_plain_and_acnorm_cells_of_the_controls_are_those_of_small():
    """So that a copy of the folder of ``small`` has them."""
    only = ["method=vanilla,acnorm"]
    small, controls = (cells_of(read_grid(GRIDS / f"{name}.yaml").selected(only)) for name in ("small", "controls"))
    assert [cell.address for cell in controls] == [cell.address for cell in small]


@pytest.mark.real
@pytest.mark.parametrize("name", COUNTS)
def test_their_data_are_read(name: str, real_data: Path):
    """With the real data, but without the checkpoints."""
    grid = replace(read_grid(GRIDS / f"{name}.yaml").selected(["seed=0", "method=vanilla"]), folder=str(real_data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acnorm.bench.grid.read_inputs", lambda config: read_inputs(replace(config, weights=None)))
        cells = grid.cells()
    kinds = {cell.labels["task"]: cell.inputs.collection.task for cell in cells}
    label_maps = {task for task, kind in kinds.items() if kind == "segmentation"}
    assert label_maps == {task for task in kinds if task.endswith("segmentation") or task in ("masks", "heart")}


@pytest.mark.parametrize(
    ("name", "only", "rates"),
    [
        ("study", ["task=retina"], {"vanilla": ("sgd", 0.03), "vanilla-adamw": ("adamw", 0.001)}),
        ("ablation", ["task=nodules"], {"vanilla": ("sgd", 0.03), "acnorm-slow": ("sgd", 0.01), "vanilla-adamw": ("adamw", 0.001)}),
        ("methods", ["task=heart"], {"vanilla": ("sgd", 0.03), "acnorm": ("sgd", 0.03)}),
        ("methods", ["task=nodules"], {"vanilla": ("sgd", 0.01)}),
        ("small", ["task=dr-grading", "fraction=1"], {"vanilla": ("adamw", 0.001)}),
        ("recipes", ["task=retina"], {"vanilla-slow": ("sgd", 0.01), "vanilla-adamw-slow": ("adamw", 0.0003)}),
    ],
)  # fmt: skip
def test_published_runs_stay_by_their_optimiser(name: str, only: list[str], rates: dict[str, tuple[str, float]]):
    grid = read_grid(GRIDS / f"{name}.yaml").selected(["seed=0", f"method={','.join(rates)}", *only])
    assert {
        cell.labels["method"]: (cell.config.optimizer, cell.config.learning_rate) for cell in cells_of(grid)
    } == rates
