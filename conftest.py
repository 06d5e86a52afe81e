"""Run the Python and shell-free snippets of the README and the docs as tests; no test fails for being slow."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

settings.register_profile("untimed", deadline=None)  # the machine that runs them may be busy
settings.load_profile("untimed")

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    fixtures=["in_a_new_folder"],
).pytest()


def pytest_collection_finish() -> None:
    """Spare the garbage collector what has been imported, which it would look through again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="module")
def in_a_new_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Snippets write files: let them, in a folder of their own, one for each page."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("snippets")
        patch.chdir(folder)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says where it was looked for."""
    import os

    folder = Path(os.environ.get("ACNORM_DATA", Path(__file__).parent / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data: neither ACNORM_DATA nor ../shared/data is there (looked at {folder})")
    return folder
