"""What differs between kinds of tasks in a run: data, network, objective, and what is measured and shown at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from acnorm.data.augment import AUGMENTATIONS
from acnorm.data.case import Collection
from acnorm.data.loading import load_data
from acnorm.data.skipping import read_sound
from acnorm.data.splits import Splits
from acnorm.data.tasks import check_kind
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_network, find_source
from acnorm.training.config import FinetuneConfig, numbers_of
from acnorm.training.evaluate import (
    counts_by_class,
    metrics_of,
    predict_cases,
    write_examples,
    write_per_case,
)
from acnorm.training.objective import ClassificationObjective, MultilabelObjective, Objective, OrdinalObjective
from acnorm.training.run_folder import RunFolder


class Prepared(Protocol):
    """The data of a run, of either kind: three datasets with ``cases``, and how images are brought to the network."""

    @property
    def collection(self) -> Collection:
        """All cases."""
        ...

    @property
    def splits(self) -> Splits:
        """Their splits."""
        ...

    @property
    def preprocessing(self) -> Any:
        """Of images."""
        ...

    @property
    def by_split(self) -> Mapping[str, Any]:
        """The datasets by name."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know."""
        ...


class Kind(Protocol):
    """One kind of task; ``kind_of`` finds the one that data ask for."""

    def prepare(self, config: FinetuneConfig, splits_file: Path | None) -> Any:
        """Read, split and fit the data."""
        ...

    def network(self, config: FinetuneConfig, data: Any) -> Network:
        """Build the network that config and data ask for, with new weights."""
        ...

    def output(self, data: Any) -> list[int]:
        """The shape of the network's output for one input."""
        ...

    def objective(self, config: FinetuneConfig, data: Any) -> Objective:
        """What is trained for."""
        ...

    def about(self, data: Any) -> dict[str, Any]:
        """What data.json says of this kind: the cases of each class in each split."""
        ...

    def evaluate(self, run: RunFolder, network: nn.Module, data: Any, config: FinetuneConfig) -> dict[str, Any]:
        """Write the results of every case, and return the metrics of each split."""
        ...


def kind_of(config: FinetuneConfig) -> Kind:
    """Return the kind of task that the data of a run ask for.

    Raises:
        UserError: the data cannot be read, or are of another kind than the task.

    Examples:
        >>> kind_of.__name__
        'kind_of'
    """
    held = read_sound(config.data, config.format, skip_bad=config.skip_bad).task
    if config.task is not None:
        check_kind(config.task, held, config.data)
    if held == "multilabel":
        if config.ordinal:
            raise UserError(f"--ordinal: is for one grade a case; {config.data} holds several classes a case.")
        return MultilabelKind()
    if held == "classification":
        return ClassificationKind()
    from acnorm.training.segmentation_kind import SegmentationKind  # MONAI takes seconds to import

    return SegmentationKind()


class ClassificationKind:
    """Images with one label each.

    Examples:
        >>> config = FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run")
        >>> ClassificationKind().objective(config, None).monitor
        'val_macro_auc'
    """

    def prepare(self, config: FinetuneConfig, splits_file: Path | None) -> Any:
        """As ``load_data``."""
        return load_data(
            config.data,
            format=config.format,
            splits_file=splits_file,
            image_size=config.image_size,
            window=None if config.window is None else numbers_of(config.window),
            augment=AUGMENTATIONS[config.augment],
            usual_statistics=find_source(config.model).statistics if config.weights is not None else None,
            seed=config.seed,
            skip_bad=config.skip_bad,
            slices=config.slices,
        )

    def network(self, config: FinetuneConfig, data: Any) -> Network:
        """A classification network."""
        prepare, classes = data.preprocessing, len(data.collection.classes)
        return build_network(config.model, classes=classes, channels=prepare.channels, dimensions=prepare.dimensions)

    def output(self, data: Any) -> list[int]:
        """[class]."""
        return [len(data.collection.classes)]

    def objective(self, config: FinetuneConfig, data: Any) -> Objective:  # noqa: ARG002
        """Cross-entropy, judged by macro AUC; of grades in order what ``OrdinalObjective`` says."""
        return (OrdinalObjective if config.ordinal else ClassificationObjective)(slices=config.slices)

    def about(self, data: Any) -> dict[str, Any]:
        """Counts of labels."""
        count = len(data.collection.classes)
        return {"counts": {name: counts_by_class(part.cases, count) for name, part in data.by_split.items()}}

    def evaluate(self, run: RunFolder, network: nn.Module, data: Any, config: FinetuneConfig) -> dict[str, Any]:
        """Probabilities of every case, and images of the worst and the best."""
        predictions = {name: predict_cases(network, getattr(data, name)) for name in ("val", "test")}
        write_per_case(run.path / "per_case.csv", predictions)
        write_examples(run, predictions["test"], data.test, data.collection.classes)
        return {
            name: metrics_of(found, resamples=config.bootstrap, seed=config.seed) for name, found in predictions.items()
        }


class MultilabelKind(ClassificationKind):
    """Images that may show several classes each.

    Examples:
        >>> config = FinetuneConfig(data="lungs.npz", model="cifar/resnet20", out="run")
        >>> MultilabelKind().objective(config, None).columns[-1]
        'val_macro_average_precision'
    """

    def objective(self, config: FinetuneConfig, data: Any) -> Objective:  # noqa: ARG002
        """Binary cross-entropy, judged by macro AUC."""
        return MultilabelObjective(slices=config.slices)

    def about(self, data: Any) -> dict[str, Any]:
        """Counts of cases that show each class, and of cases."""
        return super().about(data) | {"cases": {name: len(part.cases) for name, part in data.by_split.items()}}
