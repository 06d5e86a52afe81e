from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.bench.last_words import last_words


@pytest.mark.parametrize(
    ("printed", "code", "words"),
    [
        ("first\n  the last line \n\n", 1, "the last line"),
        ("", 2, "ended with code 2 and said nothing"),
        ("whatever", -15, "ended by SIGTERM"),
        ("whatever", -9, "ended by SIGKILL, as where memory runs out"),
    ],
)
def test_last_words(tmp_path: Path, printed: str, code: int, words: str):
    log = tmp_path / "log.txt"
    log.write_text(printed)
    assert last_words(log, code) == words


def test_a_log_that_is_no_text(tmp_path: Path):
    (tmp_path / "log.txt").write_bytes(b"half a \xff\n")
    assert last_words(tmp_path / "log.txt", 1) == "half a \ufffd"
