"""The Medical Segmentation Decathlon's layout: dataset.json with a list of image and label for each training case.

    dataset.json    {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"},
                     "training": [{"image": "./imagesTr/liver_0.nii.gz", "label": "./labelsTr/liver_0.nii.gz"}, …]}

The test images of the release have no labels and are left out.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.nnunet import label_names, patient_of, read_about
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem, fault


def detect(data: Path) -> bool:
    """Whether this is a folder with dataset.json that lists training cases."""
    table = data / "dataset.json"
    return table.is_file() and isinstance(read_about(table).get("training"), list)


def read(data: Path) -> Collection:
    """Read the training cases; the id of a case is its label's name without suffix.

    Raises `DataError` with every file that is listed and not there, and for a dataset.json that lacks something.
    """
    table = data / "dataset.json"
    about = read_about(table)
    classes = label_names(data, about)
    cases: list[Case] = []
    problems: list[Problem] = []
    for place, entry in enumerate(about["training"]):
        if not isinstance(entry, dict) or not {"image", "label"} <= entry.keys():
            raise fault(table, f"entry {place} of training names no image and label", "write both")
        image, mask = (data / str(entry[key]) for key in ("image", "label"))
        absent = [path for path in (image, mask) if not path.is_file()]
        problems += [Problem(str(path), "no such file", f"add it, or remove it from {table.name}") for path in absent]
        if not absent:
            name = mask.name.removesuffix(".gz").removesuffix(mask.suffixes[0] if mask.suffixes else "")
            cases.append(Case(name, image, 0, patient=patient_of(name), mask=mask))
    modality = about.get("modality")
    kind = str(modality.get("0")) if isinstance(modality, dict) else None
    return settle(Collection(tuple(cases), classes, data, "msd", (), kind), problems)
