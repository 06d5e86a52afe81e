"""The named tasks: which settings each begins with. All of them can be overridden."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from acnorm.errors import UserError

Kind = Literal["classification", "segmentation"]
_OF_DATA = ("patch_size", "slices", "spacing")
_HOLDS = {"classification": "classes", "multilabel": "several classes a case", "segmentation": "label maps"}


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

    @property
    def of_data(self) -> dict[str, Any]:
        """Those of the settings that say how volumes come to the network, for ``rank`` and ``pretrain`` as well."""
        return {name: value for name, value in self.settings.items() if name in _OF_DATA}


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


def check_kind(name: str, held: str, data: Path | str) -> None:
    """Refuse data of another kind than the task.

    Args:
        name: of the task.
        held: what the data hold, as ``Collection.task`` says.
        data: as the user named them.

    Raises:
        UserError: an unknown task, or data of another kind.

    Examples:
        >>> check_kind("dr-grading", "segmentation", "DRIVE")
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --task dr-grading: needs classes; DRIVE holds label maps. Give other data, or --task segmentation.
    """  # noqa: E501
    wanted = find_task(name).kind
    several = held == "multilabel"
    if wanted != held and not (several and name == "classification"):
        raise UserError(
            f"--task {name}: needs {_HOLDS[wanted]}; {data} holds {_HOLDS[held]}. "
            f"Give other data, or --task {'classification' if several else held}."
        )
