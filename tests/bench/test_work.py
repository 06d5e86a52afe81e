from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from acnorm.bench import work
from acnorm.bench.cells import code_version
from tiny_runs import settings


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Settings of data that is not there, so that a cell that begins says so."""
    given = {name: str(value) if isinstance(value, Path) else value for name, value in settings(tmp_path).items()}
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump(given | {"out": str(tmp_path / "run")}))
    return str(tmp_path / "cell.yaml")


def test_a_cell_of_other_code_is_refused(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(work.platform, "node", lambda: "far")
    assert work.main([config, "--code", "acnorm 0.0.9"]) == 2
    assert capsys.readouterr().err == (
        f"far has {code_version()}, the bench was begun with acnorm 0.0.9; install the same on all nodes.\n"
    )


def test_a_cell_of_this_code_begins(config: str, capsys: pytest.CaptureFixture[str]):
    for more in ([], ["--code", code_version()]):
        assert work.main([config, *more]) == 2
        assert "no such file or folder; check the path" in capsys.readouterr().err
