"""The feature of a voxel is the cell of the map that holds it, in eval mode, and is kept by its content."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.data.case import Case
from acnorm.data.patches import Labelled, PatchDataset
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_unet
from acnorm.ranking.voxel_features import chosen_stages, stage_maps, voxel_features
from acnorm.ranking.voxels import draw_voxels
from tiny_runs import spread_norms


def data(folder: Path, shape: tuple[int, ...] = (40, 30), patch: tuple[int, ...] = (16, 16)) -> PatchDataset:
    """Two cases whose three channels are the coordinates of each voxel (the last 0 in 2D), and a constant."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)
    image = torch.from_numpy(np.concatenate([grid, np.zeros((3 - len(shape), *shape), np.float32)]))
    mask = torch.zeros(shape, dtype=torch.uint8)
    mask[10:20, 5:25] = 1
    for name in "ab":
        (folder / name).write_bytes(name.encode())
    cases = [Case(name, folder / name, 0) for name in "ab"]
    return PatchDataset(cases, lambda _: Labelled(image, mask), patch=patch)


class Pooled(nn.Module):
    """Maps that are means over cells of 1, 2 and 4 voxels a side."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def features(self, images: Tensor) -> list[Tensor]:
        pool = functional.avg_pool2d if images.ndim == 4 else functional.avg_pool3d
        return [images * self.scale, pool(images, 2), pool(images, 4)]


def network(module: nn.Module) -> Network:
    return dataclasses.replace(build_unet("cifar/resnet20", classes=2, channels=3), module=module)


@pytest.mark.parametrize(("stage", "cell"), [(1, 1), (2, 2), (3, 4)])
@pytest.mark.parametrize(
    ("shape", "patch"), [((40, 30), (16, 16)), ((40, 30, 12), (8, 8, 8)), ((40, 30, 12), (16, 16))]
)
def test_it_is_the_cell_that_holds_the_voxel(
    tmp_path: Path, shape: tuple[int, ...], patch: tuple[int, ...], stage: int, cell: int
):
    train = data(tmp_path, shape, patch)
    sample = draw_voxels(train, 2, each=30)
    found, cached = voxel_features(network(Pooled()), train, sample, [stage])
    assert not cached
    row = 0
    for part in sample.patches:
        for voxel in part.voxels:
            inside = (voxel - part.start)[: len(patch)]
            first = np.array(part.start)[: len(patch)] + inside // cell * cell
            assert np.allclose(found[row, : len(patch)], first + (cell - 1) / 2)
            assert len(patch) == len(shape) or found[row, 2] == voxel[2]
            row += 1
    assert row == len(found)


def test_a_real_network_is_run_in_eval_and_left_as_it_was(tmp_path: Path):
    train = data(tmp_path)
    sample = draw_voxels(train, 2, each=6)
    torch.manual_seed(0)
    built = build_unet("cifar/resnet20", classes=2, channels=3)
    spread_norms(built.module)
    built.module.encoder.layer2.eval()
    modes = [layer.training for layer in built.module.modules()]
    before = {name: value.clone() for name, value in built.module.state_dict().items()}
    found, _ = voxel_features(built, train, sample, (1, 3))
    assert found.shape == (len(sample.labels), 16 + 64)
    assert [layer.training for layer in built.module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in built.module.state_dict().items())
    built.module.eval()
    part = sample.patches[-1]
    image = train.labelled(part.case).image
    top, left = part.start
    with torch.no_grad():
        maps = built.module.features(image[None, :, top : top + 16, left : left + 16])
    for row, (y, x) in zip(found[-len(part.labels) :], part.voxels, strict=True):
        expected = [maps[0][0, :, y - top, x - left], maps[2][0, :, (y - top) // 4, (x - left) // 4]]
        assert np.allclose(row, torch.cat(expected).numpy(), rtol=1e-4, atol=1e-2)


def test_features_are_kept_by_all_that_they_depend_on(tmp_path: Path):
    train, cache = data(tmp_path), tmp_path / "cache"
    torch.manual_seed(0)
    built = build_unet("cifar/resnet20", classes=2, channels=3)
    samples = [draw_voxels(train, 2, each=6, seed=seed) for seed in (0, 1)]

    def cached(sample: int = 0, stages: tuple[int, ...] = (2,), **settings: float) -> bool:
        return voxel_features(built, train, samples[sample], stages, cache=cache, settings=settings)[1]

    assert [cached(), cached()] == [False, True]
    assert [cached(1), cached(stages=(3,)), cached(low=1.0)] == [False] * 3
    nn.init.normal_(built.module.decoder.head.weight)  # the head does not count
    assert cached()
    nn.init.normal_(built.module.encoder.conv1.weight)
    assert not cached()
    first, second = (voxel_features(built, train, samples[0], (2,), cache=at)[0] for at in (cache, None))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("name", "dimensions", "widths"),
    [("genesis/unet3d", 3, [64, 128, 256, 512]), ("monai/resnet10", 2, [64, 64, 128, 256, 512])],
)
def test_the_stages_of_other_networks(name: str, dimensions: int, widths: list[int]):
    built = build_unet(name, classes=2, channels=1, dimensions=dimensions)
    with torch.no_grad():
        maps = stage_maps(built.module.eval(), torch.zeros(1, 1, *(16,) * dimensions))
    assert [found.shape[1] for found in maps] == widths


def test_networks_that_give_the_images_and_an_empty_map_first():
    class Encoder(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [images, images[:, :0], images[:, :2, ::2, ::2]]

    module = nn.Module()
    module.encoder = Encoder()
    assert [tuple(found.shape) for found in stage_maps(module, torch.zeros(1, 3, 8, 8))] == [(1, 2, 4, 4)]


@pytest.mark.parametrize(
    ("widths", "stage"), [([16, 32, 64], 2), ([64, 64, 128], 2), ([16, 24, 40, 112], 3), ([8, 16], 2), ([64], 1)]
)
def test_the_usual_stage(widths: list[int], stage: int):
    assert chosen_stages(widths, None, "x") == (stage,)


def test_stages_that_are_not_there_are_refused():
    with pytest.raises(UserError, match=r"^--stage 4: cifar/resnet20 has 3 \(channels 16, 32, 64\); give 1 to 3\.$"):
        chosen_stages([16, 32, 64], (2, 4), "cifar/resnet20")
