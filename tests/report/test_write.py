"""The page: whole, in part, of several runs, inert, and written all at once."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import run_folders
from acnorm.errors import UserError
from acnorm.report.write import write_report

SECTIONS = ("Data", "Checkpoint", "Training", "Results", "Cases", "AC-Norm", "Provenance")
EVIL = "<script>alert('1')</script>"


class Outline(HTMLParser):
    """Tags, ids and headings of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[str] = []
        self._heading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._heading = tag in ("h1", "h2", "h3")
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.loaded.append(str(value))

    def handle_data(self, data: str) -> None:
        if self._heading:
            self.headings.append(data.strip())
            self._heading = False


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report([run_folders.write_run(tmp_path_factory.mktemp("runs") / "first")]).read_text()


def test_the_page_of_one_run_lies_in_its_folder(tmp_path: Path) -> None:
    run = run_folders.write_begun(tmp_path / "run")
    assert write_report([run]) == write_report(str(run)) == run / "report.html"


def test_every_section_is_there(page: str) -> None:
    outline = Outline(page)
    assert set(SECTIONS) <= set(outline.headings)
    assert outline.headings[0] == "first"
    assert "is missing" not in page
    assert page.count("<figure>") == page.count("<figcaption>") == 8
    assert page.count('<svg role="img" aria-label=') == 8


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    outline = Outline(page)
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(outline.tags)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in outline.loaded)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    assert {address[1:] for address in outline.loaded if address.startswith("#")} <= set(outline.ids)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = run_folders.write_run(tmp_path / "run", cases=20, skip=["data.json", "acnorm.json", "per_case.csv"])
    first = write_report([run]).read_bytes()
    assert write_report([run]).read_bytes() == first


def test_names_from_the_run_are_inert(tmp_path: Path) -> None:
    run = run_folders.write_run(tmp_path / "run", classes=(EVIL, "$x$", "c & d"), cases=30, skip=["acnorm.json"])
    table = (run / "per_case.csv").read_text().replace("test-0000", EVIL)
    (run / "per_case.csv").write_text(table)
    run_folders.change_json(run / "data.json", source=EVIL, origin=EVIL, warnings=[EVIL])
    run_folders.change_json(run / "load_report.json", file=EVIL, loaded={"count": 1, "names": [EVIL]})
    example = {"id": EVIL, "label": 0, "prediction": EVIL, "probability": 0.1, "loss": 2, "kind": "worst"}
    run_folders.write_json(run / "examples.json", [example | {"image": "../" + EVIL}])
    with (run / "config.yaml").open("a") as config:
        config.write(f'note: "{EVIL}"\n')
    text = write_report([run]).read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
    assert "no image" in text


def test_what_is_missing_is_said_in_its_section(tmp_path: Path) -> None:
    text = write_report([run_folders.write_begun(tmp_path)]).read_text()
    for name in run_folders.FILES[:-1]:
        assert f"<code>{name}</code> is missing: the run was interrupted before it was written" in text
    assert set(SECTIONS) <= set(Outline(text).headings)


def test_what_is_new_beside_the_checkpoint_is_told(page: str) -> None:
    assert "of its norm layers, its new head aside.</p>" in page
    assert re.search(r"Head<.+> – new, .+<code>head.weight</code>, <code>head.bias</code>", page)


def test_a_run_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("method: vanilla\n")
    text = write_report([tmp_path]).read_text()
    assert "The network started from random weights: no checkpoint was loaded." in text
    assert "AC-Norm" not in Outline(text).headings


def test_probabilities_without_class_names_still_have_figures(tmp_path: Path) -> None:
    run = run_folders.write_run(tmp_path, classes=("no", "yes"), cases=10, skip=["metrics.json", "data.json"])
    assert "class 1: AUC" in write_report([run]).read_text()


def test_without_the_tensors_the_correlation_is_said_to_be_missing(tmp_path: Path) -> None:
    others = [name for name in run_folders.FILES if name != "acnorm.json"]
    text = write_report([run_folders.write_run(tmp_path, cases=10, skip=others)]).read_text()
    assert "<code>acnorm.safetensors</code> is missing" in text


def test_classes_without_cases_are_named_under_the_curves(tmp_path: Path) -> None:
    run = run_folders.write_run(tmp_path, cases=3, skip=["metrics.csv", "data.json", "acnorm.json"])
    assert "No curve for severe, proliferative: no such case." in write_report([run]).read_text()


def test_metrics_that_are_all_undefined_have_a_reason_and_no_figure(tmp_path: Path) -> None:
    others = [name for name in run_folders.FILES if name != "metrics.json"]
    run = run_folders.write_run(tmp_path, cases=10, skip=others)
    undefined = {"cases": 10, "metrics": {"macro_auc": {"value": None, "reason": "one class only"}}}
    run_folders.change_json(run / "metrics.json", splits={"test": undefined})
    text = write_report([run]).read_text()
    assert "Macro AUC is undefined on the test split: one class only." in text
    assert "<figure>" not in text


def test_several_runs_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["first", "second", "third"]
    unfinished = run_folders.FILES[1:]
    runs = [run_folders.write_run(Path(name), cases=20, skip=["per_case.csv", "acnorm.json"]) for name in names[:2]]
    runs.append(run_folders.write_run(Path(names[2]), skip=unfinished))
    assert write_report(runs) == Path("report.html")
    text = Path("report.html").read_text()
    outline = Outline(text)
    assert "<title>Comparison of 3 runs – acnorm report</title>" in text
    assert outline.headings[:4] == ["Comparison of 3 runs", "Before you believe the figures", "Test", "Validation"]
    assert all(name in outline.headings for name in names)
    assert "third: There are no results" in text
    assert len(outline.ids) == len(set(outline.ids))


def test_runs_without_results_can_be_compared(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("method: vanilla\n")
    text = write_report([tmp_path / "a", tmp_path / "b"], tmp_path / "both.html").read_text()
    assert "None of these runs has results" in text
    assert "The settings of these runs are the same." in text


def test_a_run_given_twice_is_refused(tmp_path: Path) -> None:
    run = run_folders.write_begun(tmp_path / "run")
    with pytest.raises(UserError, match=r"^the run '.+/run' is given twice; give each run once\.$"):
        write_report([run, run / ".." / "run"])


def test_no_run_is_refused() -> None:
    with pytest.raises(UserError, match=r"^no run was given; give the folder of one run or of several\.$"):
        write_report([])


def test_where_the_page_cannot_be_written(tmp_path: Path) -> None:
    run = run_folders.write_begun(tmp_path / "run")
    with pytest.raises(UserError, match=r"' is a folder; give --out a file, such as .+/report\.html\.$"):
        write_report([run], tmp_path)
    with pytest.raises(UserError, match=r"config\.yaml/a\.html' cannot be written \(.+\); give --out another file\.$"):
        write_report([run], run / "config.yaml" / "a.html")


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_folders.write_begun(tmp_path / "run")
    out = tmp_path / "new" / "page.html"
    before = write_report([run], out).read_text()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        write_report([run], out)
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    assert out.read_text() == before
