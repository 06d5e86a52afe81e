"""The words of the first screen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

import run_folders
from acnorm.report import summary
from acnorm.report.read import read_run


def test_the_subject_says_what_was_trained_on_what(tmp_path: Path) -> None:
    run = read_run(run_folders.write_run(tmp_path, cases=20))
    cases = sum(run.data.counts["train"]) if run.data else 0
    assert summary.subject(run) == (
        "cifar/resnet20, started from the checkpoint cifar10_resnet20.th, trained by AC-Norm on retinamnist.npz: "
        f"{cases} training cases in 5 classes."
    )


def test_the_basis_says_over_what_the_intervals_are(tmp_path: Path) -> None:
    assert summary.basis(read_run(run_folders.write_run(tmp_path, cases=20))) == (
        "Test split, 20 cases of 10 patients; 95 % bootstrap intervals over patients; epoch 9 of 12 kept, "
        "chosen by validation macro AUC; trained in 50 s."
    )


def test_validation_stands_in_where_nothing_was_tested(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=20)
    split = {"cases": 20, "metrics": {"macro_auc": {"value": 0.5, "low": 0.4, "high": 0.6}}}
    run_folders.change_json(tmp_path / "metrics.json", splits={"val": split}, monitor="val_loss", seconds=None)
    run = read_run(tmp_path)
    assert [name for name, _ in summary.headline(run)] == ["Macro AUC"]
    assert summary.basis(run).startswith("Validation split, 20 cases; 95 %")
    assert summary.basis(run).endswith("epoch 9 of 12 kept, chosen by validation loss.")
    assert (
        "There is no test split: the figures are those of validation, on which the epoch was chosen."
        in summary.cautions(run)
    )


def test_another_monitor_is_named_as_it_is(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=20)
    run_folders.change_json(tmp_path / "metrics.json", monitor="my_measure", seconds=None)
    assert summary.basis(read_run(tmp_path)).endswith("chosen by my_measure.")


def test_a_sound_run_has_no_cautions(tmp_path: Path) -> None:
    assert summary.cautions(read_run(run_folders.write_run(tmp_path))) == []


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    run = read_run(run_folders.write_run(tmp_path, skip=["metrics.json", "data.json"]))
    assert summary.headline(run) == []
    assert summary.basis(run) == ""
    assert summary.cautions(run) == [
        "There are no results: metrics.json is missing, so the run was interrupted or is still going."
    ]


def test_everything_doubtful_is_said(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, classes=("no", "yes"), cases=12, patients=False)
    split = {"cases": 12, "metrics": {"macro_auc": {"value": None, "reason": "no case of 'yes'"}}}
    run_folders.change_json(tmp_path / "metrics.json", splits={"test": split}, best_epoch=11)
    run_folders.change_json(tmp_path / "load_report.json", parameter_share=0.4, norm_share=0.25)
    run_folders.change_json(tmp_path / "data.json", warnings=["3 images are duplicates."])
    assert summary.cautions(read_run(tmp_path)) == [
        "Patients are unknown: intervals are over cases, and too narrow if patients have several images.",
        "Macro AUC is undefined on the test split: no case of 'yes'.",
        "The last epoch was the best: longer training may give more.",
        "Only 40% of the parameters outside the head came from the checkpoint.",
        "Only 25% of the norm layers came from the checkpoint.",
        "3 images are duplicates.",
        "Few test cases of no (6), yes (6): what is said of each such class is uncertain.",
    ]


def test_cases_without_a_region_and_statistics_that_differ_are_told(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=20)
    split = {
        "cases": 20,
        "patients": 10,
        "metrics": {"dice_tumour": {"value": 0.5}},
        "absent": {"liver": 0, "tumour": 3},
    }
    gap = {"loss_batch": 0.5, "loss_running": 0.9, "batches": 8}
    run_folders.change_json(tmp_path / "metrics.json", splits={"test": split}, statistics_gap=gap)
    told = summary.cautions(read_run(tmp_path))
    assert "tumour is absent from 3 of 20 test cases: Dice there is 1 where nothing was found, else 0." in told
    assert (
        "The loss on training batches is 0.9 with running norm statistics and 0.5 with those of each batch: the network "
        "trains well and answers badly. Try larger batches or patches, or --norm-statistics frozen or reestimated."
    ) in told
    run_folders.change_json(tmp_path / "metrics.json", statistics_gap=gap | {"loss_running": 0.55})
    assert not any("norm statistics" in line for line in summary.cautions(read_run(tmp_path)))


def test_what_means_leave_out_is_told(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=20)
    split = {
        "cases": 20,
        "patients": 10,
        "metrics": {name: {"value": 0.5} for name in ("hd95_LV", "ejection_fraction_error_LV")},
        "undefined": {"hd95_LV": 2, "ejection_fraction_error_LV": 1, "hd95_RV": 20},
    }
    split["metrics"]["hd95_RV"] = {"value": None, "reason": "not defined"}
    run_folders.change_json(tmp_path / "metrics.json", splits={"test": split})
    told = "These test means leave out what they are not defined for, missed regions as well: HD95 LV 2 of 20 cases"
    assert f"{told}, Ejection-fraction error LV 1 of 10 patients." in summary.cautions(read_run(tmp_path))
    run_folders.change_json(tmp_path / "metrics.json", splits={"test": split | {"patients": None}})
    assert f"{told}, Ejection-fraction error LV 1 of the patients." in summary.cautions(read_run(tmp_path))
    observer = {"cases": 9, "metrics": {"hd95_LV": {"value": 0.5}}, "undefined": {"hd95_LV": 3}}
    run_folders.change_json(tmp_path / "metrics.json", splits={"test": split | {"second_observer": observer}})
    assert (
        "The second observer's test means leave out what they are not defined for, missed regions as well: HD95 LV 3 of "
        "9 cases." in summary.cautions(read_run(tmp_path))
    )


def test_a_named_task_begins_with_its_own_metrics(tmp_path: Path) -> None:
    run_folders.write_run(tmp_path, cases=20)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"task": "dr-grading"}))
    assert [name for name, _ in summary.headline(read_run(tmp_path))] == ["Macro AUC", "Accuracy", "Quadratic kappa"]


def test_the_share_of_waiting_is_over_all_epochs(tmp_path: Path) -> None:
    run = read_run(run_folders.write_run(tmp_path, cases=20))
    assert summary.waiting(run) is None
    history = pd.read_csv(tmp_path / "metrics.csv").assign(seconds=10.0, waiting=[1.0] * 11 + [13.0])
    history.to_csv(tmp_path / "metrics.csv", index=False)
    assert summary.waiting(read_run(tmp_path)) == pytest.approx(0.2)
