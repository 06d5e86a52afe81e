"""A run folder is read whole, in part, or refused with one line."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

import run_folders
from acnorm.errors import UserError
from acnorm.report.read import read_run
from acnorm.report.records import Metric

OPTIONAL = (
    "metrics.csv",
    "metrics.json",
    "per_case.csv",
    "data.json",
    "load_report.json",
    "examples.json",
    "acnorm.json",
)


def message(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_run(folder)
    told = str(caught.value)
    assert "\n" not in told
    return told.replace(str(folder), "RUN")


def test_everything_that_was_written_is_read(tmp_path: Path) -> None:
    run = read_run(run_folders.write_run(tmp_path / "run", cases=40))
    assert run.name == "run"
    assert run.classes == run_folders.GRADES
    assert run.config["learning_rate"] == 0.01
    assert run.history is not None
    assert list(run.history["epoch"]) == list(range(1, 13))
    assert run.results is not None
    assert run.results.best_epoch == 9
    assert run.results.splits["test"].patients == 20
    assert run.data is not None
    assert list(run.data.counts) == ["train", "val", "test"]
    assert run.data.counts["test"] == [8] * 5
    assert run.load is not None
    assert run.load.groups["loaded"].count == 114
    assert run.acnorm is not None
    assert run.acnorm.layers[0].name == "bn1"
    tested = run.split_cases("test")
    assert tested is not None
    assert len(tested) == 40
    assert {example.kind for example in run.examples} == {"worst", "best"}
    assert run.examples[0].label in run_folders.GRADES


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_is_no_fault(tmp_path: Path, name: str) -> None:
    run = read_run(run_folders.write_run(tmp_path, cases=10, skip=[name]))
    assert run.classes == run_folders.GRADES


def test_an_empty_table_is_like_a_missing_one(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=10)
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\n")
    assert read_run(tmp_path).history is None


def test_only_a_config_is_a_run_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: eyes.npz\n")
    run = read_run(tmp_path)
    assert run.classes == ()
    assert run.split_cases("test") is None


def test_nested_settings_are_flattened(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"versions": {"torch": "2.13"}, "tags": {}}))
    assert read_run(tmp_path).config == {"versions.torch": "2.13", "tags": {}}


def test_labels_may_be_class_names(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, classes=("no", "yes"), cases=10)
    table = pd.read_csv(tmp_path / "per_case.csv")
    by_number = list(table["label"])
    table.assign(label=[("no", "yes")[label] for label in by_number]).to_csv(tmp_path / "per_case.csv")
    cases = read_run(tmp_path).cases
    assert cases is not None
    assert list(cases["label"]) == by_number


def test_an_undefined_metric_keeps_its_reason(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=10)
    undefined = {"value": None, "low": None, "high": None, "reason": "no case of 'mild'"}
    split = {"cases": 10, "metrics": {"macro_auc": undefined, "brier": {"value": float("nan")}}}
    run_folders.change_json(tmp_path / "metrics.json", splits={"test": split})
    results = read_run(tmp_path).results
    assert results is not None
    assert results.splits["test"].metrics["macro_auc"] == Metric(None, reason="no case of 'mild'")
    assert results.splits["test"].metrics["brier"] == Metric(None)


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path / "nowhere") == "'RUN' is not a folder; give the folder of a run."
    assert message(tmp_path) == "'RUN' is not a run: it has no config.yaml; give the folder of a run."


def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [1,\nb")
    assert re.fullmatch(
        r"'RUN/config.yaml' is not valid YAML \(.+\); give a run whose config can be read\.", message(tmp_path)
    )
    (tmp_path / "config.yaml").write_text("- a\n")
    assert message(tmp_path) == "'RUN/config.yaml' holds no keys; give a run whose config can be read."


REMEDY = "; run it again, or move that file away to leave its section out."
HEAD = "split,id,patient,label,prediction,loss,probability_0,probability_1\n"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("metrics.json", "{", r"is not valid JSON \(Expecting property name .+\)"),
        ("metrics.json", "{}", "lacks 'splits'"),
        ("metrics.json", "[]", r"is not as acnorm writes it \(list indices .+\)"),
        ("data.json", '{"classes": [], "counts": {}}', "lacks 'source'"),
        ("load_report.json", "{}", "lacks 'file'"),
        ("examples.json", "[3]", r"is not as acnorm writes it \(.+\)"),
        ("acnorm.json", "{}", "lacks 'temperature'"),
        ("metrics.csv", "", r"is not a valid CSV table \(No columns to parse from file\)"),
        ("metrics.csv", "loss\n1\n", "lacks the column 'epoch'"),
        ("metrics.csv", "epoch\none\n", r"is not as acnorm writes it \(invalid literal .+\)"),
        ("metrics.csv", "epoch,val_loss\n1,low\n", r"is not as acnorm writes it \(Unable to parse .+\)"),
        ("per_case.csv", "split,id\ntest,1\n", "lacks the column 'label', 'prediction', 'loss', 'probability_0'"),
        ("per_case.csv", HEAD + "test,7,,0,0,.1,.9\n", r"holds a probability that is no number \(case '7'\)"),
        ("per_case.csv", HEAD + "test,7,,0,0,.1,.9,a\n", r"is not as acnorm writes it \(.+\)"),
        ("per_case.csv", HEAD + "test,7,,maybe,0,.1,.9,.1\n", r"is not as acnorm writes it \(.+'maybe'\)"),
        ("per_case.csv", HEAD + "test,7,,0.5,0,.1,.9,.1\n", r"is not as acnorm writes it \(0.5 is no class\)"),
        ("per_case.csv", HEAD + "test,7,,2,0,.1,.9,.1\n", "names class 2 but has 2 probability columns"),
        (
            "per_case.csv",
            HEAD.strip() + ",probability_2\n" + "test,7,,1,0,.1,.9,.1,0\n",
            "has 3 probability columns for 2 classes",
        ),
    ],
)
def test_a_spoilt_file_is_named_with_the_remedy(tmp_path: Path, name: str, text: str, told: str) -> None:
    run_folders.write_run(tmp_path, classes=("no", "yes"), cases=10)
    (tmp_path / name).write_text(text)
    assert re.fullmatch(f"'RUN/{re.escape(name)}' {told}{re.escape(REMEDY)}", message(tmp_path))


def test_a_case_may_be_called_as_what_is_missing_is_elsewhere(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, classes=("no", "yes"), cases=10)
    file = tmp_path / "per_case.csv"
    lines = file.read_text().splitlines()
    split, _, rest = lines[1].split(",", 2)
    file.write_text("\n".join([lines[0], f"{split},NA,{rest}", *lines[2:]]) + "\n")
    assert "NA" in read_run(tmp_path).cases["id"].tolist()
