"""The images of a pretraining run: whole images, or patches of what has label maps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from acnorm.data.case import Case, Collection
from acnorm.data.dataset import CaseDataset, Key
from acnorm.data.formats.unlabelled import read_with_or_without_labels
from acnorm.data.loading import load_data
from acnorm.data.patches import Movement, take
from acnorm.data.segmentation import load_segmentation
from acnorm.data.splits import Splits
from acnorm.data.tasks import find_task
from acnorm.data.whole_cases import WholeCases
from acnorm.errors import UserError
from acnorm.models.sources import find_source
from acnorm.training.config import numbers_of
from acnorm.training.pretrain_config import PretrainConfig


@dataclass(frozen=True)
class PretextData:
    """Training and validation images of one size, and what is known about them.

    labelled: whether a case has one label, so that its neighbours can be asked for theirs.
    """

    collection: Collection
    splits: Splits
    preprocessing: Any
    train: Any
    val: Any
    warnings: tuple[str, ...]
    labelled: bool

    def chance(self) -> dict[str, float] | None:
        """How many cases have neighbours that are asked, and what always naming the largest class would give."""
        if not self.labelled:
            return None
        counts = Counter(case.label for case in self.val.cases)
        return {"cases": len(self.val.cases), "largest_class": max(counts.values()) / len(self.val.cases)}

    @property
    def by_split(self) -> dict[str, Any]:
        """The two datasets by name."""
        return {"train": self.train, "val": self.val}


class MiddlePatches(Dataset[dict[str, Tensor]]):
    """The patch in the middle of each case, always the same.

    Args:
        whole: the cases.
        patch: voxels an axis; of a volume that is taken slice by slice two.

    Examples:
        >>> from pathlib import Path
        >>> from acnorm.data.patches import Labelled
        >>> whole = Labelled(torch.arange(16.0).reshape(1, 4, 4), torch.zeros(4, 4))
        >>> cases = WholeCases([Case("a", Path("a.png"), 0)], lambda case: whole)
        >>> MiddlePatches(cases, (2, 2))[0, 0]["image"].tolist()
        [[[5.0, 6.0], [9.0, 10.0]]]
    """

    def __init__(self, whole: WholeCases, patch: tuple[int, ...]) -> None:
        self.whole = whole
        self.patch = patch
        self.cases: tuple[Case, ...] = whole.cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        image = self.whole.labelled(key[1]).image
        if len(self.patch) < image.ndim - 1:
            image = image[..., image.shape[-1] // 2]
        middle = Movement(tuple((side - 1) / 2 for side in image.shape[1:]), torch.eye(len(self.patch)))
        return {"image": take(image, middle, self.patch, mode="bilinear"), "index": torch.tensor(key[1])}


def pretext_data(config: PretrainConfig, splits_file: Any = None) -> PretextData:
    """Read, split and fit the images of a pretraining run.

    Images are brought to the network as in fine-tuning; patches lie anywhere, whatever the labels.

    Raises:
        UserError: the data cannot be read or split.

    Examples:
        >>> pretext_data.__name__
        'pretext_data'
    """
    window = None if config.window is None else numbers_of(config.window)
    collection = read_with_or_without_labels(config.data, config.format, skip_bad=config.skip_bad)
    if collection.task == "segmentation":
        given = config.spacing
        maps = load_segmentation(
            config.data,
            format=config.format,
            splits_file=splits_file,
            patch_size=config.patch_size,
            slices=config.slices,
            per_case=config.patches_per_case,
            foreground=0.0,
            spacing="median" if given == "median" else None if given is None else numbers_of(given),
            window=window,
            seed=config.seed,
            memory=round(config.memory * 1024**3),
            skip_bad=config.skip_bad,
            modality=None if config.task is None else find_task(config.task).modality,
        )
        val = MiddlePatches(maps.val, maps.preprocessing.patch)
        found = PretextData(
            maps.collection, maps.splits, maps.preprocessing, maps.train, val, maps.warnings, labelled=False
        )
        return found if config.probe is None else _with_probe(found, config, window)
    images = load_data(
        collection if collection.format == "unlabelled" else config.data,
        format=config.format,
        splits_file=splits_file,
        image_size=config.image_size,
        window=window,
        usual_statistics=find_source(config.model).statistics,
        seed=config.seed,
        skip_bad=config.skip_bad,
        slices=config.slices,
    )
    labelled = collection.task == "classification" and len(collection.classes) > 1
    found = PretextData(
        images.collection,
        images.splits,
        images.preprocessing,
        images.train,
        images.val,
        images.warnings,
        labelled=labelled,
    )
    return found if config.probe is None else _with_probe(found, config, window)


def _with_probe(data: PretextData, config: PretrainConfig, window: tuple[float, ...] | None) -> PretextData:
    """The same with the training cases of the probe set in the place of the validation cases."""
    shape = data.preprocessing.shape
    probe = load_data(
        str(config.probe),
        image_size=shape[1],
        window=window,
        usual_statistics=find_source(config.model).statistics,
        seed=config.seed,
        slices=config.slices,
    )
    if (
        probe.preprocessing.shape != shape
        or len(probe.collection.classes) < 2
        or probe.collection.task != "classification"
    ):
        wanted, given = (" × ".join(map(str, sides)) for sides in (shape, probe.preprocessing.shape))
        raise UserError(
            f"--probe {config.probe}: must hold images of {wanted} with one class each, as the network takes them; "
            f"these are {given} of {len(probe.collection.classes)} classes."
        )
    cases = CaseDataset(probe.splits.train, probe.preprocessing)
    return replace(data, val=cases, labelled=True)
