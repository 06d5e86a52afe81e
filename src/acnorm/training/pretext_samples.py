"""What a pretext task sees and makes of a few validation images, as pictures for the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from acnorm.data.atomic import replacing
from acnorm.pretraining.task import Pretext
from acnorm.training.run_folder import RunFolder

COUNT = 8
_GAP = 2  # pixels between images
_SIDE = 96  # pixels, about: smaller images are enlarged by whole numbers


@torch.no_grad()
def write_samples(run: RunFolder, pretext: Pretext, network: nn.Module, data: Any, seed: int) -> None:
    """Write a strip of images for each row that the task shows, and samples.json about them.

    Of volumes the middle slice is shown. Intensities are scaled as those of the images themselves.

    Args:
        run: the run folder.
        pretext: the task.
        network: the trained pretext network, on the CPU.
        data: of the run, whose first validation images are shown.
        seed: of what is random in the task.

    Examples:
        >>> write_samples.__name__
        'write_samples'
    """
    images = torch.stack([data.val[0, at]["image"] for at in range(min(COUNT, len(data.val.cases)))])
    if images.ndim == 5 and len(data.preprocessing.shape) == 3:  # slices of volumes: the middle one
        images = images[:, images.shape[1] // 2]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rows = pretext.show(network.eval(), images)
    low, high = float(images.min()), float(images.max())
    entries = []
    for number, (caption, shown) in enumerate(rows.items()):
        name = f"samples/{number:02}.png"
        with replacing(run.path / name) as draft:
            Image.fromarray(strip(shown, low, high)).save(draft, format="PNG")
        entries.append({"caption": caption, "image": name})
    run.write_json("samples.json", entries)


def strip(images: Tensor, low: float, high: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return images side by side as grey or colour pixels, ``low`` black and ``high`` white.

    Args:
        images: [case, channel, *space].
        low, high: intensities.

    Examples:
        >>> strip(torch.zeros(2, 1, 96, 96), 0.0, 1.0).shape
        (96, 194, 3)
    """
    if images.ndim == 5:
        images = images[..., images.shape[-1] // 2]
    factor = max(1, _SIDE // images.shape[-1])
    unit = ((images - low) / max(high - low, 1e-12)).clamp(0, 1)
    colour = unit[:, :3] if unit.shape[1] >= 3 else unit[:, :1].expand(-1, 3, -1, -1)
    pixels = (255 * colour).round().byte().permute(0, 2, 3, 1).numpy()
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    gap = np.full((pixels.shape[1], _GAP, 3), 255, np.uint8)
    parts = [part for image in pixels for part in (image, gap)][:-1]
    return np.concatenate(parts, axis=1)
