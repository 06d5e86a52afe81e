"""Reading runs: what is known of each, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from acnorm.core.correlation import EPS, TEMPERATURE
from acnorm.errors import UserError
from acnorm.inspecting.folders import affine_after, affine_before, read_runs
from tiny_runs import NETWORK, weights_of


@pytest.fixture
def copied(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the run with AC-Norm, to be spoilt."""
    return Path(shutil.copytree(runs["near acnorm 0"], tmp_path / "run"))


def test_a_run_is_read_with_its_domain_method_and_source(runs: dict[str, Path]):
    found = read_runs(list(runs.values()), model=NETWORK)
    assert [run.name for run in found] == [path.name for path in runs.values()]
    assert [run.domain for run in found] == ["near"] * 3 + ["far"] * 2
    assert [run.with_acnorm for run in found] == [False, False, True, False, False]
    assert len({run.source for run in found}) == 1
    assert len(found[0].source) == 64
    assert (found[0].temperature, found[0].eps) == (TEMPERATURE, EPS)


@pytest.mark.parametrize("name", ["near vanilla 0", "near acnorm 0"])
def test_the_affine_is_that_of_the_trained_layers_before_folding(runs: dict[str, Path], name: str):
    (run,) = read_runs([runs[name]], model=NETWORK)
    best = weights_of(runs[name], "best")
    for layer, (weight, bias) in affine_after(run).items():
        wrapped = f"{layer}.norm" if "acnorm" in name else layer
        assert torch.equal(weight, best[f"network.{wrapped}.weight"])
        assert torch.equal(bias, best[f"network.{wrapped}.bias"])


def test_the_start_is_known_from_the_record_or_from_acnorm(runs: dict[str, Path], copied: Path):
    (whole,) = read_runs([runs["near acnorm 0"]], model=NETWORK)
    (copied / "affine.safetensors").unlink()
    (bare,) = read_runs([copied], model=NETWORK)
    assert bare.trajectory is None
    assert affine_before(whole).keys() == affine_before(bare).keys() == {"bn1", "bn2"}
    for layer, affine in affine_before(bare).items():
        assert all(torch.equal(one, other) for one, other in zip(affine, affine_before(whole)[layer], strict=True))


def test_domains_can_be_named(runs: dict[str, Path]):
    paths = list(runs.values())[:2]
    assert [run.domain for run in read_runs(paths, ["a", "b"], model=NETWORK)] == ["a", "b"]
    with pytest.raises(
        UserError, match=r"^--domains: has 1 names for 2 runs; give one for each run, in their order\.$"
    ):
        read_runs(paths, ["a"])


def test_runs_of_equal_names_are_told_apart(runs: dict[str, Path], tmp_path: Path):
    other = shutil.copytree(runs["near vanilla 0"], tmp_path / runs["near vanilla 0"].name)
    names = [run.name for run in read_runs([runs["near vanilla 0"], other], model=NETWORK)]
    assert names == [f"{path.parent.name}/{path.name}" for path in (runs["near vanilla 0"], Path(other))]


def test_the_same_run_twice_is_refused(runs: dict[str, Path]):
    path = runs["near vanilla 0"]
    with pytest.raises(UserError, match=r"near-vanilla-0: is given twice; give each run once\.$"):
        read_runs([path, path.parent / "x" / ".." / path.name])


def test_a_network_of_your_own_must_be_named(runs: dict[str, Path]):
    with pytest.raises(
        UserError, match=r"was trained with the network tiny_runs:tiny; to import that code give --model"
    ):
        read_runs([runs["near vanilla 0"]])


def cut(run: Path) -> None:
    (run / "metrics.json").unlink()


def pretrained(run: Path) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({"kind": "pretraining", **content}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (shutil.rmtree, r"is not a run \(no config\.yaml\); give the --out of acnorm finetune"),
        (cut, r"is not a finished run \(no metrics\.json\)"),
        (pretrained, r"run: is a pretraining run; give the --out of acnorm finetune"),
        (
            lambda run: (run / "acnorm.safetensors").write_bytes(b"x"),
            r"acnorm\.safetensors: is damaged \(.+\); run acnorm finetune again",
        ),
        (
            lambda run: (run / "affine.safetensors").write_bytes(b"x"),
            r"affine\.safetensors: is damaged \(.+\); delete it to go without",
        ),
    ],
)
def test_what_is_no_finished_run_is_refused(copied: Path, spoil: Callable[[Path], object], told: str):
    spoil(copied)
    with pytest.raises(UserError, match=told):
        read_runs([copied], model=NETWORK)
