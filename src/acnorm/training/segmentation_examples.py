"""Pictures of segmented cases for the report: outlines of truth and prediction, slice by slice of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from acnorm.data.atomic import replacing
from acnorm.data.volumes import read_case_volume, read_labels
from acnorm.data.whole_cases import WholeCases
from acnorm.training.predict_masks import mask_name
from acnorm.training.run_folder import RunFolder

EXAMPLES = {2: 6, 3: 3}  # at most, of each kind, by the axes of the images
SLICES = 9  # of a volume
_SIDE = 384  # pixels, about
_TRUTH, _FOUND = (0, 158, 115), (213, 94, 0)  # outlines, told apart by the colour-blind


def write_examples(run: RunFolder, table: pd.DataFrame, part: WholeCases) -> None:
    """Write outlines of the worst, middle and best test cases by mean Dice, and examples.json about them.

    Args:
        run: whose masks of the test cases are written.
        table: scores of the test cases.
        part: the test cases.

    Examples:
        >>> write_examples.__name__
        'write_examples'
    """
    order = np.argsort(table["dice"].to_numpy(), kind="stable")
    axes = part.labelled(0).mask.ndim
    count = max(1, min(EXAMPLES[axes], len(order) // 3))
    middle = (len(order) - count) // 2
    chosen = [("worst", order[:count]), ("median", order[middle : middle + count]), ("best", order[::-1][:count])]
    entries = []
    for kind, places in chosen:
        for place, at in enumerate(places):
            case, whole = part.cases[at], part.labelled(int(at))
            found = read_labels(run.path / "predictions" / "test" / mask_name(case))
            image, truth = read_case_volume(case).values, whole.mask.numpy()
            names = []
            for number, level in enumerate(shown_slices(truth, found)):
                name = f"examples/{kind}_{place:02}.png" if number == 0 else f"examples/{kind}_{place:02}_{number}.png"
                _draw(run.path / name, *(_at(values, level) for values in (image, truth, found)))
                names.append({"image": name, "slice": level})
            entry: dict[str, Any] = {"id": case.id, "score": float(table["dice"].iloc[at]), "kind": kind}
            entries.append(entry | {"image": names[0]["image"], "slices": names if len(names) > 1 else []})
    run.write_json("examples.json", entries)


def shown_slices(truth: NDArray[np.integer[Any]], found: NDArray[np.integer[Any]]) -> list[int | None]:
    """The slices of a volume that are worth a look, that with most labels first; None stands for a 2D image.

    Examples:
        >>> truth = np.zeros((4, 4, 5), int)
        >>> truth[:, :, 2], truth[0, 0, 3] = 1, 1
        >>> shown_slices(truth, truth)
        [2, 3]
    """
    if truth.ndim == 2:
        return [None]
    labelled = ((truth > 0) | (found > 0)).sum(axis=(0, 1))
    first = int(labelled.argmax())
    others = np.flatnonzero(labelled)
    if len(others) > SLICES:
        others = others[np.linspace(0, len(others) - 1, SLICES).round().astype(int)]
    return [first, *(int(level) for level in others if level != first)]


def _at(values: NDArray[Any], level: int | None) -> NDArray[Any]:
    """A slice in RAS as radiologists look at it, the front above; all of a 2D image."""
    return values if level is None else np.rot90(values[..., level], axes=(-2, -1))


def _draw(
    file: Path, image: NDArray[np.float32], truth: NDArray[np.integer[Any]], found: NDArray[np.integer[Any]]
) -> None:
    # colour images in grey as well: one of the outlines is lost on the orange of a fundus
    grey = (image[:3].mean(axis=0, keepdims=True) if len(image) >= 3 else image[:1]).repeat(3, axis=0)
    low, high = np.percentile(grey, (0.5, 99.5))
    pixels = ((grey - low) / max(high - low, 1e-6)).clip(0, 1).transpose(1, 2, 0) * 255
    scale = max(1, round(_SIDE / max(truth.shape)))
    pixels = pixels.repeat(scale, 0).repeat(scale, 1)
    for labels, colour in ((truth, _TRUTH), (found, _FOUND)):
        large = labels.repeat(scale, 0).repeat(scale, 1)
        for label in range(1, int(large.max(initial=0)) + 1):
            region = large == label
            pixels[region & ~ndimage.binary_erosion(region)] = colour
    with replacing(file) as draft:
        Image.fromarray(pixels.astype(np.uint8)).save(draft)
