"""`acnorm rank --report`: the page, and flags that are looked through before anything is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.cli.main import main
from study_tools import tiny
from tiny_runs import NETWORK


def flags(*more: str) -> list[str]:
    folder = tiny()[0].parent
    weights = [str(folder / f"{name}.pth") for name in "abcd"]
    return ["rank", "--data", str(folder / "odd.npz"), "--model", NETWORK, "--weights", *weights, *more]


def test_the_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    more = ["--measures", "knn", "--report", str(tmp_path / "rank.html"), "--results", str(tiny()[0])]
    assert main(flags(*more)) == 0
    page = (tmp_path / "rank.html").read_text()
    advice = capsys.readouterr().out.splitlines()[-1]
    assert advice.split(":")[0] in page
    assert "<h3>vanilla, Macro AUC</h3>" in page
    assert "<h3>acnorm, Macro AUC</h3>" in page


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--report", "rank.txt"], "--report rank.txt: must end in .html."),
        (["--results", "r.csv"], "--results: is shown on a page; give --report FILE.html as well."),
        (
            ["--report", "rank.html", "--results", "nowhere"],
            "--results nowhere: no such file or folder; give a folder of acnorm bench or a CSV file.",
        ),
    ],
)
def test_bad_flags_are_told_before_anything_is_scored(
    more: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("acnorm.ranking.rank.rank", lambda **_: pytest.fail("scored"))
    assert main(flags(*more)) == 2
    assert capsys.readouterr().err == f"acnorm: {told}\n"
