from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acnorm.data.case import Case
from acnorm.data.fingerprint import fingerprint


def eyes(folder: Path) -> list[Case]:
    folder.mkdir()
    cases = []
    for at in range(3):
        file = folder / f"{at}.png"
        file.write_bytes(bytes([at]) * (3 * 2**20 + at))
        cases.append(Case(f"eye-{at}", file, at % 2, patient=f"P{at}"))
    return cases


def test_neither_order_nor_folder_matters(tmp_path: Path):
    here, there = eyes(tmp_path / "here"), eyes(tmp_path / "there")
    assert fingerprint(here) == fingerprint(reversed(here)) == fingerprint(there)


@pytest.mark.parametrize(
    "change", [{"id": "eye-9"}, {"label": 1}, {"patient": "P9"}, {"patient": None}, {"index": 0}], ids=str
)
def test_what_a_case_is_matters(tmp_path: Path, change: dict[str, object]):
    first, *others = eyes(tmp_path / "eyes")
    assert fingerprint([first, *others]) != fingerprint([replace(first, **change), *others])


def test_one_case_less_matters(tmp_path: Path):
    cases = eyes(tmp_path / "eyes")
    assert fingerprint(cases) != fingerprint(cases[1:])


@pytest.mark.parametrize("place", [0, 2**20 - 1, 2 * 2**20 + 10, 3 * 2**20])
def test_bytes_at_either_end_matter(tmp_path: Path, place: int):
    cases = eyes(tmp_path / "eyes")
    before, content = fingerprint(cases), bytearray(cases[1].image.read_bytes())
    content[place] ^= 255
    cases[1].image.write_bytes(content)
    assert fingerprint(cases) != before


def test_the_size_matters(tmp_path: Path):
    cases = eyes(tmp_path / "eyes")
    before, content = fingerprint(cases), cases[1].image.read_bytes()
    cases[1].image.write_bytes(content[: len(content) // 2] + content[len(content) // 2 - 1 :])
    assert fingerprint(cases) != before


def test_a_change_in_the_middle_of_a_large_file_counts(tmp_path: Path):
    file = tmp_path / "volume.nii"
    content = bytearray(5 * 2**20)
    file.write_bytes(content)
    before = fingerprint([Case("a", file, 0)])
    content[len(content) // 2] = 1
    file.write_bytes(content)
    assert fingerprint([Case("a", file, 0)]) != before
