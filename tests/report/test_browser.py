"""The page in a real browser: it renders, loads nothing, fits its window and prints whole."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import run_folders
from acnorm.report.bench import write_bench_report
from acnorm.report.write import write_report
from bench_tools import planned, result

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
)
# In a copy of the page: how wide the content is, and what the browser fetched beside the page itself.
PROBE = """<script>addEventListener('load', () => { document.title = [
  document.documentElement.scrollWidth, performance.getEntriesByType('resource').filter(
    entry => !entry.name.startsWith('data:')).length,
  [...document.images].filter(image => !image.naturalWidth).length,
  [...document.querySelectorAll('figure svg')].filter(svg => svg.getBoundingClientRect().height < 50).length,
].join(' ') })</script>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium found: browser tests skipped"),
]
Browse = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    long_name = "a-run-whose-name-is-long-" * 4
    few = ["per_case.csv", "data.json"]
    whole = run_folders.write_run(folder / "acnorm")
    runs = [run_folders.write_run(folder / name, method="vanilla", skip=few) for name in ("short", long_name)]
    return {"one": write_report([whole]), "two": write_report(runs, folder / "two.html")}


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    def run(page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        assert BROWSER is not None
        command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'browser'}", *flags, page.resolve().as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    return run


@pytest.mark.parametrize(("name", "width"), [("one", 1280), ("two", 1280), ("two", 700)])
def test_it_renders_fits_and_fetches_nothing(
    pages: dict[str, Path], browse: Browse, tmp_path: Path, name: str, width: int
) -> None:
    text = pages[name].read_text()
    copy = tmp_path / "copy.html"
    copy.write_text(re.sub(r"<meta http-equiv[^>]+>", PROBE, text))
    dumped = browse(copy, f"--window-size={width},900", "--dump-dom").stdout
    found = re.search(r"<title>(\d+) (\d+) (\d+) (\d+)</title>", dumped)
    assert found is not None
    content, fetched, broken, flat = map(int, found.groups())
    assert content <= width
    assert (fetched, broken, flat) == (0, 0, 0)


def test_the_page_itself_is_shown_without_complaint(pages: dict[str, Path], browse: Browse) -> None:
    ended = browse(pages["one"], "--dump-dom")
    assert "<h2>Provenance</h2>" in ended.stdout
    assert "CONSOLE" not in ended.stderr


def test_the_first_screen_is_not_blank(pages: dict[str, Path], browse: Browse, tmp_path: Path) -> None:
    picture = tmp_path / "screen.png"
    browse(pages["one"], "--window-size=1280,800", f"--screenshot={picture}")
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("L"), dtype=float)
    assert pixels.shape == (800, 1280)
    assert 0.02 < (pixels < 200).mean() < 0.5


def test_it_prints_on_a_few_pages(pages: dict[str, Path], browse: Browse, tmp_path: Path) -> None:
    printed = tmp_path / "page.pdf"
    browse(pages["one"], "--no-pdf-header-footer", f"--print-to-pdf={printed}")
    count = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    assert 4 <= count <= 9


def test_a_wide_table_of_a_bench_fits_and_leaves_its_names_in_one_piece(browse: Browse, tmp_path: Path) -> None:
    store = planned(tmp_path, seeds=(0, 1))
    for at, address in enumerate(store.table()["address"]):
        store.finish(address, result(0.6 + at * at / 100), seconds=1.0, memory=2**20)
    page = write_bench_report(store.folder)
    lines = "Math.max(...[...document.querySelectorAll('tbody th')].map(cell => cell.getClientRects()[0].height))"
    probe = PROBE.replace(
        "document.documentElement.scrollWidth", f"{lines}, document.querySelector('table').offsetWidth"
    )
    copy = tmp_path / "copy.html"
    copy.write_text(re.sub(r"<meta http-equiv[^>]+>", probe, page.read_text()))
    found = re.search(r"<title>([\d.]+) (\d+) ", browse(copy, "--window-size=1100,900", "--dump-dom").stdout)
    assert found is not None
    assert float(found[1]) < 40
    assert int(found[2]) <= 60 * 16
