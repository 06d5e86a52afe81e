"""The named tasks: which settings each begins with. All of them can be overridden."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from acnorm.errors import UserError

Kind = Literal["classification", "segmentation"]


@dataclass(frozen=True)
class Task:
    """A task by name.

    kind: what the data must hold, classes or label maps. about: what it is. settings: of ``acnorm finetune``, in
    the place of the general defaults. headline: the metrics that its field looks at first, by the beginning of their
    names. modality: of volumes in data that do not say theirs.
    """

    kind: Kind
    about: str
    settings: Mapping[str, Any]
    headline: tuple[str, ...]
    modality: str | None = None


_SLICES = {"slices": True, "epochs": 20, "batch_size": 16, "patches_per_case": 16, "spacing": "median"}

TASKS: dict[str, Task] = {
    "classification": Task("classification", "images of one class each", {}, ()),
    "segmentation": Task("segmentation", "images or volumes with label maps", {}, ()),
    "dr-grading": Task(
        "classification",
        "2D, diabetic retinopathy in fundus photographs, grades in order",
        {"ordinal": True},
        ("macro_auc", "accuracy", "quadratic_kappa"),
    ),
    "vessel-segmentation": Task(
        "segmentation",
        "2D, retinal vessels in fundus photographs, inside the field of view",
        {"epochs": 40, "batch_size": 16, "patch_size": 96, "patches_per_case": 16, "measures": "auc,cldice"},
        ("dice_", "auc_", "sensitivity_", "specificity_", "cldice_"),
    ),
    "nodule-classification": Task(
        "classification",
        "2D or 3D, lung nodules in CT: nodule or not, malignant or not",
        {"batch_size": 64},
        ("macro_auc", "accuracy", "sensitivity_at_specificity_90"),
    ),
    "nodule-segmentation": Task(
        "segmentation",
        "3D, lung nodules in CT",
        {"epochs": 30, "batch_size": 4, "patches_per_case": 1, "spacing": "median", "patch_size": 48},
        ("dice_", "iou_", "hd95_"),
        modality="CT",
    ),
    "liver-tumor-segmentation": Task(
        "segmentation",
        "CT, slice by slice or in 3D: liver, and tumours inside it",
        {
            **_SLICES,
            "patch_size": 96,
            "augment": "anatomical",
            "nested": True,
            "measures": "global_dice,lesions:2",
        },
        ("dice_", "global_dice_", "volume_error_", "lesion_recall_"),
        modality="CT",
    ),
    "cardiac-segmentation": Task(
        "segmentation",
        "MRI, slice by slice or in 3D: right ventricle, myocardium, left ventricle",
        {
            **_SLICES,
            "patch_size": 128,
            "patches_per_case": 8,
            "augment": "anatomical",
            "measures": "ejection_fraction:LV,ejection_fraction:RV",
        },
        ("dice", "hd95_", "ejection_fraction_error_"),
        modality="MRI",
    ),
}


def find_task(name: str) -> Task:
    """Return the task of a name.

    Raises:
        UserError: the name is not known; the nearest is named.

    Examples:
        >>> find_task("vessel-segmentation").settings["patch_size"]
        96
        >>> find_task("vessels")
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --task 'vessels' is not known; did you mean vessel-segmentation?
    """
    if name in TASKS:
        return TASKS[name]
    near = [task for task in TASKS if name[:5] and task.startswith(name[:5])]
    near = near or difflib.get_close_matches(name, TASKS, n=1, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(TASKS)}."
    raise UserError(f"--task {name!r} is not known; {hint}")
