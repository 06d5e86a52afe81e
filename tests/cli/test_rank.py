"""`acnorm rank` on the command line: the table, its advice, and JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from acnorm.cli.main import main as acnorm
from acnorm.cli.rank import as_text, main
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.ranking.rank import Candidate, Ranking, rank
from acnorm.ranking.result import Score
from tiny_runs import NETWORK, checkpoint, eyes
from volume_files import nifti


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    eyes(folder / "eyes.npz")
    for at, name in enumerate("ab"):
        checkpoint(folder / f"{name}.pth", seed=at)
    return folder


def flags(zoo: Path, *more: str) -> list[str]:
    weights = [str(zoo / "a.pth"), str(zoo / "b.pth")]
    usual = ["--probe-seeds", "2", "--measures", "ac-corr,knn"]
    return ["--data", str(zoo / "eyes.npz"), "--model", NETWORK, "--weights", *weights, *usual, *more]


def scored(name: str, paper: float, deviation: float = 0.1) -> Candidate:
    score = Score(paper, paper - 2 * deviation, paper + 2 * deviation, place=1, tied=True)
    return Candidate(name, paper, deviation, paper / 30, 0.01, seconds=2.04, size=64, scores={"ac-corr": score})


def test_the_printed_ranking_is_that_of_python(zoo: Path, capsys: pytest.CaptureFixture[str]):
    weights = [zoo / "a.pth", zoo / "b.pth"]
    settings = {"measures": ["ac-corr", "knn"], "probe_seeds": 2, "probe_epochs": 1, "seed": 3}
    ranking = rank(data=zoo / "eyes.npz", model=NETWORK, weights=weights, **settings)
    assert main(flags(zoo, "--probe-epochs", "1", "--seed", "3", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert without_times(told) == without_times(json.loads(json.dumps(ranking.to_dict())))
    assert main(flags(zoo, "--probe-epochs", "1", "--seed", "3")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["candidate", "loaded", "features", "ac-corr", "knn", "time"]
    assert [line.split()[0] for line in lines[1:3]] == [item.weights for item in ranking.candidates]
    assert re.split(r"\s{2,}", lines[3])[:3] == ["random initialisation", "0 %", "8"]
    first = ranking.candidates[0]
    assert f"ac-corr  {first.weights}" in lines[6]
    assert f"{first.paper:.3f} ({first.per_channel:.4f} a channel)" in lines[6]
    assert any(line.startswith("Probe: 1 epoch of SGD") for line in lines)
    assert lines[-1] == ranking.advice


def without_times(told: dict) -> dict:
    for item in (*told["candidates"], *told["baselines"]):
        for part in (item, *item["scores"].values()):
            part["seconds"] = None
    return told


def test_other_settings_reach_the_ranking(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def told(*more: str) -> dict:
        assert main(flags(zoo, "--json", *more)) == 0
        return json.loads(capsys.readouterr().out)["candidates"][0]["paper"]

    usual = told()
    assert told("--format", "medmnist", "--minimum-share", "0.5") == usual
    assert told("--image-size", "24") != usual
    assert told("--seed", "5") != usual


def test_bad_input_is_one_line_and_exit_code_2(zoo: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["rank", *flags(zoo)]
    assert acnorm([*arguments, "--format", "medminst"]) == 2
    told = rf"acnorm: {zoo}/eyes\.npz: unknown format 'medminst'; allowed are medmnist, table, idrid, drive, nnunet, msd, acdc, lits, luna16, lidc, lidc-malignancy, mmwhs, aptos, eyepacs, chase, stare, hrf, pairs, folder\n"
    assert re.fullmatch(told, capsys.readouterr().err)
    arguments[arguments.index(str(zoo / "b.pth"))] = str(zoo / "nowhere.pth")
    assert acnorm(arguments) == 2
    told = capsys.readouterr()
    assert re.fullmatch(r"acnorm: .*nowhere\.pth: no such file; .*\n", told.err)
    assert told.out == ""


def test_the_tables_and_what_they_do_not_say():
    """Places, ties, scores with intervals, what cannot be compared, reasons once each, and agreement."""
    knn = [
        Score(0.8, 0.7, 0.9, place=1, tied=True),
        Score(0.79, 0.69, 0.88, place=2, tied=True),
        Score(0.6, 0.5, 0.7, place=3),
    ]
    logme = [Score(-0.001, -0.002, 0.0), Score(-0.5, None, None), Score(reason="the features hold NaN. See there.")]
    names = ("a.pth", "b.pth", "c.pth")
    candidates = tuple(
        Candidate(
            name,
            seconds=2.04,
            size=64,
            loaded=0.95,
            model="tiny",
            scores={"knn": one, "logme": other, "leep": Score(reason="no head")},
        )
        for name, one, other in zip(names, knn, logme, strict=True)
    )
    random = Candidate(
        "random initialisation",
        size=64,
        loaded=0.0,
        model="tiny",
        scores={
            "knn": Score(0.55, 0.5, 0.6),
            "logme": Score(reason="the features hold NaN. See there."),
            "leep": Score(reason="no head"),
        },
    )
    ranking = Ranking(
        candidates,
        "one optimiser step",
        ("a.pth", "b.pth"),
        by="knn",
        baselines=(random,),
        incomparable={"logme": "features of different sizes (8, 64)"},
        agreement={("knn", "leep"): 0.333, ("logme", "leep"): 1.0},
        cases=40,
        patients=31,
        advice="Do this.",
    )
    assert as_text(ranking).splitlines() == [
        "candidate              loaded  features  knn  logme  leep  time",
        "a.pth                  95 %    64        1=   -      none  2.0 s",
        "b.pth                  95 %    64        2=   -      none  2.0 s",
        "c.pth                  95 %    64        3    none   none  2.0 s",
        "random initialisation  0 %     64                          0.0 s",
        "",
        "measure  candidate                    score     95 % interval",
        "knn      a.pth                        0.800     0.700 to 0.900",
        "knn      b.pth                        0.790     0.690 to 0.880",
        "knn      c.pth                        0.600     0.500 to 0.700",
        "knn      random initialisation, tiny  0.550     0.500 to 0.600",
        "logme    a.pth                        -1.0e-03  -2.0e-03 to 0.000",
        "logme    b.pth                        -0.500",
        "logme    c.pth                        none",
        "logme    random initialisation, tiny  none",
        "leep     a.pth                        none",
        "leep     b.pth                        none",
        "leep     c.pth                        none",
        "leep     random initialisation, tiny  none",
        "",
        "Places: 1 is the highest; = cannot be told from it. Measured on 40 training cases of 31 patients.",
        "logme: no places, its scores cannot be compared over features of different sizes (8, 64)",
        "logme: none for c.pth, random initialisation: the features hold NaN",
        "leep: none for a.pth, b.pth, c.pth, random initialisation: no head",
        "Agreement with knn on the order of candidates (Kendall's τ): leep 0.33",
        "Do this.",
    ]


def test_networks_are_told_where_there_are_several():
    ranking = Ranking((scored("a", 9), replace(scored("b", 8), model="other")), "two steps", ("a",))
    lines = as_text(ranking).splitlines()
    assert lines[0].split() == ["candidate", "model", "loaded", "features", "ac-corr", "time"]
    assert "Probe: two steps." in lines
    assert "Intervals of ac-corr are two standard deviations over probe seeds." in lines
    assert re.split(r"\s{2,}", lines[5]) == ["ac-corr", "a", "9.000 (0.3000 a channel)", "8.800 to 9.200"]


def test_a_csv_file_has_a_row_for_each_candidate_and_measure(
    zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(flags(zoo, "--csv", str(tmp_path / "new/scores.csv"), "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    table = pd.read_csv(tmp_path / "new/scores.csv")
    assert len(table) == 3 * 2
    row = table[(table.weights == told["candidates"][0]["weights"]) & (table.measure == "knn")].iloc[0]
    assert row["value"] == pytest.approx(told["candidates"][0]["scores"]["knn"]["value"])
    assert (row["features"], row["model"]) == (8, NETWORK)


def test_a_csv_file_must_be_one_and_can_be_written(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert acnorm(["rank", *flags(zoo, "--csv", str(tmp_path / "scores.txt"))]) == 2
    assert re.fullmatch(r"acnorm: --csv .*scores\.txt: must end in \.csv\.\n", capsys.readouterr().err)
    assert acnorm(["rank", *flags(zoo, "--csv", "/proc/none/scores.csv")]) == 2
    assert re.fullmatch(r"acnorm: /proc/none/scores\.csv: cannot be written .*\n", capsys.readouterr().err)


@pytest.fixture(scope="module")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("hearts")
    segmentation_phantoms(folder / "hearts", task="cardiac", domain="target", cases=6, size=24, seed=0)
    checkpoint(folder / "a.pth", "cifar/resnet20")
    usual = ["--slices", "--patch-size", "16", "--voxels", "10", "--measures", "cc-fv"]
    return ["--data", str(folder / "hearts"), "--model", "cifar/resnet20", "--weights", str(folder / "a.pth"), *usual]


def test_label_maps_are_ranked_by_their_voxels(hearts: list[str], capsys: pytest.CaptureFixture[str]):
    assert main([*hearts, "--stage", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["candidate", "loaded", "features", "cc-fv", "time"]
    assert lines[1].split()[1:4] == ["100", "%", "16"]
    told = r"Features: up to 10 voxels of each class in each of \d+ cases, \d+ in all, in patches of 16 × 16, stage 1 of cifar/resnet20\."
    assert any(re.fullmatch(told, line) for line in lines)
    assert any(re.fullmatch(r"Places: .* Measured on \d+ training cases of \d+ patients\.", line) for line in lines)


def test_settings_of_label_maps_reach_the_ranking(hearts: list[str], capsys: pytest.CaptureFixture[str]):
    def told(*more: str) -> float:
        assert main([*hearts, "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)["candidates"][0]["scores"]["cc-fv"]["value"]

    values = [told(), told("--stage", "1"), told("--voxels", "12"), told("--patch-size", "24")]
    values += [told("--window=0,50"), told("--spacing", "3")]
    assert len(set(values)) == len(values)


def test_settings_that_do_not_fit_label_maps_are_one_line(hearts: list[str], capsys: pytest.CaptureFixture[str]):
    assert acnorm(["rank", *hearts, "--image-size", "32"]) == 2
    told = r"acnorm: --image-size is for images with classes; .*hearts holds label maps: give --patch-size\.\n"
    assert re.fullmatch(told, capsys.readouterr().err)
    assert acnorm(["rank", *hearts, "--spacing", "0"]) == 2
    told = "acnorm: --spacing is '0', must be millimetres above 0, such as 1.5 or 1,1,3, or median.\n"
    assert capsys.readouterr().err == told


def test_features_are_kept_where_asked(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for cached in (False, True):
        assert main(flags(zoo, "--cache", str(tmp_path), "--json")) == 0
        assert all(item["cached"] is cached for item in json.loads(capsys.readouterr().out)["candidates"])


def test_rules_of_loading_are_flags(zoo: Path, capsys: pytest.CaptureFixture[str]):
    assert acnorm(["rank", *flags(zoo, "--stem-rule", "median")]) == 2
    told = "acnorm: --stem-rule is 'median', must be 'sum' or 'mean' or 'repeat' or 'first'.\n"
    assert capsys.readouterr().err == told
    assert main(flags(zoo, "--stem-rule", "mean", "--depth-rule", "centre", "--measures", "knn")) == 0


def test_bad_cases_are_refused_or_left_out_and_told(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Volumes among images, which the reader of the table does not know yet, and a row without file."""
    rows = ["image,label"]
    for at in range(20):
        pixels = np.random.default_rng(at).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{at}.png")
        rows.append(f"{at}.png,{at % 2}")
    nifti(tmp_path / "scan.nii", np.zeros((4, 4, 4)))
    odd = f"{tmp_path}/scan.nii: has 3 axes, most have 2; keep images and volumes in data sets of their own"
    (tmp_path / "eyes.csv").write_text("\n".join([*rows, "scan.nii,0"]))
    arguments = ["rank", *flags(zoo, "--measures", "knn", "--report", str(tmp_path / "page.html"), "--json")]
    arguments[arguments.index(str(zoo / "eyes.npz"))] = str(tmp_path / "eyes.csv")
    assert acnorm(arguments) == 2
    assert capsys.readouterr().err == f"acnorm: {odd}, or give --skip-bad\n"
    (tmp_path / "eyes.csv").write_text("\n".join([*rows, "scan.nii,0", "gone.png,1"]))
    assert acnorm([*arguments, "--skip-bad"]) == 0
    gone = f"{tmp_path}/gone.png: left out: no such file; correct row 23 of eyes.csv; paths count from the folder of the table"
    told = [gone, odd.replace("has 3", "left out: has 3")]
    assert json.loads(capsys.readouterr().out)["warnings"] == told
    assert all(line in (tmp_path / "page.html").read_text() for line in told)


def test_slices_may_be_denied_to_a_task(hearts: list[str], capsys: pytest.CaptureFixture[str]):
    task = ["--task", "cardiac-segmentation"]
    assert acnorm(["rank", *[flag for flag in hearts if flag != "--slices"], *task]) == 0
    assert "in patches of 16 × 16, " in capsys.readouterr().out
    assert acnorm(["rank", *[flag for flag in hearts if flag != "--slices"], *task, "--slices", "false"]) == 2
    assert "--model cifar/resnet20: comes in 2D only" in capsys.readouterr().err
