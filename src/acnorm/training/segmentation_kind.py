"""Runs on label maps: patches to train on, whole cases to measure, masks and outlines to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from acnorm.data.atomic import replacing
from acnorm.data.patches import PATCH_AUGMENTATIONS
from acnorm.data.segmentation import PreparedSegmentation, WholeCases, load_segmentation
from acnorm.data.volumes import read_case_volume, read_labels, write_mask
from acnorm.models.sources import Network, build_unet
from acnorm.training.config import FinetuneConfig
from acnorm.training.objective import Objective
from acnorm.training.predict_masks import mask_name, predict_mask
from acnorm.training.run_folder import RunFolder
from acnorm.training.segmentation import SegmentationObjective
from acnorm.training.segmentation_metrics import mean_with_interval, region_scores

MEASURED = ("dice", "iou", "hd95", "sensitivity", "specificity", "volume_error")
EXAMPLES = 6
_EXAMPLE_SIDE = 384  # pixels, about
_TRUTH, _FOUND = (0, 158, 115), (213, 94, 0)  # outlines, told apart by the colour-blind


class SegmentationKind:
    """Images or volumes with a label map each.

    Examples:
        >>> SegmentationKind().__class__.__name__
        'SegmentationKind'
    """

    def prepare(self, config: FinetuneConfig, splits_file: Path | None) -> PreparedSegmentation:
        """As ``load_segmentation``."""
        return load_segmentation(
            config.data,
            format=config.format,
            splits_file=splits_file,
            patch_size=config.patch_size,
            slices=config.slices,
            per_case=config.patches_per_case,
            augment=PATCH_AUGMENTATIONS[config.augment],
            seed=config.seed,
        )

    def network(self, config: FinetuneConfig, data: PreparedSegmentation) -> Network:
        """A U-Net on the classification network that is asked for."""
        classes, channels = len(data.collection.classes), data.preprocessing.channels
        return build_unet(config.model, classes=classes, channels=channels, dimensions=len(data.preprocessing.patch))

    def output(self, data: PreparedSegmentation) -> list[int]:
        """[class, *patch]."""
        return [len(data.collection.classes), *data.preprocessing.patch]

    def objective(self, data: PreparedSegmentation) -> Objective:
        """Dice and cross-entropy, judged by Dice on whole cases."""
        return SegmentationObjective(len(data.collection.classes), data.preprocessing.patch, data.val.labelled)

    def about(self, data: PreparedSegmentation) -> dict[str, Any]:
        """Counts of cases that hold each class."""
        counts: dict[str, dict[str, int]] = {}
        for name, part in data.by_split.items():
            held = [set(torch.unique(part.labelled(at).mask).tolist()) for at in range(len(part.cases))]
            classes = range(len(data.collection.classes))
            counts[name] = {str(label): sum(label in labels for labels in held) for label in classes}
        cases = {name: len(part.cases) for name, part in data.by_split.items()}
        return {"task": "segmentation", "counts": counts, "cases": cases}

    def evaluate(
        self, run: RunFolder, network: nn.Module, data: PreparedSegmentation, config: FinetuneConfig
    ) -> dict[str, Any]:
        """Scores and masks of every validation and test case, outlines of the worst, middle and best test cases."""
        names = data.collection.classes[1:]
        tables, results = [], {}
        for split in ("val", "test"):
            part: WholeCases = getattr(data, split)
            table = _scores(run, network, part, names, data.preprocessing.patch, split)
            tables.append(table)
            results[split] = _summary(table, names, part, config)
        with replacing(run.path / "per_case.csv") as draft:
            pd.concat(tables).to_csv(draft, index=False)
        _write_examples(run, tables[1], data.test)
        return results


def _scores(
    run: RunFolder, network: nn.Module, part: WholeCases, names: tuple[str, ...], patch: tuple[int, ...], split: str
) -> pd.DataFrame:
    network.eval()
    rows = []
    for at, case in enumerate(part.cases):
        whole = part.labelled(at)
        found = predict_mask(network, whole.image, patch)
        write_mask(found, case.image, run.path / "predictions" / split / mask_name(case))
        spacing = read_case_volume(case).spacing
        within = None if whole.within is None else whole.within.numpy()
        row: dict[str, Any] = {"split": split, "id": case.id, "patient": case.patient or ""}
        for label, name in enumerate(names, start=1):
            scores = region_scores(whole.mask.numpy() == label, found == label, spacing=spacing, within=within)
            row |= {f"{measure}_{name}": scores[measure] for measure in (*MEASURED, "volume", "volume_found")}
        row["dice"] = float(np.mean([row[f"dice_{name}"] for name in names]))
        rows.append(row)
    return pd.DataFrame(rows)


def _summary(table: pd.DataFrame, names: tuple[str, ...], part: WholeCases, config: FinetuneConfig) -> dict[str, Any]:
    known = all(case.patient is not None for case in part.cases)
    groups = [str(case.patient) if known else case.id for case in part.cases]
    metrics: dict[str, Any] = {}
    columns = [f"{measure}_{name}" for name in names for measure in MEASURED]
    for column in columns if len(names) == 1 else ["dice", *columns]:
        values = table[column].to_numpy(dtype=float)
        interval = mean_with_interval(values, groups, resamples=config.bootstrap, seed=config.seed)
        metrics[column] = interval.to_dict()
        if interval.value is None:
            metrics[column]["reason"] = "not defined: the class is empty in truth or prediction of every case"
    return {"cases": len(groups), "patients": len(set(groups)) if known else None, "metrics": metrics}


def _write_examples(run: RunFolder, table: pd.DataFrame, part: WholeCases) -> None:
    order = np.argsort(table["dice"].to_numpy(), kind="stable")
    count = max(1, min(EXAMPLES, len(order) // 3))
    middle = (len(order) - count) // 2
    chosen = [("worst", order[:count]), ("median", order[middle : middle + count]), ("best", order[::-1][:count])]
    entries = []
    for kind, places in chosen:
        for place, at in enumerate(places):
            case, whole = part.cases[at], part.labelled(int(at))
            path = run.path / "predictions" / "test" / mask_name(case)
            name = f"examples/{kind}_{place:02}.png"
            _draw(run.path / name, read_case_volume(case).values, whole.mask.numpy(), read_labels(path))
            entries.append({"id": case.id, "score": float(table["dice"].iloc[at]), "kind": kind, "image": name})
    run.write_json("examples.json", entries)


def _draw(file: Path, image: NDArray[np.float32], truth: NDArray[np.uint8], found: NDArray[np.int64]) -> None:
    """Outlines of truth and prediction on the image; of a volume, on the slice where most is labelled."""
    if truth.ndim == 3:
        at = int(((truth > 0) | (found > 0)).sum(axis=(0, 1)).argmax())
        image, truth, found = _upright(image[..., at]), _upright(truth[..., at]), _upright(found[..., at])
    grey = image[:3] if len(image) >= 3 else image[:1].repeat(3, axis=0)
    low, high = np.percentile(grey, (0.5, 99.5))
    pixels = ((grey - low) / max(high - low, 1e-6)).clip(0, 1).transpose(1, 2, 0) * 255
    scale = max(1, round(_EXAMPLE_SIDE / max(truth.shape)))
    pixels = pixels.repeat(scale, 0).repeat(scale, 1)
    for labels, colour in ((truth, _TRUTH), (found, _FOUND)):
        large = labels.repeat(scale, 0).repeat(scale, 1)
        for label in range(1, int(large.max()) + 1):
            region = large == label
            pixels[region & ~ndimage.binary_erosion(region)] = colour
    with replacing(file) as draft:
        Image.fromarray(pixels.astype(np.uint8)).save(draft)


def _upright(part: NDArray[Any]) -> NDArray[Any]:
    """A slice in RAS as radiologists look at it: the front above."""
    return np.rot90(part, axes=(-2, -1))
