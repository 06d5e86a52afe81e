"""Images that networks are tried on: of the right data, and seen by none of the runs in training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from acnorm.errors import UserError
from acnorm.inspecting.folders import read_runs
from acnorm.inspecting.inspection import inspect_runs
from acnorm.inspecting.networks import patches
from acnorm.inspecting.probes import probes_of
from acnorm.training.finetune import run_finetune
from acnorm.training.run_folder import RunFolder
from tiny_runs import NETWORK, checkpoint, config, eyes

CASES = 60
PARTS = ("images", "labels")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With data that have no test set of their own."""
    made = tmp_path_factory.mktemp("divided")
    arrays = np.load(eyes(made / "released.npz", cases=CASES))
    parts = {part: np.concatenate([arrays[f"{split}_{part}"] for split in ("train", "val", "test")]) for part in PARTS}
    np.savez(made / "pool.npz", **{f"train_{part}": values for part, values in parts.items()})
    checkpoint(made / "weights.pth")
    return made


def trained(folder: Path, name: str, **settings: Any) -> Path:
    usual = {"data": folder / "pool.npz", "weights": folder / "weights.pth", "epochs": 1, "bootstrap": 2}
    return run_finetune(config(folder, out=folder / name, **(usual | settings))).path


def division(file: Path, **splits: range) -> Path:
    """A split file: the cases of these places, all others to train."""
    assigned = {f"train_{at:04d}": "train" for at in range(CASES)}
    assigned |= {f"train_{at:04d}": split for split, places in splits.items() for at in places}
    file.write_text(json.dumps({"origin": "by hand", "cases": assigned}))
    return file


@pytest.fixture(scope="module")
def by_seed(folder: Path) -> list[Path]:
    """Three seeds, each with a division of its own."""
    return [trained(folder, f"seed-{seed}", seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def overlapping(folder: Path) -> list[Path]:
    """Two runs whose test sets of twelve have ten cases in common; the second leaves cases out."""
    one = division(folder / "one.json", test=range(12), val=range(20, 32))
    other = division(folder / "other.json", test=range(2, 14), val=range(32, 44), unused=range(50, 60))
    return [trained(folder, file.stem, splits=file) for file in (one, other)]


def splits_of(run: Path) -> dict[str, str]:
    return dict(RunFolder(run).read_json("splits.json")["cases"])


def test_of_one_division_cases_are_the_test_set_evenly_spaced(runs: dict[str, Path]):
    read = read_runs(list(runs.values()), model=NETWORK)
    found, told = probes_of(read, 1000)
    few, _ = probes_of(read, 3)
    assert list(found) == ["near", "far"]
    assert told == []
    for name, whole in found.items():
        splits = splits_of(runs[f"{name} vanilla 0"])
        assert [case.id for case in whole] == sorted(name for name, split in splits.items() if split == "test")
        assert (few[name][0], few[name][-1], len(few[name])) == (whole[0], whole[-1], 3)


def test_a_run_that_was_moved_keeps_its_splits(by_seed: list[Path], tmp_path: Path):
    moved = shutil.copytree(by_seed[1], tmp_path / "moved")
    assert probes_of(read_runs([moved], model=NETWORK), 5) == probes_of(read_runs([by_seed[1]], model=NETWORK), 5)


def test_only_cases_that_are_test_in_all_runs_are_looked_at(overlapping: list[Path]):
    for order in (overlapping, overlapping[::-1]):
        read = read_runs(order, model=NETWORK)
        assert {run.domain for run in read} == {"pool"}
        found, told = probes_of(read, 64)
        assert [case.id for case in found["pool"]] == [f"train_{at:04d}" for at in range(2, 12)]
        assert told == [
            "Images of pool: networks are tried on 10 in the place of 12; the test sets of its 2 runs have no more in "
            "common."
        ]
        assert probes_of(read, 10)[1] == []


def test_runs_of_other_divisions_are_not_tried_on_what_one_was_trained_on(by_seed: list[Path]):
    tested = [{name for name, split in splits_of(run).items() if split == "test"} for run in by_seed]
    common = len(set.intersection(*tested))
    found = inspect_runs(by_seed, permutations=5, model=NETWORK)
    assert common < 8 <= min(map(len, tested))
    assert found.missing[0] == (
        f"Images of pool are not looked at: the test sets of its 3 runs have {common} case{'s' * (common != 1)} in "
        "common, 8 are needed (from others some run learnt or took its epoch); inspect runs of one division (--splits "
        "of acnorm finetune), or of one seed."
    )
    assert found.missing[1].startswith("Features of the same images are left out: pool has no images with classes")
    assert (
        "seed-1: its channels are not matched with the source's: pool has no images with classes that can be looked at."
    ) in found.missing
    assert found.alignment.empty
    assert len(found.movement) == 3 * 2 * 2
    alone = inspect_runs(by_seed[1:2], permutations=5, model=NETWORK)
    assert len(alone.alignment) == 2


def test_one_split_file_makes_seeds_comparable(folder: Path, tmp_path: Path):
    file = tmp_path / "splits.json"
    made = [trained(folder, f"shared-{seed}", seed=seed, splits=file) for seed in range(2)]
    found, told = probes_of(read_runs(made, model=NETWORK), 64)
    assert {case.id for case in found["pool"]} == {name for name, to in splits_of(made[1]).items() if to == "test"}
    assert told == []


@pytest.fixture(scope="module")
def namesakes(folder: Path) -> list[Path]:
    """With and without AC-Norm on two data sets of the same file name."""
    made = []
    for site, domain in (("A", "target"), ("B", "source")):
        (folder / site).mkdir()
        data = eyes(folder / site / "images.npz", cases=20, domain=domain)
        made += [trained(folder, f"{site}-{method}", data=data, method=method) for method in ("vanilla", "acnorm")]
    return made


def test_data_of_the_same_file_name_are_two_domains(namesakes: list[Path]):
    found = inspect_runs(namesakes, images=4, permutations=5, model=NETWORK)
    assert found.runs["domain"].tolist() == ["A/images"] * 2 + ["B/images"] * 2
    assert found.differences.groupby("domain")["pairs"].agg(["min", "max"]).to_dict("index") == {
        "A/images": {"min": 1, "max": 1},
        "B/images": {"min": 1, "max": 1},
    }
    for run in namesakes[1:3]:
        alone = inspect_runs([run], images=4, permutations=5, model=NETWORK).alignment
        together = found.alignment.query("run == @run.name")
        numbers = ["best_is_own", "matched_is_own", "own", "matched"]
        pd.testing.assert_frame_equal(together[numbers].reset_index(drop=True), alone[numbers])


def test_one_name_for_several_data_is_taken_and_each_run_is_tried_on_its_own(namesakes: list[Path]):
    found = inspect_runs(namesakes, domains=["eyes"] * 4, images=4, permutations=5, model=NETWORK)
    apart = inspect_runs(namesakes, images=4, permutations=5, model=NETWORK)
    assert set(found.runs["domain"]) == {"eyes"}
    pd.testing.assert_frame_equal(found.alignment.drop(columns="domain"), apart.alignment.drop(columns="domain"))
    assert (found.differences["pairs"] == 2).all()
    expected = apart.differences.groupby("quantity")["difference"].mean()
    assert np.allclose(found.differences.set_index("quantity")["difference"], expected[found.differences["quantity"]])


def test_a_copy_of_the_data_is_the_same_domain_and_makes_a_pair(namesakes: list[Path], folder: Path, tmp_path: Path):
    copy = shutil.copytree(folder / "A", tmp_path / "copy") / "images.npz"
    other = trained(folder, "copied", data=copy, method="acnorm")
    found = inspect_runs([namesakes[0], other], images=4, permutations=5, model=NETWORK)
    assert found.runs["domain"].tolist() == ["images", "images"]
    assert set(found.differences["pairs"]) == {1}


def test_data_that_changed_since_a_run_are_not_looked_at(folder: Path, tmp_path: Path):
    data = eyes(tmp_path / "eyes.npz", cases=20)
    before = trained(folder, "before", data=data)
    eyes(data, cases=20, seed=1)
    after = trained(folder, "after", data=data)
    read = read_runs([before, after], model=NETWORK)
    assert [run.domain for run in read] == [f"eyes ({run.used.fingerprint[:8]})" for run in read]
    found, told = probes_of(read, 4)
    assert [len(cases) for cases in found.values()] == [0, 4]
    assert told == [
        f"Images of {read[0].domain} are not looked at: {data}: has changed since the run was trained on it."
    ]
    with pytest.raises(UserError, match=r"eyes\.npz: has changed since the run was trained on it$"):
        patches(read[0].config, read[0].folder, 4)


def spoilt(run: Path, to: Path, **about: str) -> Path:
    """A copy of a run that says something else of its data."""
    copy = Path(shutil.copytree(run, to))
    file = copy / "data.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | about))
    return copy


def test_a_run_that_left_cases_out_of_other_data_is_told(overlapping: list[Path], tmp_path: Path):
    other = spoilt(overlapping[1], tmp_path / "other", fingerprint="0" * 64)
    found, told = probes_of(read_runs([overlapping[0], other], model=NETWORK), 4)
    data = overlapping[0].parent / "pool.npz"
    assert found == {"pool": ()}
    assert told == [f"Images of pool are not looked at: {data}: has changed since other was trained on it."]


def test_a_run_that_does_not_say_what_it_tested_is_told(overlapping: list[Path], tmp_path: Path):
    other = spoilt(overlapping[0], tmp_path / "other")
    (other / "splits.json").unlink()
    read = read_runs([overlapping[0], other], model=NETWORK)
    assert probes_of(read, 4)[1] == [
        f"Images of pool are not looked at: {other}/splits.json: is not there, so its test cases are not known; leave the "
        "run out."
    ]
