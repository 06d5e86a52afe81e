"""Cells that split off from one process: they end, are told of and stopped as processes of their own are."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acnorm.bench import forks, processes
from acnorm.bench.engine import Outcome, Running
from acnorm.bench.forks import Template
from acnorm.bench.processes import is_alive
from acnorm.bench.store import Job
from acnorm.errors import RunError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux splits processes off")

# stands for acnorm.bench.work, whose import takes seconds: runs the code of a cell's settings file
WORK = """
import os, sys, types
work = types.ModuleType("acnorm.bench.work")
def main(arguments):
    code = {}
    exec(open(arguments[0]).read(), {"arguments": arguments, "result": code})
    return code.get("code", 0)
work.main = main
sys.modules["acnorm.bench.work"] = work
from acnorm.bench import template
template.main()
"""


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> Iterator[Template]:
    monkeypatch.setattr(forks, "COMMAND", (sys.executable, "-c", WORK))
    made = Template(threads=3)
    yield made
    made.close()


def start(template: Template, folder: Path, code: str, *, name: str = "a", resume: bool = False) -> Running:
    job = Job(name, folder / f"{name}.py", folder / f"{name}-run", folder / f"logs/{name}.txt", again=False)
    job.config.write_text(code)
    return template.launch(job, resume)


def end(cell: Running) -> Outcome:
    while (outcome := cell.poll()) is None:
        time.sleep(0.01)
    return outcome


def test_cells_have_threads_and_arguments_and_a_log_of_their_own(template: Template, tmp_path: Path):
    code = "import os; print(*arguments[1:], os.environ['OMP_NUM_THREADS'], os.getsid(0) == os.getpid())"
    first = start(template, tmp_path, code, resume=True)
    second = start(template, tmp_path, "import sys; print('bad', file=sys.stderr); result['code'] = 2", name="b")
    ended = end(second), end(first)
    assert [(each.code, each.words) for each in ended] == [(2, "bad"), (0, "--resume 3 True")]
    assert all(each.memory > 2**20 for each in ended)


@pytest.mark.parametrize(
    ("code", "outcome", "words"),
    [
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(5)", 5, "ended with code 5 and said nothing"),
        ("import os; os.kill(os.getpid(), 9)", -9, "ended by SIGKILL, as where memory runs out"),
        ("import atexit; atexit.register(print, 'last')", 0, "last"),
    ],
)
def test_how_cells_end(template: Template, tmp_path: Path, code: str, outcome: int, words: str):
    ended = end(start(template, tmp_path, code))
    assert (ended.code, ended.words) == (outcome, words)


def test_a_cell_that_will_not_end_is_ended_and_the_next_one_starts(
    monkeypatch: pytest.MonkeyPatch, template: Template, tmp_path: Path
):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    cell = start(template, tmp_path, stubborn)
    while "up" not in (tmp_path / "logs/a.txt").read_text():
        time.sleep(0.01)
    assert cell.poll() is None
    assert cell.memory() > 0
    cell.ask_to_end()
    cell.wait()
    assert not is_alive(cell.name)
    assert end(start(template, tmp_path, "print('next')", name="b")).words == "next"


def test_where_the_template_is_killed_its_cells_go_on_and_the_next_has_another(template: Template, tmp_path: Path):
    finish = "import os, time; time.sleep(0.3); os.mkdir(arguments[0][:-3] + '-run'); "
    finish += "open(arguments[0][:-3] + '-run/metrics.json', 'w').write('{}'); print('done')"
    whole = start(template, tmp_path, finish)
    broken = start(template, tmp_path, "import time; time.sleep(0.1); print('no metrics')", name="b")
    os.kill(template._process.pid, signal.SIGKILL)
    template._process.wait()
    other = start(template, tmp_path, "print('later')", name="c")
    assert (end(whole).code, end(broken).code) == (0, 1)
    assert end(other).words == "later"


def test_a_template_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(forks, "COMMAND", (sys.executable, "-c", "import sys; sys.exit(3)"))
    template = Template(threads=1)
    told = (
        "the process from which cells split off did not start, or has ended; its words are above. Cells that were begun "
        "are kept: the same command goes on."
    )
    with pytest.raises(RunError, match=f"^{re.escape(told)}$"):
        start(template, tmp_path, "")
    template.close()


def test_a_cell_whose_runner_was_killed_before_it_began_is_left_to_the_next(tmp_path: Path):
    cell = tmp_path / "a.py"
    cell.write_text("open(arguments[0] + '-ran', 'w')")
    request = json.dumps({"arguments": [str(cell)], "log": str(tmp_path / "a.txt")}).encode() + b"\n"
    read, write = os.pipe()
    os.write(write, request)
    os.close(write)  # before the template has imported everything, as where its runner is killed
    ended = subprocess.run((sys.executable, "-c", WORK), stdin=read, capture_output=True, timeout=60)
    os.close(read)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert not (tmp_path / "a.py-ran").exists()
