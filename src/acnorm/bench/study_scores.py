"""Scores of a candidate on the training cases of a cell, by every measure; kept, so that a study can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from acnorm.bench.cells import Inputs, code_version
from acnorm.bench.study_cells import Scoring
from acnorm.data.atomic import replacing
from acnorm.data.loading import load_data
from acnorm.errors import RunError, UserError
from acnorm.models.pretrained import weights_file
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES, Measure
from acnorm.ranking.scoring import Task
from acnorm.ranking.settings import window_of
from acnorm.ranking.trajectory import Reading, mean_of, trajectory
from acnorm.training.config import FinetuneConfig

PROBED = ("ac-corr", "affine-drift")
_OF_DATA = ("format", "image_size", "patch_size", "slices", "spacing", "window")
_OF_LOADING = ("minimum_share", "stem_rule", "depth_rule")


@dataclass(frozen=True)
class Value:
    """One score, or the reason why there is none."""

    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Scored:
    """All scores of one candidate on one division of a target.

    size: of its features. parameters: of the network but its head. measures: by name. readings: of the layers after each
    length of the probe, means over probe seeds. reason: why there are no readings.
    """  # noqa: E501

    size: int | None
    parameters: int
    measures: Mapping[str, Value]
    readings: Mapping[str, Reading]
    reason: str | None = None


@dataclass(frozen=True)
class Asked:
    """What is to be computed.

    measures: names. lengths: of the probe, as for ``steps_of``. seeds: probes a candidate. folder: in which features and
    scores are kept.

    Examples:
        >>> Asked(("knn", "ac-corr"), ("1",), 3, Path("bench")).probes
        True
    """  # noqa: E501

    measures: tuple[str, ...]
    lengths: tuple[str, ...]
    seeds: int
    folder: Path

    @property
    def probes(self) -> bool:
        """Whether anything is read off probed networks."""
        return any(name in PROBED for name in self.measures)


class Scorer:
    """Computes scores that are not kept; the cases of a division are read once for the candidates that follow each other.

    Examples:
        >>> Scorer(Asked(("knn",), (), 1, Path("bench"))).asked.probes
        False
    """  # noqa: E501

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._of: Any = None
        self._task: Task | None = None

    def score(self, scoring: Scoring) -> Scored:
        """Return the scores of one candidate on one division.

        Raises:
            UserError: the data or a checkpoint are not there any more, have changed, or cannot be scored.
        """
        config, inputs = scoring.config, scoring.inputs()
        file = self.asked.folder / "scores" / f"{_address(config, inputs, self.asked.seeds)}.json"
        kept = _read(file)
        wanted = _measures(self.asked.measures, label_maps=inputs.collection.task == "segmentation")
        new = tuple(measure for measure in wanted if measure.name not in kept.measures)
        lengths = [name for name in self.asked.lengths if name not in kept.readings]
        if not self.asked.probes or kept.reason is not None:
            lengths = []
        if not new and not lengths:
            return kept
        found = self._computed(config, inputs, new, lengths)
        found = replace(
            found,
            size=kept.size if found.size is None else found.size,
            measures={**kept.measures, **found.measures},
            readings={**kept.readings, **found.readings},
            reason=kept.reason or found.reason,
        )
        with replacing(file) as draft:
            draft.write_text(json.dumps(asdict(found)), encoding="utf-8")
        return found

    def _computed(
        self, config: FinetuneConfig, inputs: Inputs, measures: tuple[Measure, ...], lengths: Sequence[str]
    ) -> Scored:
        task = replace(self._cases(config, inputs), measures=measures)
        sides = len(task.data.preprocessing.shape) - 1
        name = None if config.weights is None else weights_file(config.weights, config.model, sides)
        found = task.found(config.model, name)
        network, report = task.network(config.model, name, task.seed)
        own = [value for key, value in network.module.named_parameters() if not key.startswith(f"{network.head}.")]
        readings: dict[str, Reading] = {}
        reason = None
        if lengths:
            heads = task.with_new_heads(config.model, network, report)
            try:
                along = trajectory(heads, task.cases(config.model), task.probe_seeds, lengths, **task.probe)
                readings = {length: mean_of(each) for length, each in along.items()}
            except (NotDefined, RunError) as error:
                reason = str(error)
        values = {key: Value(item.value, item.reason) for key, item in found.scores.items()}
        return Scored(found.candidate.size, sum(value.numel() for value in own), values, readings, reason)

    def _cases(self, config: FinetuneConfig, inputs: Inputs) -> Task:
        key = inputs.data, config.splits, config.seed, _settings(config)
        if self._task is None or self._of != key:
            self._task = _task(config, inputs, self.asked)
            self._of = key
        return self._task


def _settings(config: FinetuneConfig) -> dict[str, Any]:
    """What decides scores beside the files."""
    return {name: getattr(config, name) for name in (*_OF_DATA, *_OF_LOADING)}


def _address(config: FinetuneConfig, inputs: Inputs, seeds: int) -> str:
    content = {
        "settings": _settings(config),
        "model": config.model,
        "seeds": [config.seed, seeds],
        "data": inputs.data,
        "weights": inputs.weights,
        "network": inputs.network,
        "splits": Path(str(config.splits)).read_text(encoding="utf-8"),
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(file: Path) -> Scored:
    """What is kept; nothing where there is none, or a broken file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        measures = {name: Value(**value) for name, value in found["measures"].items()}
        readings = {name: Reading(**value) for name, value in found["readings"].items()}
        return Scored(found["size"], found["parameters"], measures, readings, found["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return Scored(None, 0, {}, {})


def _measures(names: Sequence[str], *, label_maps: bool) -> tuple[Measure, ...]:
    known = {**MEASURES, **LABEL_MAP_MEASURES} if label_maps else MEASURES
    return tuple(known[name] for name in names if name in known and name not in PROBED)


def _task(config: FinetuneConfig, inputs: Inputs, asked: Asked) -> Task:
    common: dict[str, Any] = {
        **{name: getattr(config, name) for name in _OF_LOADING},
        "seed": config.seed,
        "cache": asked.folder / "features",
        "probe_seeds": range(config.seed, config.seed + asked.seeds),
        "intervals": False,
    }
    splits = Path(str(config.splits))
    if inputs.collection.task == "segmentation":
        from acnorm.ranking.label_maps import label_map_task  # MONAI takes seconds to import

        settings = {name: getattr(config, name) for name in _OF_DATA if name != "image_size"}
        return label_map_task(
            config.data, (), {}, settings={**settings, "splits": splits, "stage": None, "voxels": None}, **common
        )
    if config.slices:
        raise UserError(f"{config.data}: volumes with classes, slice by slice, have no scores; leave this target out.")
    data = load_data(
        inputs.collection,
        splits_file=splits,
        image_size=config.image_size,
        window=window_of(config.window),
        seed=config.seed,
    )
    return Task(data, (), probe={}, **common)
