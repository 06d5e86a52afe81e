"""Inspections of real tiny runs as a whole: spaces, layers, differences, and what cannot be said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from acnorm.core.correlation import affine_ratio
from acnorm.errors import UserError
from acnorm.inspecting.inspection import Inspection, inspect_runs
from acnorm.inspecting.spaces import SPACES
from acnorm.training.affine_record import read_trajectory
from tiny_runs import NETWORK


@pytest.fixture(scope="module")
def found(runs: dict[str, Path]) -> Inspection:
    return inspect_runs(list(runs.values()), images=4, permutations=19, model=NETWORK)


def test_every_layer_and_epoch_is_there_for_every_run(found: Inspection, runs: dict[str, Path]):
    assert len(found.movement) == 5 * 2 * 3
    assert set(found.movement["epoch"]) == {0, 1, 2}
    path = runs["near vanilla 1"]
    record = read_trajectory(path / "affine.safetensors")
    ratios = affine_ratio(record.weights["bn2"][2].double(), record.biases["bn2"][2].double())
    ratios -= affine_ratio(record.weights["bn2"][0].double(), record.biases["bn2"][0].double())
    chosen = found.movement.query("run == @path.name and layer == 'bn2' and epoch == 2")
    assert np.isclose(chosen["ratio"].item(), ratios.abs().mean())


def test_domains_are_told_apart_in_every_space(found: Inspection):
    scores = found.separability
    assert set(scores["method"]) == {"vanilla"}
    assert list(dict.fromkeys(scores["space"])) == list(SPACES)
    assert (scores[["runs", "domains", "arrangements"]] == [4, 2, 6]).all(axis=None)
    assert scores["p"].between(1 / 3, 1).all()
    assert len(found.places) == 4 * 5
    assert found.missing == (
        "The domains of the runs with acnorm are not told apart: all runs are of one domain, near.",
    )


def test_channels_are_matched_in_every_layer(found: Inspection):
    assert len(found.alignment) == 5 * 2
    assert found.alignment["matched_is_own"].between(0, 1).all()
    assert (found.alignment["own"] <= found.alignment["matched"] + 1e-12).all()
    assert len(found.partners) == 5
    assert found.partners["p"].between(1 / 20, 1).all()


def test_pairs_differ_in_acnorm_alone(found: Inspection):
    table = found.differences.set_index("quantity")
    assert set(table["domain"]) == {"near"}
    assert (table["pairs"] == 1).all()
    values = found.runs.set_index("run")
    for quantity in ("ratio", "matched", "percentile"):
        expected = values.at["near-acnorm-0", quantity] - values.at["near-vanilla-0", quantity]
        assert np.isclose(table.at[quantity, "difference"], expected)
    assert table["low"].isna().all()


def test_data_and_weights_that_are_gone_are_said_and_the_rest_goes_on(runs: dict[str, Path], tmp_path: Path):
    run = shutil.copytree(runs["near vanilla 0"], tmp_path / "run")
    config = (run / "config.yaml").read_text().replace("near.npz", "gone.npz").replace("weights.pth", "gone.pth")
    (run / "config.yaml").write_text(config)
    (run / "affine.safetensors").unlink()
    found = inspect_runs([run], images=4, model=NETWORK)
    told = [line.replace(str(runs["near vanilla 0"].parent), "") for line in found.missing]
    assert told[0] == "Images of gone are not looked at: /gone.npz: is not there any more."
    assert told[1].startswith("Features of the same images are left out: gone has no images with classes")
    assert told[4].startswith("run: its affine at the start is not known (/gone.pth: ")
    assert told[5].startswith("run: its channels are not matched with the source's: /gone.pth: ")
    assert found.movement.empty
    assert found.alignment.empty
    assert found.to_table().empty
    assert found.to_dict()["runs"][0]["run"] == "run"


def test_tables_are_plain(found: Inspection):
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["differences"][0]["low"] is None
    assert len(content["movement"]) == 30
    long = found.to_table()
    assert list(long) == ["run", "domain", "method", "seed", "layer", "channels", "epoch", "quantity", "value"]
    assert len(long) == 30 * 4 + 10 * (len(found.alignment.columns) - 6)
    assert long["epoch"].isna().sum() == len(long) - 120


@pytest.mark.parametrize(("name", "least"), [("images", 2), ("permutations", 1)])
def test_numbers_out_of_range_are_refused(name: str, least: int):
    with pytest.raises(UserError, match=rf"^--{name} is 0, must be {least} or more\.$"):
        inspect_runs(["run"], **{name: 0})
