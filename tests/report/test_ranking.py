"""The page of a ranking."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from acnorm.bench.found_results import Results
from acnorm.report.ranking import agreement_cells, cost_cells, judged_cells, render, write_ranking
from rankings import invented

FOUND = Results("vanilla", "macro_auc", {"zoo/a.pth": 0.6, "zoo/b.pth": 0.8, "zoo/c.pth": 0.7})


def test_the_page_stands_alone_and_says_the_advice(tmp_path: Path):
    file = write_ranking(tmp_path / "new/rank.html", invented(), [FOUND])
    page = file.read_text()
    assert '<p class="lead">By knn we cannot tell zoo/a.pth, zoo/b.pth apart' in page
    assert not re.search(r'(href|src)="https?:', page)
    pictures = re.findall(r'<svg role="img" aria-label="([^"]+)"', page)
    assert [name.partition(" ")[0] for name in pictures] == ["Scores", "Results"]
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert "<h3>vanilla, Macro AUC</h3>" in page
    assert "Written by acnorm" in page
    assert "from 120 training cases." in page


def test_without_results_nothing_is_compared():
    page = render(invented())
    assert "Against fine-tuned results" not in page
    assert 'href="#results"' not in page
    alone = render(replace(invented(), agreement={}))
    assert "Agreement between measures" not in alone


def test_measures_are_judged_by_the_results():
    rows = judged_cells(invented(), FOUND)
    assert rows[1] == ["knn", "3 of 3", "-0.364", "-0.500", "0.200", "no"]
    assert rows[2] == ["leep", "2 of 3", "–", "–", "0.100", "no"]
    assert rows[3] == ["gbc", "0 of 3", "–", "–", "–", "–"]  # its scores cannot be compared
    less = replace(FOUND, metric="hd95")
    assert judged_cells(invented(), less)[1][4:] == ["0.000", "yes"]


def test_agreement_is_symmetric():
    assert agreement_cells(invented()) == [["", "knn", "gbc"], ["knn", "", "-1.00"], ["gbc", "-1.00", ""]]


def test_cost_says_what_was_kept():
    rows = cost_cells(invented())
    assert rows[0] == ["candidate", "whole", "features", "knn", "leep", "gbc"]
    assert rows[2] == ["zoo/b.pth", "3.0", "kept", "0.25", "0.00", "0.25"]
    assert rows[4][:3] == ["random initialisation", "0.0", "computed"]
