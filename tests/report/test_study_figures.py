"""The figures of a study show every measure, and rules among the regrets."""

from __future__ import annotations

from acnorm.report.study_figures import orders, regrets
from study_tools import study_of_many


def test_measures_are_ordered_by_tau_with_those_without_last():
    svg = orders(study_of_many().judgements[0])
    places = [svg.index(f">{name}<") for name in ("good", "wrong", "mute")]
    assert places == sorted(places)


def test_regrets_hold_rules_too_but_nothing_without_a_figure():
    svg = regrets(study_of_many().judgements[0])
    places = [svg.index(f">{name}<") for name in ("good", "best on the other targets", "a random pick", "wrong")]
    assert places == sorted(places)
    assert ">mute<" not in svg
    assert ">largest<" not in svg
    assert "#d55e00" in svg
