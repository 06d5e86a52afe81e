"""Predictions of a trained network, their metrics, and the cases worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from acnorm.data.atomic import replacing
from acnorm.data.case import Case, named
from acnorm.data.dataset import CaseDataset
from acnorm.training.metrics import (
    THRESHOLD,
    Measure,
    classification_metrics,
    multilabel_metrics,
    truth_of,
    with_intervals,
)
from acnorm.training.run_folder import RunFolder
from acnorm.training.slices import mean_over_slices

EXAMPLES = 6


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of the cases of one split, in their order.

    several: whether a case may show several classes, each with a probability of its own.
    """

    cases: tuple[Case, ...]
    probabilities: Float[NDArray[np.float64], "case class"]
    several: bool = False

    @property
    def labels(self) -> Int[NDArray[np.int64], " case"]:
        """True class of each case."""
        return np.array([case.label for case in self.cases], dtype=np.int64)

    @property
    def truth(self) -> Bool[NDArray[np.bool_], "case class"]:
        """Which classes each case shows."""
        return truth_of(self.cases, self.probabilities.shape[1])

    @property
    def losses(self) -> Float[NDArray[np.float64], " case"]:
        """Cross-entropy of each case; the mean over classes where it may show several."""
        if self.several:
            each = np.where(self.truth, self.probabilities, 1 - self.probabilities)
            mean: NDArray[np.float64] = -np.log(np.maximum(each, np.finfo(float).tiny)).mean(axis=1)
            return mean
        chosen = self.probabilities[np.arange(len(self.cases)), self.labels]
        losses: NDArray[np.float64] = -np.log(np.maximum(chosen, np.finfo(float).tiny))
        return losses

    def found(self, at: int) -> tuple[int, ...]:
        """The classes that are predicted of a case: the likeliest, or all from a half on where there may be several."""
        if self.several:
            return tuple(np.flatnonzero(self.probabilities[at] >= THRESHOLD).tolist())
        return (int(self.probabilities[at].argmax()),)

    def groups(self) -> tuple[list[str], bool]:
        """The patient of each case, or its id where patients are unknown; and whether patients are known."""
        known = all(case.patient is not None for case in self.cases)
        return [str(case.patient) if known else case.id for case in self.cases], known


@torch.no_grad()
def predict_cases(network: nn.Module, dataset: CaseDataset, *, batch_size: int = 64) -> Predictions:
    """Run a network in eval mode over a dataset, on the device of its parameters.

    Args:
        network: gives logits [batch, class].
        dataset: prepared cases, not augmented; of volumes taken slice by slice, the mean over the slices.
        batch_size: images at a time.

    Examples:
        >>> predict_cases.__name__
        'predict_cases'
    """
    network.eval()
    device = next(network.parameters()).device
    several = dataset.several is not None
    parts = []
    for start in range(0, len(dataset), batch_size):
        keys = range(start, min(start + batch_size, len(dataset)))
        images = torch.stack([dataset[0, index]["image"] for index in keys]).to(device)
        if dataset.preprocessing.slices is not None:
            logits = mean_over_slices(network, images, several=several).double()
        else:
            logits = network(images).double()
        parts.append((logits.sigmoid() if several else logits.softmax(dim=1)).cpu())
    return Predictions(dataset.cases, torch.cat(parts).numpy(), several)


def metrics_of(predictions: Predictions, *, resamples: int, seed: int) -> dict[str, Any]:
    """Return cases, patients and metrics with intervals, as metrics.json holds them.

    Examples:
        >>> cases = tuple(Case(str(at), Path("eyes.npz"), label=at % 2) for at in range(4))
        >>> sure = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
        >>> result = metrics_of(Predictions(cases, sure), resamples=50, seed=0)
        >>> result["cases"], result["patients"], result["metrics"]["accuracy"]["value"]
        (4, None, 1.0)
    """
    groups, known = predictions.groups()
    truth = predictions.truth if predictions.several else predictions.labels
    measure: Measure = multilabel_metrics if predictions.several else classification_metrics
    intervals = with_intervals(
        truth, predictions.probabilities, groups, measure=measure, resamples=resamples, seed=seed
    )
    metrics: dict[str, Any] = {name: interval.to_dict() for name, interval in intervals.items()}
    for values in metrics.values():
        if values["value"] is None:
            values["reason"] = "not defined: too few classes among these cases"
    return {"cases": len(groups), "patients": len(set(groups)) if known else None, "metrics": metrics}


def write_per_case(file: Path, predictions: dict[str, Predictions]) -> None:
    """Write one row a case: split, id, patient, label, prediction, loss and the probability of each class.

    Classes are numbers; where a case may show several there is a bar between (`0|2`), and "none" stands for none.
    Probabilities have all their digits, since those of a sure network differ in the last ones alone.

    Examples:
        >>> write_per_case.__name__
        'write_per_case'
    """
    tables = []
    for split, found in predictions.items():
        table = pd.DataFrame(
            {
                "split": split,
                "id": [case.id for case in found.cases],
                "patient": [case.patient or "" for case in found.cases],
                "label": [_numbers(case.shown) for case in found.cases],
                "prediction": [_numbers(found.found(at)) for at in range(len(found.cases))],
                "loss": found.losses.round(6),
            }
        )
        for at in range(found.probabilities.shape[1]):
            table[f"probability_{at}"] = found.probabilities[:, at]
        tables.append(table)
    with replacing(file) as draft:
        pd.concat(tables).to_csv(draft, index=False)


def _numbers(classes: tuple[int, ...]) -> str:
    return "|".join(map(str, classes)) or "none"


def write_examples(run: RunFolder, predictions: Predictions, dataset: CaseDataset, classes: Sequence[str]) -> None:
    """Write the cases of largest and smallest loss as images, and examples.json about them.

    Examples:
        >>> write_examples.__name__
        'write_examples'
    """
    order = np.argsort(predictions.losses, kind="stable")
    count = min(EXAMPLES, len(order) // 2)
    chosen = [("worst", int(at)) for at in order[::-1][:count]] + [("best", int(at)) for at in order[:count]]
    entries = []
    for place, (kind, at) in enumerate(chosen):
        name = f"examples/{kind}_{place % max(1, count):02d}.png"
        _write_image(run.path / name, dataset.fitted(at).numpy())
        case, loss = predictions.cases[at], float(predictions.losses[at])
        entries.append(
            {
                "id": case.id,
                "label": named(case.shown, classes),
                "prediction": named(predictions.found(at), classes),
                "probability": float(np.exp(-loss)),
                "loss": loss,
                "kind": kind,
                "image": name,
            }
        )
    run.write_json("examples.json", entries)


def _write_image(file: Path, image: NDArray[np.float32]) -> None:
    if image.ndim == 4:  # of a volume, the middle slice as radiologists look at it
        image = np.rot90(image[..., image.shape[-1] // 2], axes=(1, 2))
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
    with replacing(file) as draft:
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(draft)


def counts_by_class(cases: Sequence[Case], classes: int) -> dict[str, int]:
    """Return the number of cases of each class.

    Examples:
        >>> counts_by_class([Case("eye", Path("eye.png"), label=1)], classes=2)
        {'0': 0, '1': 1}
    """
    return {str(label): sum(label in case.shown for case in cases) for label in range(classes)}
