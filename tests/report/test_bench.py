from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acnorm.bench.store import Store
from acnorm.errors import UserError
from acnorm.report.bench import write_bench_report
from bench_tools import planned

SVG = re.compile(r'<svg role="img" aria-label="([^"]+)"')


def finished(folder: Path, gain: float = 0.05, **changes: object) -> Store:
    store = planned(folder, **{"seeds": (0, 1, 2, 3, 4)} | changes)
    for _, row in store.table().iterrows():
        value = 0.6 + 0.01 * np.sin(row["position"]) + (gain if row["label_method"] == "bn-only" else 0)
        metrics = {"macro_auc": {"value": value}}
        found = {"monitor": "val_macro_auc", "seconds": 10.0, "splits": {"test": {"metrics": metrics}}}
        store.finish(row["address"], found, seconds=12.0, memory=2**30)
    return store


def test_the_report_of_a_comparison(tmp_path: Path):
    store = finished(tmp_path)
    page = write_bench_report(store.folder).read_text()
    assert "10 of 10 runs finished; compared with vanilla." in page
    assert "bn-only was better than vanilla in macro AUC by +0.05" in page
    pictures = SVG.findall(page)
    assert [name.partition(":")[0] for name in pictures] == ["Forest plot", "Cost against gain"]
    assert "1.0 GiB" in page
    assert "Over all" not in page
    assert "Before you believe" not in page
    assert "src=" not in page
    assert "http://www.w3.org" in page  # of the figures alone
    assert not re.search(r'(href|src)="https?:', page)


def test_fractions_are_curves_and_many_sentences_stand_by_their_tables(tmp_path: Path):
    tasks = {"short": {"epochs": 1}, "long": {"epochs": 2}}
    store = finished(tmp_path, tasks=tasks, fractions=(0.25, 0.5, 1.0))
    page = write_bench_report(store.folder).read_text()
    assert [name.partition(":")[0] for name in SVG.findall(page)] == [
        "Forest plot",
        "Learning curves",
        "Cost against gain",
    ]
    lead = page[: page.index('<section id="results"')]
    assert "was better than" not in lead
    assert '<tr><th scope="row">bn-only</th><td class="number">6</td><td class="number">0</td>' in lead
    assert page.count("was better than vanilla in macro AUC") == 6
    assert "<h3>long, 25 % of labels</h3>" in page


def test_what_failed_and_what_is_not_finished_is_told(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1))
    first = store.table()["address"][0]
    for _ in range(2):
        store.fail(first, "the loss is <not> finite", memory=None)
    page = write_bench_report(store.folder).read_text()
    assert "3 of 4 cells are not finished: the figures are of the others." in page
    assert "1 cells failed twice and are left out, with their pairs." in page
    assert "<td>the loss is &lt;not&gt; finite</td>" in page
    assert "No pair of runs has finished yet." in page
    assert not SVG.findall(page)


def test_few_pairs_are_a_caution(tmp_path: Path):
    page = write_bench_report(finished(tmp_path, seeds=(0, 1)).folder).read_text()
    assert "Some comparisons rest on 2 pairs of runs: their intervals are themselves uncertain." in page


def test_tables_for_other_programs(tmp_path: Path):
    store = finished(tmp_path, fractions=(0.5, 1.0))
    write_bench_report(store.folder)
    table = pd.read_csv(store.folder / "results.csv")
    assert len(table) == 20
    assert {"method", "fraction", "seed", "fold", "state", "macro_auc", "training_seconds"} <= set(table.columns)
    assert table["macro_auc"].between(0.5, 0.7).all()
    text = (store.folder / "results.md").read_text()
    assert "### 50 % of labels" in text
    assert re.search(r"\| bn-only \| 5 \| 0\.6\d\d \[0\.\d{3}, 0\.\d{3}\] \| \+0\.0\d\d \[", text)
    assert "| against vanilla | better | open | worse |\n|---|---|---|---|\n| bn-only | 2 | 0 | 0 |" in text
    assert text.count("\n- ") == 3


def test_names_are_text_not_markup(tmp_path: Path):
    store = finished(tmp_path)
    other = store.folder.rename(tmp_path / "<b>bench")
    assert "<h1>&lt;b&gt;bench</h1>" in write_bench_report(other).read_text()


def test_a_folder_without_a_bench(tmp_path: Path):
    with pytest.raises(UserError, match="holds no bench"):
        write_bench_report(tmp_path)
    assert not list(tmp_path.iterdir())
