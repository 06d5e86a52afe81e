from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from acnorm.data.intensities import IntensityPreprocessing, resample
from acnorm.training.inference import segment, segment_case


class Pointwise(nn.Module):
    """Logits that depend on each voxel alone: any windows must give the same as the whole."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if axes == 2 else nn.Conv3d
        self.conv = convolution(2, 3, 1)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        return self.conv(images)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize(
    ("space", "patch"),
    [((40, 33), (16, 8)), ((10, 50), (16, 16)), ((20, 9, 12), (8, 8, 4)), ((5, 6, 7), (8, 8, 8))],
)
def test_windows_give_what_the_whole_gives(space: tuple[int, ...], patch: tuple[int, ...], flips: bool):
    torch.manual_seed(0)
    network, image = Pointwise(len(patch)), torch.randn(2, *space)
    probabilities = segment(network, image, patch, flips=flips)
    torch.testing.assert_close(probabilities, network.conv(image[None])[0].softmax(0).detach(), atol=1e-5, rtol=1e-5)
    assert {shape[2:] for shape in network.seen} == {patch}
    assert not probabilities.requires_grad


def test_slices_of_a_volume_are_each_on_their_own():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    volume = torch.randn(1, 20, 24, 5)
    together = segment(network, volume, (16, 16))
    for depth in range(5):
        torch.testing.assert_close(together[..., depth], segment(network, volume[..., depth], (16, 16)))


def test_flips_make_the_answer_the_same_for_a_mirrored_image():
    torch.manual_seed(0)
    network, image = nn.Conv2d(1, 2, 3, padding=1), torch.randn(1, 16, 16)
    mirrored = segment(network, image.flip(1), (16, 16), flips=True).flip(1)
    torch.testing.assert_close(mirrored, segment(network, image, (16, 16), flips=True))
    assert not torch.allclose(
        segment(network, image.flip(1), (16, 16)).flip(1), segment(network, image, (16, 16)), atol=1e-3
    )


def test_a_case_is_answered_on_its_own_grid():
    torch.manual_seed(0)
    network, image = Pointwise(3), torch.randn(2, 6, 8, 5)
    prepare = IntensityPreprocessing(2, (8, 8, 8))
    inside = segment(network, image, (8, 8, 8))
    assert torch.equal(segment_case(network, image, (6, 8, 5), prepare), inside)
    found = segment_case(network, image, (12, 16, 5), prepare)
    torch.testing.assert_close(found.sum(0), torch.ones(12, 16, 5))
    pairs = found.reshape(3, 6, 2, 8, 2, 5).mean((2, 4))
    torch.testing.assert_close(pairs[:, 1:-1, 1:-1], resample(found, (6, 8, 5))[:, 1:-1, 1:-1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("flips", [False, True])
def test_mirror_images_are_averaged_where_the_preprocessing_says_so(flips: bool):
    torch.manual_seed(0)
    network, image = nn.Conv2d(1, 2, 3, padding=1), torch.randn(1, 16, 16)
    found = segment_case(network, image, (16, 16), IntensityPreprocessing(1, (16, 16), flips=flips))
    mirrored = segment_case(network, image.flip(1), (16, 16), IntensityPreprocessing(1, (16, 16), flips=flips)).flip(1)
    assert torch.allclose(found, mirrored, atol=1e-6) == flips
