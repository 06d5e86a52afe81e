"""Panels of a ranking: one for each measure that has something to show."""

from __future__ import annotations

from acnorm.bench.found_results import Results
from acnorm.report.ranking_figures import against, intervals
from rankings import invented

FOUND = Results("vanilla", "macro_auc", {"zoo/a.pth": 0.6, "zoo/b.pth": 0.8, "zoo/c.pth": 0.7})


def test_a_panel_for_each_measure():
    svg = intervals(invented())
    assert all(f">{name}<" in svg for name in ("knn", "leep", "gbc", "a", "b", "c"))


def test_what_cannot_be_compared_is_not_set_against_results():
    svg = against(invented(), FOUND)
    assert ">knn<" in svg
    assert ">τ -0.36, regret 0.200<" in svg
    assert ">regret 0.100<" in svg  # of two scores there is no τ
    assert ">gbc<" not in svg
    assert ">macro AUC<" in svg
