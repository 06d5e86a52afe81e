from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acnorm.bench import processes
from acnorm.bench.engine import Outcome
from acnorm.bench.processes import Process, free_memory, is_alive, process_name, resident_memory
from acnorm.bench.store import Job


def start(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str, *, resume: bool = False) -> Process:
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", code))
    job = Job("a" * 64, folder / "settings.yaml", folder / "run", folder / "logs/a.txt", again=False)
    return Process(job, resume=resume, threads=3)


def end(process: Process) -> Outcome:
    while (outcome := process.poll()) is None:
        time.sleep(0.01)
    return outcome


def test_a_process_computes_with_a_fixed_number_of_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    code = "import os, sys; print(*sys.argv[1:], *(os.environ[f'{n}_NUM_THREADS'] for n in ('OMP', 'MKL', 'OPENBLAS')))"
    outcome = end(start(monkeypatch, tmp_path, code, resume=True))
    assert outcome.code == 0
    assert outcome.words == f"{tmp_path}/settings.yaml --resume 3 3 3"
    assert outcome.memory is not None
    assert outcome.memory > 2**20


@pytest.mark.parametrize(
    ("code", "outcome", "words"),
    [
        (
            "import sys; print('first'); print('--data x: no such file.', file=sys.stderr); sys.exit(2)",
            2,
            "--data x: no such file.",
        ),
        ("import sys; sys.exit(1)", 1, "ended with code 1 and said nothing"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "ended by SIGKILL, as where memory runs out"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, "ended by SIGTERM"),
    ],
)
def test_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, outcome: int, words: str):
    ended = end(start(monkeypatch, tmp_path, code))
    assert (ended.code, ended.words) == (outcome, words)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_process_that_will_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stubborn: bool):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    code = f"import signal, time; {ignore} print('ready', flush=True); time.sleep(60)"
    process = start(monkeypatch, tmp_path, code)
    while (tmp_path / "logs/a.txt").read_text() != "ready\n":
        time.sleep(0.01)
    assert process.memory() > 2**20
    assert is_alive(process.name)
    process.ask_to_end()
    process.wait()
    assert not is_alive(process.name)


def test_a_name_is_of_one_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = process_name(child.pid)
    assert is_alive(name)
    assert not is_alive(f"{child.pid}:0")
    child.communicate(b"\n")
    assert not is_alive(name)


def test_a_process_that_has_ended_is_not_alive_though_nobody_has_asked_how():
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    name = process_name(child.pid)
    child.stdout.read()
    for _ in range(500):
        if alive := is_alive(name):
            time.sleep(0.01)
    assert not alive
    assert process_name(child.pid) == name
    child.communicate()


def test_memory_is_known_on_linux():
    assert resident_memory(os.getpid()) > 2**20
    assert resident_memory(2**22 + 1) == 0  # above the largest number of a process
    assert free_memory() > 2**20
