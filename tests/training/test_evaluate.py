"""Predictions, metrics and examples of a finished run, against their definitions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from acnorm.data.case import Case
from acnorm.data.dataset import CaseDataset
from acnorm.data.preprocessing import Preprocessing
from acnorm.data.tables import read_table
from acnorm.training.evaluate import (
    EXAMPLES,
    Predictions,
    counts_by_class,
    metrics_of,
    predict_cases,
    write_examples,
    write_per_case,
)
from acnorm.training.run_folder import RunFolder
from tiny_runs import TinyNet, spread_norms

CASES = 17


def cases_of(labels: list[int], patients: list[str | None] | None = None) -> tuple[Case, ...]:
    patients = patients or [None] * len(labels)
    pairs = enumerate(zip(labels, patients, strict=True))
    return tuple(Case(f"case {at}", Path("eyes.npz"), label=label, patient=patient) for at, (label, patient) in pairs)


def random_predictions(count: int = CASES, classes: int = 3, patients: bool = False) -> Predictions:
    draw = np.random.default_rng(0)
    labels = [int(label) for label in draw.integers(classes, size=count)]
    names = [f"P{at // 2}" for at in range(count)] if patients else None
    return Predictions(cases_of(labels, names), draw.dirichlet(np.ones(classes), count))


@pytest.fixture
def dataset(tmp_path: Path) -> CaseDataset:
    draw = np.random.default_rng(0)
    for at in range(CASES):
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{at:02}.png")
    cases = [Case(f"{at:02}", tmp_path / f"{at:02}.png", label=at % 3) for at in range(CASES)]
    return CaseDataset(cases, Preprocessing(size=16, channels=3, mean=(0.5,) * 3, deviation=(0.3,) * 3))


def test_predictions_are_the_softmax_in_eval_mode_whatever_the_batches(dataset: CaseDataset):
    network = TinyNet(3, 3, drop=0.5)
    spread_norms(network)
    network.train()
    found = [predict_cases(network, dataset, batch_size=size).probabilities for size in (1, 5, 64)]
    images = torch.stack([dataset[0, at]["image"] for at in range(CASES)])
    with torch.no_grad():
        expected = functional.softmax(network.eval()(images), dim=1).numpy()
    for probabilities in found:
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_losses_are_the_cross_entropy():
    found = random_predictions()
    expected = functional.cross_entropy(
        torch.tensor(found.probabilities).log(), torch.tensor(found.labels), reduction="none"
    )
    np.testing.assert_allclose(found.losses, expected, rtol=1e-12)


def test_a_loss_is_finite_even_where_the_network_is_sure_of_something_else():
    sure = Predictions(cases_of([1, 0]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert np.isfinite(sure.losses).all()
    assert sure.losses[0] > 700
    assert sure.losses[1] == 0


@pytest.mark.parametrize(
    ("patients", "expected", "known"),
    [
        (["a", "a", "b"], ["a", "a", "b"], True),
        (["a", None, "b"], ["case 0", "case 1", "case 2"], False),
        ([None, None, None], ["case 0", "case 1", "case 2"], False),
    ],
)
def test_patients_group_cases_only_where_all_are_known(patients: list[str | None], expected: list[str], known: bool):
    found = Predictions(cases_of([0, 1, 1], patients), np.full((3, 2), 0.5))
    assert found.groups() == (expected, known)
    counted = metrics_of(found, resamples=10, seed=0)
    assert (counted["cases"], counted["patients"]) == (3, 2 if known else None)


def test_metrics_depend_on_the_seed_of_resampling_only_in_their_intervals():
    found = random_predictions(patients=True)
    first, again, other = (metrics_of(found, resamples=50, seed=seed)["metrics"] for seed in (0, 0, 1))
    assert first == again != other
    assert {name: value["value"] for name, value in first.items()} == {
        name: value["value"] for name, value in other.items()
    }


def test_a_metric_that_is_not_defined_says_why_and_is_json():
    found = metrics_of(Predictions(cases_of([1, 1]), np.array([[0.2, 0.8], [0.4, 0.6]])), resamples=10, seed=0)
    reason = "not defined: too few classes among these cases"
    assert found["metrics"]["macro_auc"] == {"value": None, "low": None, "high": None, "reason": reason}
    assert "reason" not in found["metrics"]["accuracy"]
    json.dumps(found, allow_nan=False)


def test_the_table_holds_each_case_of_each_split(tmp_path: Path):
    val, test = random_predictions(5, patients=True), random_predictions(7)
    write_per_case(tmp_path / "per_case.csv", {"val": val, "test": test})
    table = read_table(tmp_path / "per_case.csv", ["split", "id", "patient"])
    assert table["split"].tolist() == ["val"] * 5 + ["test"] * 7
    assert table["id"].tolist() == [case.id for case in (*val.cases, *test.cases)]
    assert table["patient"].tolist() == [case.patient or "" for case in (*val.cases, *test.cases)]
    probabilities = np.concatenate([val.probabilities, test.probabilities])
    names = [f"probability_{at}" for at in range(3)]
    np.testing.assert_array_equal(table[names], probabilities)
    assert (table["prediction"] == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(table["loss"], np.concatenate([val.losses, test.losses]), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, CASES])
def test_examples_are_the_extremes_of_the_loss_and_no_case_is_both(tmp_path: Path, dataset: CaseDataset, count: int):
    few = CaseDataset(dataset.cases[:count], dataset.preprocessing)
    found = Predictions(few.cases, random_predictions(count).probabilities)
    write_examples(RunFolder(tmp_path / "run"), found, few, "abc")
    entries = json.loads((tmp_path / "run/examples.json").read_text())
    each = min(EXAMPLES, count // 2)
    losses = sorted(found.losses)
    assert [entry["loss"] for entry in entries if entry["kind"] == "best"] == losses[:each]
    assert [entry["loss"] for entry in entries if entry["kind"] == "worst"] == losses[::-1][:each]
    assert len({entry["id"] for entry in entries}) == len({entry["image"] for entry in entries}) == 2 * each
    for entry in entries:
        assert entry["probability"] == pytest.approx(math.exp(-entry["loss"]))
        with Image.open(tmp_path / "run" / entry["image"]) as image:
            expected = np.asarray(Image.open(next(c.image for c in few.cases if c.id == entry["id"])))
            np.testing.assert_array_equal(np.asarray(image), expected)


def test_an_example_of_one_channel_is_a_grey_image(tmp_path: Path, dataset: CaseDataset):
    grey = CaseDataset(dataset.cases[:2], Preprocessing(size=16, channels=1, mean=(0.5,), deviation=(0.3,)))
    write_examples(RunFolder(tmp_path), Predictions(grey.cases, np.eye(3)[:2]), grey, "abc")
    with Image.open(tmp_path / "examples/best_00.png") as image:
        assert (image.mode, image.size) == ("L", (16, 16))


def test_every_case_is_counted_in_its_class():
    cases = random_predictions().cases
    counts = counts_by_class(cases, classes=5)
    assert list(counts) == ["0", "1", "2", "3", "4"]
    assert sum(counts.values()) == CASES
    assert counts["4"] == 0
    assert all(counts[str(case.label)] > 0 for case in cases)


def test_a_network_gives_one_row_a_case_on_the_device_of_its_parameters(dataset: CaseDataset):
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([0.0, 1.0, 2.0]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.device == self.logits.device
            return self.logits.expand(len(images), 3)

    found = predict_cases(Constant(), dataset)
    assert found.cases == dataset.cases
    np.testing.assert_allclose(
        found.probabilities, np.tile(np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), (CASES, 1)), rtol=1e-7
    )
