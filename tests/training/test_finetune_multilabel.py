"""Images that may show several classes, from the table to the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.errors import UserError
from acnorm.ranking.rank import rank
from acnorm.report.write import write_report
from acnorm.training.finetune import run_finetune
from acnorm.training.predict import predict
from tiny_runs import NETWORK, config


def lungs(folder: Path, cases: int = 60) -> Path:
    """Images with a bright square in the upper left (mass) and lower right (edema), either, both or none."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    rows = ["image,labels,patient"]
    for at in range(cases):
        pixels = draw.integers(0, 60, (16, 16)).astype(np.uint8)
        shown = []
        if at % 2:
            pixels[2:7, 2:7] += 150
            shown.append("mass")
        if at % 3 == 0:
            pixels[9:14, 9:14] += 150
            shown.append("edema")
        Image.fromarray(pixels).save(folder / f"{at}.png")
        rows.append(f"{at}.png,{'|'.join(shown) or ('No Finding' if at % 4 else '')},P{at // 2}")
    (folder / "lungs.csv").write_text("\n".join(rows) + "\n")
    return folder / "lungs.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multilabel")
    data = lungs(folder / "lungs")
    run_finetune(config(folder, data=str(data), method="vanilla", epochs=2, bootstrap=20))
    return folder / "run"


def test_a_table_of_labels(tmp_path: Path):
    found = read_cases(lungs(tmp_path / "lungs"))
    assert (found.task, found.classes) == ("multilabel", ("edema", "mass"))
    assert [case.labels for case in found.cases[:4]] == [(0,), (1,), (), (0, 1)]
    assert [case.label for case in found.cases[:4]] == [0, 1, 2, 0]  # strata: the rarer class, or none
    assert check(tmp_path / "lungs" / "lungs.csv").counts == {"no split": {"edema": 20, "mass": 30}}


def test_two_classes_that_differ_in_case_alone(tmp_path: Path):
    data = lungs(tmp_path / "lungs")
    data.write_text(data.read_text().replace("3.png,mass", "3.png,Mass", 1))
    with pytest.raises(UserError, match="the labels 'Mass' and 'mass' differ only in case; make them the same"):
        read_cases(data)


def test_an_archive_of_several_labels(tmp_path: Path):
    draw = np.random.default_rng(0)
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    images = draw.integers(0, 255, (4, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "chest.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    found = read_cases(tmp_path / "chest.npz")
    assert (found.task, found.classes) == ("multilabel", ("0", "1", "2"))
    assert [case.labels for case in found.cases[:4]] == [(0, 2), (), (1,), (0, 1, 2)]
    assert found.cases[4].index == 4


def test_figures_are_those_of_the_cases(run: Path):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["task"] == "multilabel"
    table = pd.read_csv(run / "per_case.csv", dtype={"label": str, "prediction": str})
    test = table[table["split"] == "test"]
    truth = np.array([[str(at) in label.split("|") for at in range(2)] for label in test["label"]])
    shares = test[["probability_0", "probability_1"]].to_numpy()
    told = metrics["splits"]["test"]["metrics"]
    assert told["macro_auc"]["value"] == pytest.approx(roc_auc_score(truth, shares, average="macro"))
    assert told["label_accuracy"]["value"] == pytest.approx(((shares >= 0.5) == truth).mean())
    data = json.loads((run / "data.json").read_text())
    assert data["cases"] == {"train": 36, "val": 12, "test": 12}
    assert sum(part["1"] for part in data["counts"].values()) == 30


def test_the_report_shows_classes_one_by_one(run: Path):
    page = write_report(run).read_text()
    for text in (
        "Macro average precision",
        "All classes right",
        "edema",
        "right answers at",
        "Of every case and class",
    ):
        assert text in page
    assert "Confusion matrix" not in page


def test_predictions_name_all_classes(run: Path, tmp_path: Path):
    table = pd.read_csv(
        predict(run, run.parent / "lungs" / "lungs.csv", out=tmp_path / "a.csv", model=NETWORK), keep_default_na=False
    )
    assert set(table["label"]) == {"edema", "mass", "edema|mass", "none"}
    for row in table.itertuples():
        said = [name for name in ("edema", "mass") if getattr(row, f"probability_{name}") >= 0.5]
        assert row.prediction == ("|".join(said) or "none")
    alone = pd.read_csv(predict(run, run.parent / "lungs" / "3.png", out=tmp_path / "b.csv", model=NETWORK))
    assert list(alone.columns) == ["id", "image", "prediction", "probability_edema", "probability_mass"]


def test_what_is_for_one_class_a_case_is_refused(tmp_path: Path):
    data = lungs(tmp_path / "lungs", 20)
    with pytest.raises(UserError, match="--ordinal: is for one grade a case; .*holds several classes a case"):
        run_finetune(config(tmp_path, data=str(data), ordinal=True))
    with pytest.raises(
        UserError, match="--task segmentation: needs label maps; .*holds several classes a case. Give oth"
    ):
        run_finetune(config(tmp_path, data=str(data), task="segmentation"))
    assert not (tmp_path / "run").exists()


def test_a_named_task_and_checkpoints_are_ranked(run: Path, tmp_path: Path):
    data = run.parent / "lungs" / "lungs.csv"
    weights = run / "model" / "model.safetensors"
    run_finetune(config(tmp_path, data=str(data), task="classification", epochs=1, bootstrap=5, weights=str(weights)))
    ranking = rank(data=data, model=NETWORK, weights=weights, probe_seeds=1)
    assert ranking.candidates[0].paper is not None
