from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from acnorm.bench.grid import Grid, read_grid
from acnorm.errors import UserError
from bench_tools import base, grid
from tiny_runs import checkpoint, eyes


def labels(grid: Grid) -> list[dict[str, Any]]:
    return [dict(cell.labels) for cell in grid.cells()]


def test_cells_are_all_with_all_the_first_seed_first(tmp_path: Path):
    made = labels(grid(tmp_path, seeds=(3, 1), folds=2, fractions=(0.5, 1.0)))
    assert len(made) == 2 * 2 * 2 * 2
    assert [cell["seed"] for cell in made] == [3] * 8 + [1] * 8
    assert [cell["fold"] for cell in made[:8]] == [0] * 4 + [1] * 4
    assert made[0] == {"method": "vanilla", "fraction": 0.5, "seed": 3, "fold": 0}


def test_all_methods_of_a_place_share_the_division_and_the_seed(tmp_path: Path):
    cells = grid(tmp_path, seeds=(0, 1), folds=2, fractions=(0.5, 1.0)).cells()
    places: dict[tuple[Any, ...], set[tuple[str, int]]] = {}
    for cell in cells:
        place = tuple(cell.labels[name] for name in ("fraction", "seed", "fold"))
        places.setdefault(place, set()).add((cell.division.sha256, cell.config.seed))
    assert len(places) == 8
    assert all(len(found) == 1 for found in places.values())
    assert len({division for found in places.values() for division, _ in found}) == 8


def test_tasks_and_axes_of_checkpoints(tmp_path: Path):
    checkpoint(tmp_path / "a.pth")
    made = grid(
        tmp_path,
        axes={"weights": [None, str(tmp_path / "a.pth")], "acnorm.temperature": [0.5, 1.0]},
        tasks={"short": {"epochs": 1}, "long": {"epochs": 2}},
        exclude=[{"task": "long", "weights": None}],
    )
    assert (made.compare, made.baseline) == ("weights", None)
    found = [(cell.labels["task"], cell.labels["weights"] is None, cell.config.epochs) for cell in made.cells()]
    assert sorted(set(found)) == [("long", False, 2), ("short", False, 1), ("short", True, 1)]
    assert {cell.config.acnorm.temperature for cell in made.cells()} == {0.5, 1.0}


GRID = """
base: {data: eyes.npz, model: cifar/resnet20, epochs: 3}
axes: {method: [vanilla, acnorm]}
seeds: 2
folds: 3
fractions: [0.5, 1]
baseline: acnorm
"""


def test_a_file_is_a_grid(tmp_path: Path):
    (tmp_path / "g.yaml").write_text(GRID)
    read = read_grid(tmp_path / "g.yaml")
    assert read == Grid(
        base={"data": "eyes.npz", "model": "cifar/resnet20", "epochs": 3},
        axes={"method": ["vanilla", "acnorm"]},
        seeds=(0, 1),
        folds=3,
        fractions=[0.5, 1],
        baseline="acnorm",
        source=str(tmp_path / "g.yaml"),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not YAML (while parsing"),
        ("- a", "must hold base, axes, variants, tasks, folder, exclude, seeds, folds, fractions, compare, baseline, metric, search as `name: value` lines."),
        ("axis: {}\nxyz: 1", "unknown keys: axis (did you mean axes?), xyz; there are base, axes, variants, tasks, folder, exclude, seeds, folds, fractions, compare, baseline, metric, search."),
        ("base: eyes", "base is 'eyes', must be settings by name."),
        ("axes: {method: vanilla}", "axes is {'method': 'vanilla'}, must be lists by name, such as method: [vanilla, acnorm]."),
        ("tasks: {a: b}", "tasks is {'a': 'b'}, must be settings by the name of a task."),
        ("exclude: {method: a}", "exclude is {'method': 'a'}, must be a list of axes with values, such as - {method: bss}."),
        ("seeds: many", "seeds is 'many', must be a number or a list of whole numbers."),
        ("seeds: true", "seeds is True, must be a number or a list of whole numbers."),
        ("folds: 1.5", "folds is 1.5, must be a whole number."),
        ("fractions: 0.5", "fractions is 0.5, must be a list of numbers."),
        ("compare: 3", "compare is 3, must be the name of an axis."),
        ("search: yes", "search is True, must be a whole number of trials."),
        ("axes: {method: [a, b]}\nsearch: 1", "search is 1, must be 2 or more trials."),
        ("metric: [a]", "metric is ['a'], must be the name of a metric."),
        ("base: {epochs: 3}", "compare is '', must be an axis of two or more values; give one in axes."),
        ("axes: {method: [a, b]}\ncompare: seed", "compare is 'seed', must be one of method."),
        ("axes: {method: [a, b]}\nbaseline: c", "baseline is 'c', must be one of method: 'a', 'b'."),
        ("axes: {method: [a, b]}\nseeds: [1, 1]", "seeds is [1, 1], must be different whole numbers, 0 or more."),
        ("axes: {method: [a, b]}\nfolds: 0", "folds is 0, must be 1 or more."),
        ("axes: {method: [a, b]}\nfractions: [0, 1]", "fractions is [0, 1], must be numbers above 0, at most 1."),
        ("axes: {method: []}", "axes: method has no values; give a list."),
        ("axes: {methods: [a, b]}\ncompare: method", "axes: methods is no setting (did you mean method?), and there are no variants for its values."),
        ("axes: {method: [a, b]}\nseeds: 0", "seeds is 0, must be 1 or more."),
        ("axes: {method: [a, b]}\nseeds: 2\nseeds: 3", "seeds is given twice, in lines 2 and 3; leave out one, or give it another name."),
        ("tasks:\n  eyes: {data: a}\n  eyes: {data: b}", "eyes is given twice, in lines 2 and 3; leave out one, or give it another name."),
        ("axes: {method: [a, a]}", "axes: method has a value twice; give each once."),
        ("axes: {seed: [0, 1]}", "axes: seed is set for every run; give seeds."),
        ("base: {splits: s.json}", "base: splits is set for every run; give folds."),
        ("tasks: {x: {out: run}}", "x: out is set for every run; cells lie in --out."),
        ("axes: {method: [a, b]}\ntasks: {x: {method: c}}", "tasks: method of x is an axis as well; leave it out of one of them."),
        ("axes: {task: [a, b]}\ntasks: {x: {}}", "axes: task is what tasks already name; leave it out of one of them."),
        ("axes: {method: [a, b]}\nexclude: [{weights: c}]", "exclude: weights is no axis; there are method."),
        ("axes: {method: [a, b]}\nexclude: [{method: c}]", "exclude: method is never 'c'; it is 'a', 'b'."),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path: Path, content: str, message: str):
    file = tmp_path / "g.yaml"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_grid(file)
    assert str(error.value).startswith(f"{file}: {message}")
    assert "\n" not in str(error.value)


def test_settings_that_cannot_be_name_the_grid_and_the_task(tmp_path: Path):
    with pytest.raises(UserError) as error:
        grid(tmp_path, base=base(tmp_path, epoch=3)).cells()
    assert str(error.value) == "grid: unknown settings: epoch (did you mean epochs?)."
    with pytest.raises(UserError) as error:
        grid(tmp_path, tasks={"short": {"epochs": 0}}).cells()
    assert str(error.value) == "grid: tasks: short: epochs is 0, must be 1 or more."


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("macro_uac", "did you mean macro_auc?"),
        ("dice", "there are macro_auc, accuracy, balanced_accuracy, quadratic_kappa, macro_f1, brier, expected_calibration_error, sensitivity_at_specificity_90."),
    ],
)  # fmt: skip
def test_a_metric_that_no_run_can_be_compared_by_is_told_before_any_is_run(tmp_path: Path, metric: str, hint: str):
    with pytest.raises(UserError) as error:
        grid(tmp_path, metric=metric).cells()
    assert str(error.value) == f"grid: metric is {metric!r}, which no run can be compared by; {hint}"


def test_a_part_need_not_have_the_metric_of_the_grid(tmp_path: Path):
    assert grid(tmp_path, metric="dice").selected(["method=vanilla"]).cells()
    with pytest.raises(UserError, match="which no run can be compared by"):
        grid(tmp_path, metric="dcie").selected(["method=vanilla"]).cells()


def test_a_grid_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="grid: exclude leaves no run; leave some of it out"):
        grid(tmp_path, exclude=[{"method": "vanilla"}, {"method": "bn-only"}]).cells()


def test_a_grid_without_its_baseline_is_refused(tmp_path: Path):
    made = grid(tmp_path, axes={"method": ["vanilla", "bn-only", "l2"]}, exclude=[{"method": "vanilla"}])
    with pytest.raises(UserError) as error:
        made.cells()
    assert str(error.value) == "grid: exclude leaves no run of the baseline 'vanilla'; leave some of it out."
    assert made.selected(["method=l2"]).cells()  # a part may be without


def test_what_a_task_lacks_names_the_task(tmp_path: Path):
    tasks = {"near": {}, "far": {"weights": "far.pth"}}
    with pytest.raises(UserError) as error:
        grid(tmp_path, tasks=tasks).cells()
    assert str(error.value) == (
        "grid: tasks: far: --weights far.pth: no such file; give a checkpoint, or leave it out for random weights."
    )


def test_random_weights_may_be_the_baseline_wherever_they_stand(tmp_path: Path):
    (tmp_path / "g.yaml").write_text("axes: {weights: [a.pth, null]}\ncompare: weights\nbaseline: null\n")
    assert read_grid(tmp_path / "g.yaml").baseline is None
    (tmp_path / "g.yaml").write_text("axes: {weights: [a.pth, null]}\ncompare: weights\n")
    assert read_grid(tmp_path / "g.yaml").baseline == "a.pth"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("axes: {method: [vanilla, bss]}\nfractions: [1.0, 1]", "fractions is [1.0, 1], must be different numbers."),
        ("axes: {3: [vanilla, bss]}", "axes is {3: ['vanilla', 'bss']}, must be lists by name"),
        ("base: {1: 2}", "base is {1: 2}, must be settings by name."),
    ],
)
def test_doubles_and_numbers_for_names_are_told(tmp_path: Path, content: str, message: str):
    (tmp_path / "g.yaml").write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        read_grid(tmp_path / "g.yaml")


IDENTITY = {"method": "acnorm", "acnorm": {"init": "identity"}}


def test_a_variant_is_a_value_with_settings_of_its_own(tmp_path: Path):
    made = grid(
        tmp_path,
        base=base(tmp_path, acnorm={"temperature": 0.5}),
        axes={"method": ["vanilla", "acnorm", "identity"]},
        variants={"identity": IDENTITY},
        exclude=[{"method": "acnorm"}],
    )
    vanilla, identity = made.cells()
    assert (made.baseline, vanilla.labels["method"], identity.labels["method"]) == ("vanilla", "vanilla", "identity")
    assert (identity.config.method, identity.config.acnorm.init) == ("acnorm", "identity")
    assert identity.config.acnorm.temperature == 0.5  # what the variant leaves out stays as it is
    assert vanilla.config.acnorm.init == "paper"


AGAIN = {"method": "acnorm", "acnorm": {"init": "paper"}}


def test_a_variant_without_effect_is_the_same_cell(tmp_path: Path):
    axes = {"method": ["acnorm", "again"], "batch_size": [8, 16]}
    cells = grid(tmp_path, axes=axes, variants={"again": AGAIN}, compare="batch_size").cells()
    addresses = {(cell.labels["method"], cell.labels["batch_size"]): cell.address for cell in cells}
    assert addresses["acnorm", 8] == addresses["again", 8] != addresses["acnorm", 16] == addresses["again", 16]


def test_two_names_of_the_same_runs_are_not_compared(tmp_path: Path):
    axes = {"method": ["acnorm", "again", "vanilla"]}
    with pytest.raises(UserError) as error:
        grid(tmp_path, axes=axes, variants={"again": AGAIN}).cells()
    assert str(error.value) == "grid: method: 'acnorm' and 'again' have the same settings; leave one of them out."


def test_values_that_differ_in_some_places_are_compared(tmp_path: Path):
    axes = {"method": ["vanilla", "acnorm"], "acnorm.temperature": [0.5, 1.0]}
    assert len(grid(tmp_path, axes=axes, compare="acnorm.temperature").cells()) == 4  # plain BatchNorm has none
    tasks = {"one": {}, "other": {"variants": {"again": {"method": "bn-only"}}}}
    axes = {"method": ["acnorm", "again"]}
    assert len(grid(tmp_path, axes=axes, variants={"again": AGAIN}, tasks=tasks).cells()) == 4


@pytest.mark.parametrize("tasks", [{}, {"eyes": {}}])
def test_an_unknown_network_is_told_before_anything_runs(tmp_path: Path, tasks: dict[str, Any]):
    with pytest.raises(UserError) as error:
        grid(tmp_path, base=base(tmp_path, model="cifar/resnet21"), tasks=tasks).cells()
    where = "grid: tasks: eyes: " if tasks else ""
    assert str(error.value).startswith(
        f"{where}--model 'cifar/resnet21' is not known; did you mean cifar/resnet32 or cifar/resnet20 "
    )


def other_eyes(folder: Path) -> str:
    (folder / "other").mkdir()
    return str(eyes(folder / "other" / "eyes.npz", seed=1))


def test_runs_of_other_test_cases_are_no_pairs(tmp_path: Path):
    usual = base(tmp_path)
    files = [usual.pop("data"), other_eyes(tmp_path)]
    axes = {"data": files, "method": ["vanilla", "bn-only"]}
    assert len(grid(tmp_path, base=usual, axes=axes).cells()) == 4  # methods are compared, on each of both
    with pytest.raises(UserError) as error:
        grid(tmp_path, base=usual, axes={"data": files}).cells()
    assert str(error.value) == (
        f"grid: data: '{files[0]}' and '{files[1]}' are tested on different cases, so that their runs are no pairs; "
        "compare something else, and give data as tasks."
    )
    sites = {name: {"data": file} for name, file in zip("ab", files, strict=True)}
    with pytest.raises(UserError, match="grid: site: 'a' and 'b' are tested on different cases"):
        grid(tmp_path, base=usual, axes={"site": ["a", "b"]}, variants=sites).cells()


def test_a_task_counts_once(tmp_path: Path):
    tasks: dict[str, Any] = {"eyes": {}, "small": {"image_size": 16}, "same": {"workers": 2}}
    with pytest.raises(UserError) as error:
        grid(tmp_path, tasks=tasks).cells()
    assert str(error.value) == "grid: tasks: eyes and same have the same runs; leave one of them out."


def test_what_needs_a_checkpoint_is_told_before_anything_runs(tmp_path: Path):
    checkpoint(tmp_path / "a.pth")
    axes = {"weights": [None, str(tmp_path / "a.pth")], "method": ["vanilla", "l2sp"]}
    with pytest.raises(UserError) as error:
        grid(tmp_path, axes=axes, compare="method").cells()
    assert str(error.value) == (
        "grid: l2sp compares with the source, or keeps it, and has no weights; give weights, or exclude "
        "{weights: None, method: l2sp}."
    )
    without = grid(tmp_path, axes=axes, compare="method", exclude=[{"weights": None, "method": "l2sp"}])
    assert len(without.cells()) == 3


def test_a_task_has_a_name(tmp_path: Path):
    with pytest.raises(UserError) as error:
        grid(tmp_path, tasks={"": {}})
    assert str(error.value) == "grid: tasks: one has an empty name; give it a name."


def test_tasks_have_variants_of_their_own(tmp_path: Path):
    checkpoint(tmp_path / "a.pth")
    checkpoint(tmp_path / "b.pth", seed=2)
    made = grid(
        tmp_path,
        axes={"method": ["vanilla", "bn-only"], "source": ["near", "far"]},
        variants={"far": {"weights": None}},
        tasks={
            "one": {"variants": {"near": {"weights": str(tmp_path / "a.pth")}}},
            "two": {
                "variants": {"near": {"weights": str(tmp_path / "b.pth")}, "far": {"weights": str(tmp_path / "a.pth")}}
            },
        },
    )
    found = {(cell.labels["task"], cell.labels["source"]): cell.config.weights for cell in made.cells()}
    assert {place: weights and Path(weights).name for place, weights in found.items()} == {
        ("one", "near"): "a.pth",
        ("one", "far"): None,
        ("two", "near"): "b.pth",
        ("two", "far"): "a.pth",
    }
    assert "variants" not in made.cells()[0].config.to_dict()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("axes: {method: [a, b]}\nvariants: [a]", "variants is ['a'], must be settings by the name of a variant."),
        ("axes: {method: [a, b]}\nvariants: {c: {epochs: 1}}", "variants: c is the value of no axis; give it in axes, or leave it out."),
        ("axes: {method: [a, b]}\nvariants: {b: {seed: 1}}", "b: seed is set for every run; give seeds."),
        ("axes: {method: [a, b]}\ntasks: {x: {variants: {b: {out: d}}}}", "b: out is set for every run; cells lie in --out."),
        ("axes: {method: [a, b]}\ntasks: {x: {fractions: 0.5}}", "tasks is {'x': {'fractions': 0.5}}, must be settings by the name of a task."),
        ("axes: {method: [a, b]}\ntasks: {x: {variants: [b]}}", "tasks is {'x': {'variants': ['b']}}, must be settings by the name of a task."),
        ("axes: {method: [a, b]}\nfolder: 3", "folder is 3, must be a path."),
    ],
)  # fmt: skip
def test_mistakes_in_variants_are_one_line(tmp_path: Path, content: str, message: str):
    (tmp_path / "g.yaml").write_text(content)
    with pytest.raises(UserError) as error:
        read_grid(tmp_path / "g.yaml")
    assert str(error.value) == f"{tmp_path / 'g.yaml'}: {message}"


def test_data_and_weights_are_looked_for_below_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "images").mkdir()
    settings = base(tmp_path / "images", data="eyes.npz", weights="a.pth")
    checkpoint(tmp_path / "images" / "a.pth")
    made = grid(tmp_path, base=settings, folder=str(tmp_path / "images"))
    assert {cell.config.data for cell in made.cells()} == {str(tmp_path / "images/eyes.npz")}
    assert {cell.config.weights for cell in made.cells()} == {str(tmp_path / "images/a.pth")}
    monkeypatch.chdir(tmp_path / "images")
    assert {cell.config.data for cell in made.cells()} == {"eyes.npz"}  # what is there comes first
    with pytest.raises(UserError, match="--weights b.pth: no such file"):
        grid(tmp_path, base=settings | {"weights": "b.pth"}, folder=str(tmp_path / "images")).cells()


def test_a_task_may_have_fractions_of_its_own(tmp_path: Path):
    made = grid(
        tmp_path, tasks={"many": {"epochs": 1, "fractions": [0.5]}, "few": {"epochs": 2}}, fractions=(1.0, 0.75)
    )
    found = [(label["task"], label["fraction"]) for label in labels(made) if label["method"] == "vanilla"]
    assert found == [("many", 0.5), ("few", 1.0), ("few", 0.75)]
    assert len(made.selected(["fraction=0.5"]).cells()) == 2
    trained_on = {list(cell.division.assigned.values()).count("train") for cell in made.cells()}
    assert len(trained_on) == 3


@pytest.mark.parametrize(
    ("fractions", "message"),
    [([2], "is [2], must be numbers above 0, at most 1."), ([0.5, 0.5], "is [0.5, 0.5], must be different numbers.")],
)
def test_wrong_fractions_of_a_task(tmp_path: Path, fractions: list[float], message: str):
    with pytest.raises(UserError) as error:
        grid(tmp_path, tasks={"few": {"fractions": fractions}})
    assert str(error.value) == f"grid: tasks: few: fractions {message}"


def test_a_part_of_a_grid(tmp_path: Path):
    whole = grid(tmp_path, tasks={"short": {"epochs": 1}, "long": {"epochs": 2}}, fractions=(0.5, 1.0))
    all_cells = whole.cells()
    (part,) = whole.selected(["task=long", "method=bn-only", "fraction=1", "seed=0"]).cells()
    assert part.labels == {"task": "long", "method": "bn-only", "fraction": 1.0, "seed": 0, "fold": 0}
    assert [cell.address for cell in all_cells if cell.labels == part.labels] == [part.address]
    parts = [label for task in ("short", "long") for label in labels(whole.selected([f"task={task}"]))]
    assert parts == [dict(cell.labels) for cell in all_cells]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("bn-only", "grid: --only bn-only: must be an axis and its values, such as method=…,…."),
        ("method=", "grid: --only method=: must be an axis and its values, such as method=…,…."),
        ("methods=vanilla", "grid: --only methods=vanilla: methods is no axis (did you mean method?); there are method, fraction, seed, fold."),
        ("method=vanilla,bss", "grid: --only method=vanilla,bss: method is never 'bss'; it is vanilla, bn-only."),
        ("seed=3", "grid: --only seed=3: seed is never '3'; it is 0."),
        ("method=vanilla,", "grid: --only method=vanilla,: a value is empty; leave out a comma."),
    ],
)  # fmt: skip
def test_parts_that_are_none_are_told(tmp_path: Path, given: str, message: str):
    with pytest.raises(UserError) as error:
        grid(tmp_path).selected([given])
    assert str(error.value) == message


def test_a_part_that_is_excluded_is_told(tmp_path: Path):
    made = grid(tmp_path, exclude=[{"method": "vanilla"}]).selected(["method=vanilla"])
    with pytest.raises(UserError, match="grid: --only leaves no run; leave some of it out"):
        made.cells()
