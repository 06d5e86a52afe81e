from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from acnorm.bench.store import Store
from acnorm.errors import UserError
from acnorm.report.bench import basis, write_bench_report
from acnorm.report.tables import escape_latex
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
    assert (
        page.count("All intervals are of the runs alone and not of new patients: cases of some run are not on disk")
        == 1
    )
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


def test_what_intervals_are_made_of_where_test_sets_differ():
    def block(task: str, released: bool) -> SimpleNamespace:
        return SimpleNamespace(task=task, released_test=released)

    folds, released = "Test sets{} are folds of the patients", "All runs{} were tested on the test set that came with"
    for tasks, told, untold in (
        ([block("", False)], [folds.format("")], "All runs"),
        ([block("", True)], [released.format("")], "Test sets"),
        (
            [block("a", True), block("b", False), block("a", True)],
            [folds.format(" of b"), released.format(" of a")],
            "??",
        ),
    ):
        sentence = basis(SimpleNamespace(blocks=tasks))
        assert all(part in sentence for part in told)
        assert untold not in sentence


def test_what_failed_and_what_is_not_finished_is_told(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1))
    first = store.table()["address"][0]
    for _ in range(2):
        store.fail(first, "the loss is <not> finite", memory=None)
    page = write_bench_report(store.folder).read_text()
    assert "3 of 4 cells are not finished: the figures are of the others." in page
    assert "1 cell failed twice and is left out, with its pairs." in page
    assert "<td>the loss is &lt;not&gt; finite</td>" in page
    assert "No pair of runs has finished yet." in page
    assert "\n- 1 cell failed twice and is left out, with its pairs.\n" in (store.folder / "results.md").read_text()
    assert not SVG.findall(page)


@pytest.mark.parametrize(("seeds", "told"), [((0,), "1 pair of runs"), ((0, 1), "2 pairs of runs")])
def test_few_pairs_are_a_caution(tmp_path: Path, seeds: tuple[int, ...], told: str):
    page = write_bench_report(finished(tmp_path, seeds=seeds).folder).read_text()
    assert f"Some comparisons rest on {told}: their intervals are themselves uncertain." in page


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
    assert text.count("\n- ") == 4


def test_names_are_text_not_markup(tmp_path: Path):
    store = finished(tmp_path)
    other = store.folder.rename(tmp_path / "<b>bench")
    assert "<h1>&lt;b&gt;bench</h1>" in write_bench_report(other).read_text()


def test_the_markdown_says_what_figures_mean(tmp_path: Path):
    store = planned(tmp_path, tasks={"a": {"epochs": 1}, "b": {"epochs": 2}}, seeds=(0, 1), metric="brier")
    for _, row in store.table().iterrows():
        metrics = {"brier": {"value": 0.2 + 0.01 * row["position"]}}
        found = {"monitor": "val_macro_auc", "seconds": 10.0, "splits": {"test": {"metrics": metrics}}}
        store.finish(row["address"], found, seconds=12.0, memory=2**30)
    write_bench_report(store.folder)
    text, latex = ((store.folder / f"results.{kind}").read_text() for kind in ("md", "tex"))
    paragraphs = text.split("\n\n")
    notes = [after for table, after in pairwise(paragraphs) if table.startswith("| ")]
    assert notes[1] == "Means over runs with 95 % intervals. Less is better."
    assert notes[0].startswith(
        f"{notes[1]} Better / equal / worse: runs that were better, equal and worse than the same"
    )
    assert notes[2].startswith("Tables of results in which it was better or worse beyond chance")
    assert notes[3].startswith("Ranks over 2 of 2 tasks, 1 is best; differences from vanilla")
    assert all(escape_latex(note) in latex for note in notes)


def test_names_break_no_line_of_the_markdown(tmp_path: Path):
    tasks = {"t<2>\nlines": {"epochs": 1}, "[x](y) <b>": {"epochs": 2}}
    variants = {"line\nbreak": {"method": "bn-only"}, "a|*b*": {"method": "l2"}}
    made = planned(tmp_path, tasks=tasks, variants=variants, axes={"method": ["vanilla", *variants]}, seeds=(0, 1))
    write_bench_report(made.folder)
    lines = (made.folder / "results.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == ["### t<2> lines", r"### [x\](y) \<b>"]
    rows = [line for line in lines if line.startswith(("| line break | 0 | ", r"| a\|\*b\* | 0 | "))]
    assert len(rows) == 2 * 3
    assert all(line[:2] in ("", "##", "| ", "|-", "- ") or line.startswith(("Means", "Tables")) for line in lines)
    assert r"- [x\](y) \<b>: Nothing can be concluded about a\|\*b\* and vanilla" in "\n".join(lines)


def test_a_folder_without_a_bench(tmp_path: Path):
    with pytest.raises(UserError, match="holds no bench"):
        write_bench_report(tmp_path)
    assert not list(tmp_path.iterdir())


def several_tasks(folder: Path, count: int = 3) -> Store:
    tasks = {f"eyes_{at}": {"epochs": at + 1} for at in range(count)}
    return finished(folder, tasks=tasks, axes={"method": ["vanilla", "bn-only", "l2"]}, seeds=(0, 1))


def test_tasks_are_compared_by_their_ranks(tmp_path: Path):
    store = several_tasks(tmp_path)
    page = write_bench_report(store.folder).read_text()
    section = page[page.index('<section id="over-tasks"') : page.index('<section id="differences"')]
    assert SVG.findall(section)[0].startswith("Critical-difference diagram")
    assert "Friedman's test over 3 tasks" in section.replace("&#39;", "'")
    assert '<th scope="row">bn-only</th><td class="number">1.00</td>' in section
    assert "p values of Nemenyi" in section
    text = (store.folder / "results.md").read_text()
    assert (
        "### over tasks\n\n| method | mean rank | mean difference | better / equal / worse | p (Wilcoxon) | p (Holm) |"
        in text
    )
    assert re.search(
        r"\| bn-only \| 1\.00 \| \+0\.0\d\d \[\+0\.0\d\d, \+0\.0\d\d\] \| 3 / 0 / 0 \| 0\.250 \| 0\.500 \|", text
    )
    assert (
        "- With 3 tasks and 2 compared with vanilla, the smallest corrected p value that this test can give is 0.5:"
        in text
    )


def test_two_tasks_have_no_diagram(tmp_path: Path):
    page = write_bench_report(several_tasks(tmp_path, 2).folder).read_text()
    assert "Over tasks nothing can be concluded from 2 tasks: it takes 3." in page
    assert "Critical-difference" not in page


def test_tables_for_latex_hold_what_the_markdown_holds(tmp_path: Path):
    folder = several_tasks(tmp_path).folder
    write_bench_report(folder)
    latex, text = ((folder / f"results.{kind}").read_text() for kind in ("tex", "md"))
    assert latex.startswith("% needs: \\usepackage{booktabs}\n\n\\begin{table}")
    assert latex.count("\\begin{table}") == latex.count("\\end{table}") == text.count("\n|---|") > 3
    assert "\\caption{eyes\\_0. Means over runs with 95 \\% intervals." in latex
    rows = [line for line in text.splitlines() if line.startswith("| bn-only")]
    assert len(re.findall(r"^bn-only & ", latex, re.MULTILINE)) == len(rows)


def test_runs_needed_are_in_the_table(tmp_path: Path):
    store = finished(tmp_path, seeds=(0, 1, 2))
    page = write_bench_report(store.folder).read_text()
    head = "| method | runs | Macro AUC | difference | p (Holm) | better / equal / worse | runs needed | seconds |"
    text = (store.folder / "results.md").read_text()
    assert head in text
    assert re.search(r"\| bn-only \| 3 \|.*\| 3 / 0 / 0 \| (\d+|none) \| 10\.0 \|", text)
    assert "to see a difference of 1 % four times in five" in page


def test_each_run_says_what_it_was_made_of(tmp_path: Path):
    store = finished(tmp_path)
    write_bench_report(store.folder)
    table = pd.read_csv(store.folder / "results.csv")
    planned_rows = store.table()
    for name in ("address", "data_sha256", "splits_sha256"):
        assert list(table[name]) == [value[:16] for value in planned_rows[name]]
    assert table["weights_sha256"].isna().all()
    assert (
        table["code"]
        .str.fullmatch(
            r"acnorm \S+ \(\w{12}\) torch \S+ monai \S+ lightning \S+ torchmetrics \S+ numpy \S+ scipy \S+ scikit-learn \S+"
        )
        .all()
    )


def test_code_that_changed_between_runs_is_told(tmp_path: Path):
    store = finished(tmp_path)
    assert "versions of the code" not in write_bench_report(store.folder).read_text()
    with store._change() as database:
        database.execute("UPDATE provenance SET code = 'older' WHERE address = ?", (store.table()["address"][0],))
    page = write_bench_report(store.folder).read_text()
    assert "Runs were made by 2 versions of the code; results.csv tells which." in page


def with_cases(store: Store, missing: int = 0) -> Store:
    """The test cases of all runs but the first ones."""
    for row in store.table().iloc[missing:].itertuples():
        folder = store.run_folder(row.address)
        folder.mkdir(parents=True)
        draw = np.random.default_rng(row.Index)
        cases = pd.DataFrame(
            {"split": "test", "id": [f"{at:02}" for at in range(20)], "patient": "", "prediction": "0"}
        )
        cases = cases.assign(label=[at % 2 for at in range(20)], probability_0=draw.random(20))
        cases.assign(probability_1=1 - cases["probability_0"]).to_csv(folder / "per_case.csv", index=False)
    return store


def test_intervals_without_patients_are_told(tmp_path: Path):
    tasks = {"a": {"epochs": 1}, "b": {"epochs": 2}}
    told = "1 of 2 intervals are of the runs alone and not of new patients"
    page = write_bench_report(with_cases(finished(tmp_path, tasks=tasks), missing=1).folder).read_text()
    assert told in page
    (tmp_path / "whole").mkdir()
    page = write_bench_report(with_cases(finished(tmp_path / "whole", tasks=tasks)).folder).read_text()
    assert "not of new patients" not in page


def test_runs_of_several_devices_are_told(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1))
    for at, address in enumerate(store.table()["address"]):
        metrics = {"macro_auc": {"value": 0.7}}
        found = {"monitor": "val_macro_auc", "seconds": 1.0, "splits": {"test": {"metrics": metrics}}}
        store.finish(
            address, found | {"computed_on": "cpu, 32-true" if at else "cuda, 16-mixed"}, seconds=1.0, memory=1
        )
    page = write_bench_report(store.folder).read_text()
    assert (
        "Runs were computed on several devices or in several precisions (cpu, 32-true; cuda, 16-mixed): see computed_on."
        in page
    )
    table = pd.read_csv(store.folder / "results.csv")
    assert sorted(table["computed_on"]) == ["cpu, 32-true"] * 3 + ["cuda, 16-mixed"]
