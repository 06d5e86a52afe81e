"""What the tests of ``acnorm bench`` and ``acnorm compare`` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from acnorm.bench.engine import Launch
from acnorm.bench.store import Job
from bench_tools import FakeProcess, fail, settings_of, succeed


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The cells that would have been run as processes; vanilla ones are worse, cells of 7 epochs fail."""
    jobs: list[Job] = []

    @contextmanager
    def local(threads: int) -> Iterator[Launch]:
        assert threads >= 1

        def launch(job: Job, _: bool) -> FakeProcess:
            jobs.append(job)
            settings = settings_of(job)
            value = 0.7 + 0.001 * (len(jobs) % 3) + (0 if settings["method"] == "vanilla" else 0.05)
            return FakeProcess(lambda: fail(job) if settings["epochs"] == 7 else succeed(job, value))

        yield launch

    monkeypatch.setattr("acnorm.bench.run.local", local)
    monkeypatch.setattr("acnorm.bench.forks.local", local)
    return jobs
