"""What a run folder holds, as frozen records; None stands for a file that the run did not write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Metric:
    """One figure with its 95 % interval; `value` is None, and `reason` says why, where it is undefined.

    Examples:
        >>> Metric(0.7129, 0.6, 0.8).interval
        '[0.600, 0.800]'
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def interval(self) -> str:
        """The interval in brackets, or nothing where there is none."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class SplitResult:
    """What was measured on one split.

    Of label maps, `absent` tells in how many cases each class is absent, `undefined` how many cases (of the ejection
    fraction: patients) each mean leaves out as it is not defined there, and `observer` how a second observer agrees in
    the cases that have one.
    """

    cases: int
    patients: int | None
    metrics: Mapping[str, Metric]
    absent: Mapping[str, int] = field(default_factory=dict)
    undefined: Mapping[str, int] = field(default_factory=dict)
    observer: SplitResult | None = None


@dataclass(frozen=True)
class StatisticsGap:
    """Mean loss over the same training batches with the norm statistics of each batch, and with the running ones."""

    batch: float
    running: float


@dataclass(frozen=True)
class Results:
    """`metrics.json`: the final figures of the chosen epoch, which is counted from 1 here and from 0 in the file."""

    classes: tuple[str, ...]
    resampled: str
    monitor: str
    best_epoch: int | None
    epochs: int | None
    seconds: float | None
    splits: Mapping[str, SplitResult]
    trainable: int | None
    total: int | None
    task: str = "classification"
    gap: StatisticsGap | None = None


@dataclass(frozen=True)
class DataFacts:
    """`data.json`: what the run was trained and tested on; counts go by split, then by class.

    `cases` counts the cases of each split where one may hold several classes (label maps), else it is None.
    """

    source: str
    format: str
    classes: tuple[str, ...]
    origin: str
    counts: Mapping[str, Sequence[int]]
    patients: Mapping[str, int] | None
    image: tuple[int, ...]
    warnings: tuple[str, ...]
    cases: Mapping[str, int] | None = None

    def total(self, split: str) -> int:
        """Cases of a split."""
        return sum(self.counts[split]) if self.cases is None else self.cases.get(split, 0)


@dataclass(frozen=True)
class NameGroup:
    """Some tensors of a checkpoint: how many, and the first names."""

    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class LoadFacts:
    """`load_report.json`: what became of the checkpoint's tensors."""

    file: str
    sha256: str
    groups: Mapping[str, NameGroup]
    parameter_share: float | None
    norm_share: float | None


@dataclass(frozen=True)
class Slice:
    """One slice of a volume as a `data:` URI; `level` is its number from below, `first` whether it is shown first."""

    level: int
    image: str
    first: bool


@dataclass(frozen=True)
class Example:
    """One case shown as an image; `probability` is that of its true class, `image` a `data:` URI.

    Of a label map, `score` is its Dice, and there is no label; of a volume, `slices` are shown, `image` first.
    """

    id: str
    label: str
    prediction: str
    probability: float
    loss: float
    kind: str
    image: str | None
    small: bool
    score: float | None = None
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class LayerFacts:
    """One recalibrated norm layer."""

    name: str
    channels: int
    gain: float
    sparsity: float
    drift: float


@dataclass(frozen=True)
class ACNormFacts:
    """`acnorm.json`; `tensors` is the file of affines beside it, where there is one."""

    temperature: float
    eps: float
    layers: tuple[LayerFacts, ...]
    left_alone: tuple[Mapping[str, str], ...]
    tensors: Path | None
    partners: str = "paper"


@dataclass(frozen=True)
class Run:
    """A run folder in memory; the epochs of its history are counted from 1, those of `metrics.csv` from 0."""

    folder: Path
    config: Mapping[str, object]
    history: pd.DataFrame | None
    results: Results | None
    cases: pd.DataFrame | None
    data: DataFacts | None
    load: LoadFacts | None
    examples: tuple[Example, ...]
    acnorm: ACNormFacts | None
    scores: pd.DataFrame | None = None

    @property
    def segments(self) -> bool:
        """Whether the run is of label maps, whose cases have `scores` in the place of probabilities."""
        return self.results is not None and self.results.task == "segmentation"

    @property
    def several(self) -> bool:
        """Whether a case may show several classes: its rows then say of each, as `truth_0`, …, whether it is there."""
        return self.results is not None and self.results.task == "multilabel"

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, from the results or, without them, from the data."""
        if self.results is not None:
            return self.results.classes
        return self.data.classes if self.data is not None else ()

    def split_cases(self, split: str) -> pd.DataFrame | None:
        """The rows of `per_case.csv` that belong to a split, or None where there is none."""
        if self.cases is None:
            return None
        rows = self.cases[self.cases["split"] == split]
        return rows if len(rows) else None
