from __future__ import annotations

import json

import pytest

from acnorm.cli.main import main
from acnorm.tuning.method import METHODS, list_methods


def test_every_method_is_listed_with_its_settings(capsys: pytest.CaptureFixture[str]):
    assert main(["methods"]) == 0
    told = capsys.readouterr().out
    for entry in list_methods():
        assert f"{entry.name}: {entry.about}\n    paper  {entry.paper}\n" in told
    assert "    flags  --lp-ft.share 0.25\n" in told
    assert "    search --lrd.decay 0.5 to 1\n" in told
    assert "    search --acnorm.temperature 0.1 to 10 (log)\n" in told
    assert (
        "acnorm compare --search looks for the settings under search, and for the learning rate of every method."
        in told
    )
    assert "    flags  --l2sp.alpha 0.01 --l2sp.beta 0.01\n" in told


def test_as_json(capsys: pytest.CaptureFixture[str]):
    assert main(["methods", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in found] == list(METHODS)
    assert found[1]["settings"]["temperature"] == 1.0
    assert set(found[0]) == {"name", "about", "paper", "cost", "when", "settings", "search"}
