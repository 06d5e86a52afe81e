"""The files of a study: they hold what was computed, and the page loads nothing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from acnorm.report.study import markdown, render, write_study
from study_tools import study_of_many, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, tiny()[1])
    yield folder
    shutil.rmtree(folder)


def test_all_files_are_written(folder: Path):
    assert sorted(file.name for file in folder.iterdir()) == [
        "study.csv",
        "study.html",
        "study.md",
        "study_measures.csv",
    ]
    assert len(pd.read_csv(folder / "study.csv")) == 10


def test_markdown_has_a_table_for_each_way_of_fine_tuning(folder: Path):
    text = (folder / "study.md").read_text()
    assert text.startswith(
        "# Which measure would have picked the right checkpoint\n\n4 candidates on 2 targets: left, odd."
    )
    ways = text.split("\n## ")[1:]
    assert [way.partition("\n")[0] for way in ways] == ["Fine-tuned by vanilla", "Fine-tuned by acnorm"]
    for way in ways:
        assert re.search(r"\n\| knn \| 8 of 8 \| [+-]\d\.\d{3} \|", way)
        assert "\n| always d | " in way
        assert "\n| weighted τ (regret) | left | odd |\n" in way
        assert "\n| Spearman of Σ C of one layer | 1 step | 2 epochs |\n" in way
        assert re.search(r"\n\| d \| 0\.7\d\d ± 0\.001 \(2\) \|", way)
    widths = {
        (line.count("|"), at) for at, part in enumerate(text.split("\n\n")) for line in part.splitlines() if "|" in line
    }
    assert len({at for _, at in widths}) == len(widths)  # every table has rows of one width


def test_the_page_stands_alone(folder: Path):
    page = (folder / "study.html").read_text()
    assert page.count('<svg role="img" aria-label="Weighted τ of each measure') == 2
    assert page.count('<svg role="img" aria-label="Regret of each measure and rule') == 2
    assert not re.search(r'(href|src)="https?:', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="#([^"]+)"', page)
    assert set(targets) <= set(ids)
    assert "Before you believe the figures" in page


def test_reasons_and_sentences_of_one_way_stand_at_the_top():
    page = render(study_of_many(), "bench")
    lead = page[: page.index("<section")]
    assert "Of 2 measures good loses least on average" in lead
    assert "mute: none for a on t0: no head" in page
    assert "- mute: none for a on t0: no head" in markdown(study_of_many())
