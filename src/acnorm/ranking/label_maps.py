"""Candidates for segmentation: voxels in the place of cases, and probes on patches with a new decoder."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acnorm.data.patches import PatchDataset
from acnorm.data.segmentation import PreparedSegmentation, load_segmentation
from acnorm.errors import UserError
from acnorm.models.segmentation_loss import segmentation_loss
from acnorm.models.sources import Network, build_unet
from acnorm.ranking.measures import Evidence, Measure, VoxelEvidence
from acnorm.ranking.scoring import Task
from acnorm.ranking.settings import checked_settings
from acnorm.ranking.voxel_features import chosen_stages, stage_maps, voxel_features
from acnorm.ranking.voxels import VOXELS, VoxelSample, draw_voxels

BATCH_SIZE = {2: 16, 3: 4}  # patches of a probe's step, by their axes


@dataclass(frozen=True)
class LabelMapTask(Task):
    """What is the same for all candidates, for label maps.

    stages: of the encoder, whose features are taken; chosen by the network where None. voxels: of each class in each
    case.
    """

    refused: ClassVar[Mapping[str, str]] = {
        "source classes": "a checkpoint's own classes are of whole images, not of voxels",
        "gradients": "its triplets are of whole images, not of voxels",
    }

    stages: tuple[int, ...] | None = None
    voxels: int = VOXELS
    known: dict[str, list[int]] = field(default_factory=dict, repr=False)  # channels of the stages of each network

    def new_network(self, model: str) -> Network:
        """A U-Net on the network, as for ``finetune``."""
        prepared: PreparedSegmentation = self.data
        axes, channels = len(prepared.preprocessing.patch), prepared.preprocessing.channels
        network = build_unet(model, classes=len(prepared.collection.classes), channels=channels, dimensions=axes)
        self._widths(network)
        return network

    def cases(self, model: str) -> PatchDataset:  # noqa: ARG002
        """The training cases, as many patches of each as fill a batch of the probe."""
        train: PatchDataset = self.data.train
        return train.drawn_anew(self.seed, -(-BATCH_SIZE[len(train.patch)] // len(train.cases)))

    @property
    def batches(self) -> str:
        """What a step of the probe sees."""
        return f"{self.probe['batch_size']} patches"

    @cached_property
    def drawn(self) -> VoxelSample:
        """The voxels, the same for all candidates."""
        return draw_voxels(self.data.train, len(self.data.collection.classes), each=self.voxels, seed=self.seed)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each voxel."""
        return self.drawn.labels

    @property
    def sample(self) -> str:
        """What the features are of."""
        drawn = self.drawn
        looked = len({patch.case for patch in drawn.patches})
        sides = " × ".join(map(str, self.data.train.patch))
        stages = {name: chosen_stages(widths, self.stages, name) for name, widths in self.known.items()}
        told = ", ".join(f"stage {' and '.join(map(str, chosen))} of {name}" for name, chosen in stages.items())
        return (
            f"up to {drawn.each} voxels of each class in each of {looked} cases, {len(drawn.labels)} in all, "
            f"in patches of {sides}, {told}"
        )

    def evidence(self, network: Network, cases: PatchDataset, name: str | None) -> tuple[Evidence, bool]:  # noqa: ARG002
        """The features of the voxels."""
        widths = self._widths(network)
        stages = chosen_stages(widths, self.stages, network.name)
        settings = {"preprocessing": self.data.preprocessing.to_dict()}
        features, cached = voxel_features(network, cases, self.drawn, stages, cache=self.cache, settings=settings)
        chosen = tuple(widths[stage - 1] for stage in stages)
        rows = self.drawn.cases
        ids = np.array([case.id for case in cases.cases])
        return VoxelEvidence(
            side_by_side(features, chosen),
            self.labels,
            np.array(self.groups)[rows],
            cases=ids[rows],
            widths=chosen,
        ), cached

    @torch.no_grad()
    def _widths(self, network: Network) -> list[int]:
        """Channels of each stage; tells a network that cannot take the patches, and stages that are not there."""
        if network.name in self.known:
            return self.known[network.name]
        images = torch.zeros(2, *self.data.preprocessing.shape)
        module = deepcopy(network.module).eval()
        try:
            module(images)
            widths = [found.shape[1] for found in stage_maps(module, images)]
        except Exception as error:
            shape = " × ".join(map(str, images.shape[1:]))
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"--model {network.name}: cannot take patches of {shape} ({what}); "
                "give another --patch-size or --model."
            ) from error
        chosen_stages(widths, self.stages, network.name)
        self.known[network.name] = widths
        return widths


def side_by_side(features: NDArray[np.float32], widths: tuple[int, ...]) -> NDArray[np.float32]:
    """Return features of several stages each scaled to a mean squared length of 1, so that none outweighs the others.

    Args:
        features: [voxel, feature].
        widths: features of each stage; those of one stage stay as they are.

    Examples:
        >>> found = side_by_side(np.array([[4.0, 0.0], [0.0, 2.0]], np.float32), (1, 1))
        >>> found.astype(float).round(3).tolist()
        [[1.414, 0.0], [0.0, 1.414]]
    """
    if len(widths) == 1:
        return features
    parts = np.split(features, np.cumsum(widths)[:-1], axis=1)
    lengths = [np.sqrt((part.astype(np.float64) ** 2).sum(axis=1).mean()) for part in parts]
    scaled = [part / length if length > 0 else part for part, length in zip(parts, lengths, strict=True)]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def patch_loss() -> Any:
    """Return the loss of a network on a batch of patches, that of ``finetune``.

    Examples:
        >>> batch = {"image": torch.zeros(1, 1, 4, 4), "mask": torch.zeros(1, 4, 4, dtype=torch.long)}
        >>> patch_loss()(nn.Conv2d(1, 2, 1), batch).ndim
        0
    """
    loss = segmentation_loss()

    def of(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = loss(network(batch["image"]), batch["mask"][:, None])
        return found

    return of


def label_map_task(
    data: Path | str,
    measures: tuple[Measure, ...],
    probe: Mapping[str, Any],
    *,
    seed: int,
    settings: Mapping[str, Any],
    **common: Any,
) -> LabelMapTask:
    """Read label maps and return what is the same for all candidates.

    Args:
        data: as for ``finetune``.
        measures: the chosen ones.
        probe: steps, epochs and layers.
        seed: as for ``rank``.
        settings: those of ``rank`` that are for label maps, by name, as ``with_task`` gives them.
        common: the other fields of ``Task``.

    Raises:
        UserError: as ``load_segmentation``, or a setting that does not fit.

    Examples:
        >>> label_map_task.__name__
        'label_map_task'
    """
    own = checked_settings(settings)
    loaded = load_segmentation(
        data,
        format=own["format"],
        splits_file=own["splits"],
        patch_size=own["patch_size"],
        slices=bool(own["slices"]),
        spacing=own["spacing"],
        window=own["window"],
        seed=seed,
        skip_bad=own["skip_bad"],
        modality=own["modality"],
    )
    batch_size = BATCH_SIZE[len(loaded.preprocessing.patch)]
    return LabelMapTask(
        loaded,
        measures,
        seed,
        probe={**probe, "batch_size": batch_size, "loss": patch_loss()},
        stages=own["stage"],
        voxels=own["voxels"] or VOXELS,
        **common,
    )
