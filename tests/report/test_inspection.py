"""The page of an inspection and the numbers beside it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import acnorm
import inspected
from acnorm.errors import UserError
from acnorm.report import inspection
from acnorm.report.inspection import inspect, render, sentences, write_inspection


@pytest.fixture(scope="module")
def page() -> str:
    return render(inspected.inspection(), command="acnorm inspect a b --out o", images=64)


def test_the_page_is_whole_and_loads_nothing(page: str):
    assert page.count("<figure>") == page.count("<svg role") == 4
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_page_says_what_the_tables_hold(page: str):
    assert "<h1>8 runs of eyes, lungs</h1>" in page
    assert "acnorm (4 of 2 domains)" in page
    assert '0.75 <span class="interval">(chance 0.30, p 0.333)</span>' in page
    assert '-0.031 <span class="interval">[-0.200, +0.138]</span>' in page
    assert "correlation of matched channels" in page
    assert "all 6" in page
    assert "acnorm inspect a b --out o" in page
    assert "something &lt;b&gt;is&lt;/b&gt; missing." in page


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures, which take the time."""
    monkeypatch.setattr(inspection, "_pictures", lambda _: dict.fromkeys(("lines", "maps", "places", "alignment")))


def test_of_a_run_without_anything_the_page_says_so():
    text = render(inspected.bare(), command="acnorm inspect only --out o", images=64)
    assert "<svg role" not in text
    for told in (
        "No run says how its affine moved.",
        "Domains are not told apart: it takes two or more domains, each with two or more runs of one method.",
        "No run&#39;s channels could be matched with those of its source.",
        "only: nothing is known.",
    ):
        assert told.replace("&#39;", "'") in text.replace("&#39;", "'")
    assert "With AC-Norm less without" not in text
    assert sentences(inspected.bare()) == []


def test_a_run_known_at_both_ends_is_called_so(undrawn: None):
    found = inspected.inspection()
    text = render(replace(found, runs=found.runs.assign(recorded=0)), command="", images=64)
    assert text.count('<td class="number">start and end</td>') == 8


def test_drawn_permutations_are_called_so(undrawn: None):
    found = inspected.inspection()
    table = found.separability.assign(exact=False, arrangements=10_000)
    assert "10000 drawn" in render(replace(found, separability=table), command="", images=64)


def test_what_was_found_is_said_in_words():
    assert sentences(inspected.inspection()) == [
        "The median ratio moved by 0.30 from start to end.",
        "The nearest other run is of the same domain for a share of 0.75 by affine ratios β / |γ|; 0.75 by affine γ and β; "
        "0.75 by features of the same images; 0.75 by features of each run's own images.",
        "A share of 0.55 of the channels match the source channel of their own place (chance 0.12).",
        "The partner that C picks stands at 0.47 among the other source channels by what they do (0.50 by chance); "
        "in 8 of 8 runs with p < 0.05.",
    ]


def test_small_movements_are_not_rounded_away():
    found = inspected.inspection()
    moved = found.runs.assign(ratio_median=np.linspace(0.0012, 0.034, len(found.runs)))
    assert sentences(replace(found, runs=moved))[0] == "The median ratio moved by 0.0012 to 0.034 from start to end."


def test_the_numbers_are_beside_the_page(tmp_path: Path, undrawn: None):
    found = inspected.inspection()
    write_inspection(found, tmp_path / "new" / "out", command="acnorm inspect a", images=64)
    out = tmp_path / "new" / "out"
    assert {file.name for file in out.iterdir()} == {"inspect.html", "inspect.csv", "inspect.json"}
    content = json.loads((out / "inspect.json").read_text())
    assert content["command"] == "acnorm inspect a"
    assert content["movement"][3] == pytest.approx(found.movement.iloc[3].to_dict())
    long = pd.read_csv(out / "inspect.csv")
    chosen = long.query("run == 'eyes-vanilla-0' and layer == 'bn1' and epoch == 2 and quantity == 'ratio'")
    assert chosen["value"].item() == 0.4


def test_the_command_makes_the_page_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None):
    given: dict[str, object] = {}

    def inspect_runs(runs: list[str], **settings: object) -> object:
        given.update(settings, runs=runs)
        return inspected.inspection()

    monkeypatch.setattr(inspection, "inspect_runs", inspect_runs)
    inspect(["a b", "c"], tmp_path, domains=["x", "y"], images=8, permutations=99, model="m:f")
    assert given == {"runs": ["a b", "c"], "domains": ["x", "y"], "images": 8, "permutations": 99, "model": "m:f"}
    command = f"acnorm inspect 'a b' c --out {tmp_path} --domains x y --images 8 --permutations 99 --model m:f"
    assert json.loads((tmp_path / "inspect.json").read_text())["command"] == command
    acnorm.inspect("a", tmp_path)
    assert json.loads((tmp_path / "inspect.json").read_text())["command"] == f"acnorm inspect a --out {tmp_path}"


def test_a_place_that_cannot_be_written_is_refused_first():
    with pytest.raises(UserError, match=r"/proc/none/inspect\.html: cannot be written"):
        inspect(["nowhere"], "/proc/none")
