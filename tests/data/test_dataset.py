"""Items depend on (seed, epoch, case) alone, whoever asks, in whatever order, from memory or from the disk."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from acnorm.data import dataset as module
from acnorm.data.augment import standard
from acnorm.data.batches import EpochBatches
from acnorm.data.case import Case
from acnorm.data.dataset import CaseDataset, Key
from acnorm.data.preprocessing import Preprocessing
from acnorm.errors import UserError

SIZE = 8
BYTES = 4 * 3 * SIZE**2  # of one prepared image
PLAIN = Preprocessing(size=SIZE, channels=3, mean=(0.0,) * 3, deviation=(1.0,) * 3)
KEYS = list(product(range(3), range(5)))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder, random = tmp_path_factory.mktemp("eyes"), np.random.default_rng(0)
    for number in range(5):
        PIL.Image.fromarray(random.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return [Case(str(number), folder / f"{number}.png", label=number % 3) for number in range(5)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the cases whose file was read, as they are read."""
    seen: list[str] = []
    read = module.read_image
    monkeypatch.setattr(module, "read_image", lambda case: (seen.append(case.id), read(case))[1])
    return seen


def images(dataset: CaseDataset, keys: list[Key]) -> dict[Key, Tensor]:
    return {key: dataset[key]["image"] for key in keys}


def same(first: dict[Key, Tensor], second: dict[Key, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_neither_order_nor_history_nor_global_randomness_matter(cases: list[Case]):
    first = images(CaseDataset(cases, PLAIN, standard, seed=4), KEYS)
    np.random.seed(1)
    torch.manual_seed(1)
    dataset = CaseDataset(cases, PLAIN, standard, seed=4)
    assert same(images(dataset, KEYS[::-1]), first)
    assert same(images(dataset, KEYS), first)


def test_memory_and_disk_give_the_same(cases: list[Case], monkeypatch: pytest.MonkeyPatch):
    first = images(CaseDataset(cases, PLAIN, standard), KEYS)
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    assert same(images(CaseDataset(cases, PLAIN, standard), KEYS), first)


def test_workers_give_the_same(cases: list[Case]):
    dataset, batches = CaseDataset(cases, PLAIN, standard), EpochBatches(5, 2)
    batches.set_epoch(2)
    here, there = (list(DataLoader(dataset, batch_sampler=batches, num_workers=count)) for count in (0, 2))
    assert [batch["index"].tolist() for batch in here] == [[index for _, index in batch] for batch in batches]
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("image", "label", "index"))


def test_each_seed_epoch_and_case_draws_its_own(cases: list[Case]):
    def noise(image: Tensor, draw: np.random.Generator) -> Tensor:
        return torch.full_like(image, draw.random())

    drawn = {float(CaseDataset(cases, PLAIN, noise, seed)[key]["image"][0, 0, 0]) for seed in range(3) for key in KEYS}
    assert len(drawn) == 3 * len(KEYS)


def test_cases_after_one_do_not_change_it(cases: list[Case]):
    keys = [(epoch, index) for epoch, index in KEYS if index < 3]
    assert same(
        images(CaseDataset(cases[:3], PLAIN, standard), keys), images(CaseDataset(cases, PLAIN, standard), keys)
    )


def test_augmentation_sees_fitted_intensities_and_normalising_comes_after(cases: list[Case]):
    seen = []

    def black(image: Tensor, draw: np.random.Generator) -> Tensor:
        seen.append(image)
        return torch.zeros_like(image)

    prepare = Preprocessing(size=SIZE, channels=3, mean=(0.1, 0.2, 0.4), deviation=(0.5, 0.5, 0.25))
    item = CaseDataset(cases, prepare, black)[0, 1]
    assert item["image"].shape == seen[0].shape == (3, SIZE, SIZE)
    assert torch.equal(seen[0], CaseDataset(cases, PLAIN)[0, 1]["image"])
    assert 0 <= float(seen[0].min()) < float(seen[0].max()) <= 1
    assert item["image"].flatten(1).unique(dim=1).flatten().tolist() == pytest.approx([-0.2, -0.4, -1.6])


def test_items_carry_label_and_index(cases: list[Case]):
    dataset = CaseDataset(cases, PLAIN)
    assert len(dataset) == 5
    for index, case in enumerate(cases):
        item = dataset[0, index]
        assert (int(item["label"]), int(item["index"])) == (case.label, index)
        assert item["label"].dtype == item["index"].dtype == torch.int64


def test_changing_an_item_does_not_change_the_next(cases: list[Case]):
    dataset = CaseDataset(cases, PLAIN)
    before = dataset[0, 0]["image"].clone()
    dataset[0, 0]["image"].zero_()
    assert torch.equal(dataset[0, 0]["image"], before)


@pytest.mark.parametrize(("room", "kept"), [(5 * BYTES, True), (5 * BYTES - 1, False)])
def test_images_are_kept_where_all_fit(cases, reads, monkeypatch, room: int, kept: bool):
    monkeypatch.setattr(module, "CACHE_BYTES", room)
    dataset = CaseDataset(cases, PLAIN)
    assert reads == (list("01234") if kept else [])
    reads.clear()
    dataset[0, 3], dataset[1, 3], dataset.fitted(3)
    assert reads == ([] if kept else list("333"))


def test_an_unreadable_image_is_named(cases: list[Case], tmp_path: Path):
    (tmp_path / "eye.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"eye\.png: the file is empty \(0 bytes\); copy or export it again"):
        CaseDataset([*cases, Case("eye", tmp_path / "eye.png", 0)], PLAIN)
