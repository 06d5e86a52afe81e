"""Which metrics a run may measure, known before it starts."""

from __future__ import annotations

import numpy as np

from acnorm.data.case import Collection
from acnorm.training.metrics import METRICS, OF_TWO_CLASSES, SIGNED, multilabel_metrics

OF_A_REGION = (
    "dice", "iou", "hd95", "sensitivity", "specificity", "volume_error", "auc", "cldice", "global_dice",
    "lesion_recall", "lesion_f1", "false_lesions", "ejection_fraction_error",
)  # fmt: skip


def metric_names(collection: Collection) -> list[str]:
    """Return the metrics that runs on these data may measure, those that ``--measures`` asks for among them.

    Args:
        collection: the data.

    Examples:
        >>> from pathlib import Path
        >>> from acnorm.data.case import Case
        >>> vessels = Collection((Case("a", Path("a.png"), 0, mask=Path("m.png")),), ("none", "vessel"), Path("a"), "pairs")
        >>> metric_names(vessels)[:3]
        ['dice_vessel', 'iou_vessel', 'hd95_vessel']
    """  # noqa: E501
    if collection.task == "multilabel":
        return _of_several_classes()
    if collection.task == "classification":
        return [*METRICS, *(OF_TWO_CLASSES if len(collection.classes) == 2 else ())]
    regions = collection.classes[1:]
    each = [f"{measure}_{name}" for name in regions for measure in OF_A_REGION]
    return each if len(regions) == 1 else ["dice", *each]


def is_metric(name: str) -> bool:
    """Whether runs on some data can be compared by a metric of that name.

    Examples:
        >>> is_metric("brier"), is_metric("dice_vessel"), is_metric("volume_error_vessel"), is_metric("macro_uac")
        (True, True, False, False)
    """
    whole = {"dice", *METRICS, *OF_TWO_CLASSES, *_of_several_classes()}
    return name in whole or name.startswith(tuple(f"{one}_" for one in OF_A_REGION if one not in SIGNED))


def _of_several_classes() -> list[str]:
    return list(multilabel_metrics(np.ones((1, 1), dtype=bool), np.ones((1, 1))))
