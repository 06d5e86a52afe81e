"""Runs on label maps: patches to train on, whole cases to measure, masks and outlines to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from acnorm.data.atomic import replacing
from acnorm.data.case import Case
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.patches import PATCH_AUGMENTATIONS, Labelled
from acnorm.data.segmentation import PreparedSegmentation, load_segmentation
from acnorm.data.tasks import find_task
from acnorm.data.volumes import read_case_volume, read_labelled, write_mask
from acnorm.data.whole_cases import WholeCases
from acnorm.models.sources import Network, build_unet
from acnorm.training.config import FinetuneConfig, numbers_of
from acnorm.training.inference import segment_case
from acnorm.training.objective import Objective
from acnorm.training.predict_masks import labels_of, mask_name
from acnorm.training.run_folder import RunFolder
from acnorm.training.segmentation import SegmentationObjective
from acnorm.training.segmentation_examples import write_examples
from acnorm.training.segmentation_results import Regions, case_scores, measures_by_region, regions_of, summary_of


class SegmentationKind:
    """Images or volumes with a label map each.

    Examples:
        >>> SegmentationKind().__class__.__name__
        'SegmentationKind'
    """

    def prepare(self, config: FinetuneConfig, splits_file: Path | None) -> PreparedSegmentation:
        """As ``load_segmentation``."""
        given = config.spacing
        data = load_segmentation(
            config.data,
            format=config.format,
            splits_file=splits_file,
            patch_size=config.patch_size,
            slices=config.slices,
            per_case=config.patches_per_case,
            foreground=config.foreground_share,
            spacing="median" if given == "median" else None if given is None else numbers_of(given),
            window=None if config.window is None else numbers_of(config.window),
            flips=config.test_time_flips,
            augment=PATCH_AUGMENTATIONS[config.augment],
            seed=config.seed,
            memory=round(config.memory * 1024**3),
            skip_bad=config.skip_bad,
            modality=None if config.task is None else find_task(config.task).modality,
        )
        measures_by_region(config.measures, _regions(data, config))  # a class that is none is told before training
        return data

    def network(self, config: FinetuneConfig, data: PreparedSegmentation) -> Network:
        """A U-Net on the classification network that is asked for."""
        classes, channels = len(data.collection.classes), data.preprocessing.channels
        return build_unet(config.model, classes=classes, channels=channels, dimensions=len(data.preprocessing.patch))

    def output(self, data: PreparedSegmentation) -> list[int]:
        """[class, *patch]."""
        return [len(data.collection.classes), *data.preprocessing.patch]

    def objective(self, config: FinetuneConfig, data: PreparedSegmentation) -> Objective:
        """Dice and cross-entropy, judged by Dice on whole cases."""
        classes = len(data.collection.classes)
        return SegmentationObjective(classes, data.preprocessing, data.val.labelled, nested=config.nested)

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
        regions = _regions(data, config)
        further = measures_by_region(config.measures, regions)
        tables, results = [], {}
        chance = {"resamples": config.bootstrap, "seed": config.seed}
        for split in ("val", "test"):
            part: WholeCases = getattr(data, split)
            table = _scores(run, network, part, regions, further, data.preprocessing, split)
            tables.append(table)
            results[split] = summary_of(table, part.cases, regions, further, **chance)
            observed = _second_observer(part, regions, further, classes=len(data.collection.classes))
            if observed is not None:
                cases, scores = observed
                results[split]["second_observer"] = summary_of(scores, cases, regions, _without_auc(further), **chance)
        with replacing(run.path / "per_case.csv") as draft:
            pd.concat(tables).to_csv(draft, index=False)
        write_examples(run, tables[1], data.test)
        return results


def _regions(data: PreparedSegmentation, config: FinetuneConfig) -> Regions:
    return regions_of(data.collection.classes, nested=config.nested)


def _scores(
    run: RunFolder,
    network: nn.Module,
    part: WholeCases,
    regions: Regions,
    further: Mapping[str, Sequence[str]],
    preprocessing: IntensityPreprocessing,
    split: str,
) -> pd.DataFrame:
    network.eval()
    rows = []
    for at, case in enumerate(part.cases):
        whole = part.labelled(at)
        probabilities = segment_case(network, whole.image, whole.mask.shape, preprocessing)
        found = labels_of(probabilities)
        write_mask(found, case.image, run.path / "predictions" / split / mask_name(case))
        scores = case_scores(
            whole.mask.numpy(),
            found,
            regions,
            further=further,
            probabilities=probabilities.cpu().numpy() if "auc" in further else None,
            spacing=read_case_volume(case).spacing,
            within=_within(whole),
        )
        rows.append({"split": split, "id": case.id, "patient": case.patient or "", **scores})
    return pd.DataFrame(rows)


def _second_observer(
    part: WholeCases, regions: Regions, further: Mapping[str, Sequence[str]], *, classes: int
) -> tuple[list[Case], pd.DataFrame] | None:
    """The second observer's scores against the first, where there is one: what a person reaches."""
    cases, rows = [], []
    for case in part.cases:
        if case.other is None:
            continue
        found = read_labelled(case, classes)
        assert found.other is not None
        rows.append(
            case_scores(
                found.mask,
                found.other,
                regions,
                further=_without_auc(further),
                spacing=found.image.spacing,
                within=found.within,
            )
        )
        cases.append(case)
    return (cases, pd.DataFrame(rows)) if cases else None


def _without_auc(further: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """A person gives labels, no probabilities."""
    return {measure: names for measure, names in further.items() if measure != "auc"}


def _within(whole: Labelled) -> Any:
    return None if whole.within is None else whole.within.numpy()
