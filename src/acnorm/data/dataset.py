"""Cases as a PyTorch dataset whose randomness depends on (seed, epoch, case) and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from acnorm.data.augment import Augmentation, nothing
from acnorm.data.case import Case
from acnorm.data.images import read_image
from acnorm.data.preprocessing import Preprocessing
from acnorm.data.problems import DataError, fault

Key = tuple[int, int]
CACHE_BYTES = 2 * 1024**3


class CaseDataset(Dataset[dict[str, Tensor]]):
    """Prepared images and labels, asked for by (epoch, index).

    Images are read and fitted once and kept in memory where all fit in 2 GiB; augmentation draws from a
    generator seeded by (seed, epoch, index), so that 0 and 4 workers, or a resumed run, see the same images.

    Args:
        cases: the cases, in an order that is part of the seed's meaning.
        preprocessing: brings an image to the network's input.
        augment: random change of the fitted image, before normalising.
        seed: of the augmentation.
        several: number of classes where a case may show several: its label is then 0 or 1 for each.
        one_slice: of volumes taken slice by slice, one slice at random, and not all of them.

    Raises:
        UserError: an image cannot be read, or is a volume where 2D images are taken, or the reverse, or has intensities
            in another range than those that are taken; names the file.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> file = Path(tempfile.mkdtemp()) / "eye.png"
        >>> Image.new("RGB", (40, 40)).save(file)
        >>> prepare = Preprocessing(size=32, channels=3, mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))
        >>> item = CaseDataset([Case("eye", file, label=2)], prepare)[0, 0]
        >>> item["image"].shape, int(item["label"]), int(item["index"])
        (torch.Size([3, 32, 32]), 2, 0)
    """

    def __init__(
        self,
        cases: Sequence[Case],
        preprocessing: Preprocessing,
        augment: Augmentation = nothing,
        seed: int = 0,
        *,
        several: int | None = None,
        one_slice: bool = False,
    ) -> None:
        self.several = several
        self.one_slice = one_slice
        self.cases = tuple(cases)
        self.preprocessing = preprocessing
        self.augment = augment
        self.seed = seed
        self.shapes: dict[int, tuple[int, ...]] = {}  # of the images read here, as they were
        size = 4 * math.prod(preprocessing.shape) * (preprocessing.slices or 1)
        self._cache: list[Tensor] | None = None
        if size * len(self.cases) <= CACHE_BYTES:
            self._cache = [self._read(index) for index in range(len(self.cases))]

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        epoch, index = key
        draw = np.random.default_rng((self.seed, epoch, index))
        image = self.fitted(index)
        if self.preprocessing.slices is None:
            image = self.preprocessing.normalise(self.augment(image, draw))
        elif self.one_slice:
            at = int(draw.integers(image.shape[-1]))
            image = self.preprocessing.normalise(self.augment(image[..., at], draw))
        else:
            image = self.preprocessing.normalise(image).movedim(-1, 0)
        return {"image": image, "label": self.label(index), "index": torch.tensor(index)}

    def label(self, index: int) -> Tensor:
        """The class of one case, or 0 and 1 for each class where a case may show several."""
        case = self.cases[index]
        if self.several is None:
            return torch.tensor(case.label)
        label = torch.zeros(self.several)
        label[list(case.shown)] = 1.0
        return label

    def fitted(self, index: int) -> Float[Tensor, " channel *space"]:
        """The image of one case at its final size, intensities in 0..1; of slices [channel, height, width, slice]."""
        return self._read(index) if self._cache is None else self._cache[index]

    def _read(self, index: int) -> Tensor:
        case = self.cases[index]
        image = read_image(case)
        axes = self.preprocessing.axes
        if image.ndim - 1 != axes:
            remedy = "give 2D images" if axes == 2 else "give volumes, or a folder for each DICOM series"
            raise fault(case.where(), f"has {image.ndim - 1} axes, {axes} are needed", remedy)
        if axes == 3 and (case.index is None) != (self.preprocessing.low is not None):
            raise _other_intensities(case)
        self.shapes[index] = image.shape
        return self.preprocessing.fit(image)


def _other_intensities(case: Case) -> DataError:
    """Of a volume in a file for a network on those of an archive, which are in 0..1, or the reverse."""
    if case.index is None:
        what = "has intensities as stored, those of an .npz archive of volumes, in 0..1, are needed"
        return fault(case.where(), what, "give it as such an archive")
    what = "has intensities in 0..1, those of volumes as stored in files are needed"
    return fault(case.where(), what, "give the files")
