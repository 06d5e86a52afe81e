"""`acnorm rank` on the command line: the table, its advice, and JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from acnorm.cli.main import main as acnorm
from acnorm.cli.rank import as_text, main
from acnorm.ranking.rank import Candidate, Ranking, rank
from tiny_runs import NETWORK, checkpoint, eyes


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    eyes(folder / "eyes.npz")
    for at, name in enumerate("ab"):
        checkpoint(folder / f"{name}.pth", seed=at)
    return folder


def flags(zoo: Path, *more: str) -> list[str]:
    weights = [str(zoo / "a.pth"), str(zoo / "b.pth")]
    return ["--data", str(zoo / "eyes.npz"), "--model", NETWORK, "--weights", *weights, "--probe-seeds", "2", *more]


def scored(name: str, paper: float, deviation: float = 0.1) -> Candidate:
    return Candidate(name, paper, deviation, paper / 30, 0.01, seconds=2.04)


def test_the_printed_ranking_is_that_of_python(zoo: Path, capsys: pytest.CaptureFixture[str]):
    weights = [zoo / "a.pth", zoo / "b.pth"]
    ranking = rank(data=zoo / "eyes.npz", model=NETWORK, weights=weights, probe_seeds=2, probe_epochs=1, seed=3)
    assert main(flags(zoo, "--probe-epochs", "1", "--seed", "3", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    without_times = [{**item, "seconds": None} for item in told["candidates"]]
    assert without_times == [{**item, "seconds": None} for item in ranking.to_dict()["candidates"]]
    assert (told["protocol"], told["tied"]) == (ranking.protocol, list(ranking.tied))
    assert main(flags(zoo, "--probe-epochs", "1", "--seed", "3")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [item.weights for item in ranking.candidates]
    assert f"{ranking.candidates[0].paper:.3f} ± {ranking.candidates[0].paper_deviation:.3f}" in lines[1]
    assert lines[3].startswith("Probe: 1 epoch of SGD")


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
    told = rf"acnorm: {zoo}/eyes\.npz: unknown format 'medminst'; allowed are medmnist, table, idrid, drive, nnunet, msd, acdc, lits, luna16, lidc, mmwhs, aptos, eyepacs, chase, stare, hrf, pairs, folder\n"
    assert re.fullmatch(told, capsys.readouterr().err)
    arguments[arguments.index(str(zoo / "b.pth"))] = str(zoo / "nowhere.pth")
    assert acnorm(arguments) == 2
    told = capsys.readouterr()
    assert re.fullmatch(r"acnorm: .*nowhere\.pth: no such file; .*\n", told.err)
    assert told.out == ""


@pytest.mark.parametrize(
    ("candidates", "tied", "advice"),
    [
        ([scored("a", 9), scored("b", 5)], ("a",), "Highest AC-Corr: a. The score is the paper's; how well it foretells the fine-tuned result is not established, so fine-tune the next one too if you can."),
        ([scored("a", 9), scored("b", 8.99), scored("c", 1)], ("a", "b"), "AC-Corr cannot tell a, b apart: fine-tune these and compare."),
        ([scored("a", 9)], ("a",), "One candidate: nothing to compare its score with."),
        ([Candidate("a", refused="untrained")], (), "No candidate has a score."),
    ],
    ids=["one ahead", "tied", "alone", "none"],
)  # fmt: skip
def test_the_advice_says_what_the_scores_allow(candidates: list[Candidate], tied: tuple[str, ...], advice: str):
    assert as_text(Ranking(tuple(candidates), "one optimiser step", tied)).splitlines()[-1] == advice


def test_a_candidate_without_score_is_listed_with_the_reason():
    ranking = Ranking(
        (scored("good.pth", 9), Candidate("fresh.pth", refused="it looks untrained")), "two steps", ("good.pth",)
    )
    lines = as_text(ranking).splitlines()
    assert re.split(r"\s{2,}", lines[1]) == ["good.pth", "100 %", "9.000 ± 0.100", "0.3000 ± 0.0100", "2.0 s"]
    assert lines[2].split() == ["fresh.pth", "no", "score"]
    assert lines[3] == "Probe: two steps; ± is the standard deviation over probe seeds."
    assert lines[4] == "fresh.pth: no score, it looks untrained"
