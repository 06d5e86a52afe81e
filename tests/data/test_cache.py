from __future__ import annotations

import gc
import pickle
from pathlib import Path

import pytest
import torch

from acnorm.data.cache import CaseCache


class Counted:
    """Makes a case of two tensors, and counts."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, index: int) -> dict[str, torch.Tensor]:
        self.made.append(index)
        return {"image": torch.full((1, 4), float(index)).T, "mask": torch.full((4,), index, dtype=torch.uint8)}


@pytest.mark.parametrize("budget", [0, 20, 1000])
def test_a_case_is_made_once_whatever_the_budget(budget: int):
    make = Counted()
    cache = CaseCache(make, budget=budget)
    for _ in range(3):
        for index in (2, 0, 1):
            found = cache.get(index)
            assert found["image"].tolist() == [[float(index)]] * 4
            assert found["mask"].tolist() == [index] * 4
            assert found["mask"].dtype == torch.uint8
    assert make.made == [2, 0, 1]
    kept = {0: 0, 20: 1, 1000: 3}[budget]
    assert len(list(cache.folder.iterdir())) == 3 - kept


def test_the_folder_goes_with_the_cache_but_not_with_a_copy():
    cache = CaseCache(Counted(), budget=0)
    cache.get(0)
    folder = cache.folder
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.get(0)["mask"].tolist() == [0] * 4
    del copy
    gc.collect()
    assert folder.is_dir()
    del cache
    gc.collect()
    assert not folder.exists()


def test_a_full_disk_loses_time_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("acnorm.data.cache.save_file", full)
    make = Counted()
    cache = CaseCache(make, budget=0)
    assert [cache.get(1)["mask"].tolist() for _ in range(2)] == [[1] * 4] * 2
    assert make.made == [1, 1]
    assert list(cache.folder.iterdir()) == []
