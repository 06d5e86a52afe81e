from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acnorm.data.case import Case, Collection
from acnorm.training.metric_names import is_metric, metric_names
from acnorm.training.metrics import SIGNED, classification_metrics, multilabel_metrics
from acnorm.training.segmentation_results import case_scores, measures_by_region, summary_of


@pytest.mark.parametrize("classes", [2, 3])
def test_those_of_one_class_a_case(classes: int):
    labels = np.arange(6) % classes
    measured = classification_metrics(labels, np.full((6, classes), 1 / classes))
    cases = tuple(Case(str(at), Path("a.png"), int(label)) for at, label in enumerate(labels))
    assert metric_names(Collection(cases, tuple("abc"[:classes]), Path("a"), "folder")) == list(measured)


def test_those_of_several_classes_a_case():
    measured = multilabel_metrics(np.ones((2, 2), dtype=bool), np.ones((2, 2)))
    cases = (Case("a", Path("a.png"), 0, labels=(0, 1)),)
    assert metric_names(Collection(cases, ("x", "y"), Path("a"), "table")) == list(measured)


@pytest.mark.parametrize("regions", [{"vessel": (1,)}, {"liver": (1, 2), "tumour": (2,)}])
def test_those_of_label_maps(regions: dict[str, tuple[int, ...]]):
    truth = np.arange(16).reshape(4, 4) % (1 + len(regions))
    probabilities = np.eye(1 + len(regions), dtype=np.float32)[truth].transpose(2, 0, 1)
    further = measures_by_region("auc,cldice,lesions,global_dice,ejection_fraction", regions)
    rows = [case_scores(truth, truth, regions, further=further, probabilities=probabilities)]
    cases = [Case("a", Path("a.png"), 0, mask=Path("m.png"))]
    measured = summary_of(pd.DataFrame(rows), cases, regions, further, resamples=2, seed=0)["metrics"]
    names = metric_names(Collection(tuple(cases), ("background", *regions), Path("a"), "pairs"))
    assert sorted(names) == sorted(measured)
    assert all(is_metric(name) != name.startswith(SIGNED) for name in names)
