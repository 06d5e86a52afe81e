"""Rows of a ranking."""

from __future__ import annotations

from acnorm.ranking.tables import notes, number, places, scores
from rankings import invented


def test_places_with_ties_and_without_scores():
    rows = places(invented())
    assert rows[0] == ["candidate", "loaded", "features", "knn", "leep", "gbc", "time"]
    assert rows[1] == ["zoo/a.pth", "100 %", "64", "1=", "1", "-", "2.0 s"]
    assert rows[2] == ["zoo/b.pth", "100 %", "64", "2=", "none", "-", "3.0 s"]
    assert rows[4] == ["random initialisation", "0 %", "64", "", "", "", "0.0 s"]


def test_scores_of_candidates_and_of_random_weights():
    rows = scores(invented())
    assert ["knn", "zoo/b.pth", "0.800", "0.700 to 0.900"] in rows
    assert ["leep", "zoo/b.pth", "none", ""] in rows
    assert ["gbc", "random initialisation, net", "0.500", ""] in rows
    assert len(rows) == 1 + 3 * 4


def test_notes_say_what_is_missing_and_why():
    told = notes(invented())
    assert told[0].endswith("Measured on 120 training cases of 60 patients.")
    assert "gbc: no places, its scores cannot be compared over features of different sizes (32, 64)" in told
    assert "leep: none for zoo/b.pth: no head of its own" in told
    assert told[-1] == "Agreement with knn on the order of candidates (Kendall's τ): gbc -1.00"


def test_small_numbers_keep_their_digits():
    assert (number(1e-5), number(-0.002), number(0.01), number(None)) == ("1.0e-05", "-2.0e-03", "0.010", "")
