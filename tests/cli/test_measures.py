"""`acnorm measures`: every measure is listed, with what it needs."""

from __future__ import annotations

import json

import pytest

from acnorm.cli.main import main
from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES, NEEDS

LISTED = {**MEASURES, **LABEL_MAP_MEASURES}


def test_every_measure_is_listed_with_what_it_needs(capsys: pytest.CaptureFixture[str]):
    assert main(["measures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for row, line in zip(LISTED.values(), lines[1:], strict=False):
        assert line.startswith(f"{row.name} ")
        assert f" {row.needs} " in line
        assert line.endswith(row.paper)
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  ")] == list(NEEDS)


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]):
    assert main(["measures", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told] == list(LISTED)
    assert told[2] == {
        "name": "knn",
        "about": MEASURES["knn"].about,
        "paper": MEASURES["knn"].paper,
        "needs": "features",
        "comparable": True,
        "several": True,
    }
