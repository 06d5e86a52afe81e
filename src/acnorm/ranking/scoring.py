"""Score one candidate: its network, one pass over the cases, its probes, and every measure with its spread."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from acnorm.checkpoints.load import LoadReport, load_checkpoint
from acnorm.checkpoints.stem import DepthRule, StemRule
from acnorm.data.batches import EpochBatches
from acnorm.data.dataset import CaseDataset
from acnorm.data.preprocessing import statistics
from acnorm.models.sources import Network, build_network, find_source
from acnorm.ranking.features import features_of, source_probabilities
from acnorm.ranking.gradient_ratio import gradient_ratio
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import Evidence, Measure
from acnorm.ranking.placing import deviation
from acnorm.ranking.probe import BATCH_SIZE
from acnorm.ranking.probed import NetworkOf, Probed, probed
from acnorm.ranking.resampling import Draws, Resampled, resampled
from acnorm.ranking.result import RANDOM, Candidate, Score


@dataclass
class Found:
    """All that is known of one candidate before it is compared with others."""

    candidate: Candidate
    results: dict[str, Resampled] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What is the same for all candidates; here for images with classes.

    data: ``PreparedData``, or of a subclass other data with training cases, classes and preprocessing. intervals:
    whether measures of features are computed on draws of patients as well.
    """

    refused: ClassVar[Mapping[str, str]] = {}  # why measures with these needs have no score

    data: Any
    measures: tuple[Measure, ...]
    seed: int
    minimum_share: float
    cache: Path | None
    probe_seeds: range
    probe: Mapping[str, Any]
    stem_rule: StemRule = "sum"
    depth_rule: DepthRule = "spread"
    intervals: bool = True

    def network(self, model: str, name: str | None, seed: int) -> tuple[Network, LoadReport | None]:
        """The network with a head drawn from the seed, and what loaded from the file (nothing where None)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.new_network(model)
        if name is None:
            return network, None
        report = load_checkpoint(
            network.module,
            name,
            head=network.head,
            stem=network.stem,
            decoder=network.source.decoder,
            minimum_share=self.minimum_share,
            stem_rule=self.stem_rule,
            depth_rule=self.depth_rule,
        )
        return network, report

    def new_network(self, model: str) -> Network:
        """The network with new weights."""
        prepare, classes = self.data.preprocessing, len(self.data.collection.classes)
        return build_network(model, classes=classes, channels=prepare.channels, dimensions=prepare.dimensions)

    def cases(self, model: str) -> Any:
        """The training cases as this network is used to seeing them."""
        train, usual = self.data.train, find_source(model).statistics
        if usual is None or len(usual[0]) != train.preprocessing.channels:
            usual = statistics([train.fitted(index) for index in range(len(train))])
        cases = copy.copy(train)
        cases.preprocessing = replace(train.preprocessing, mean=usual[0], deviation=usual[1])
        return cases

    @property
    def groups(self) -> list[str]:
        """The patient of each training case, or the case itself where that is not known."""
        return [
            f"case {case.id}" if case.patient is None else f"patient {case.patient}" for case in self.data.train.cases
        ]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each training case, or 0 and 1 for each class where a case may show several."""
        return np.stack([self.data.train.label(index).numpy() for index in range(len(self.data.train))]).astype(
            np.int64
        )

    @property
    def sample(self) -> str:
        """What the features are of, where that must be said."""
        return ""

    @property
    def batches(self) -> str:
        """What a step of the probe sees."""
        return str(BATCH_SIZE)

    def evidence(self, network: Network, cases: Any, name: str | None) -> tuple[Evidence, bool]:
        """What one pass over the cases gives, and whether it came from the cache."""
        features, cached = features_of(network, cases, self.cache)
        finite = np.isfinite(features).all()
        source = None if name is None or not finite else source_probabilities(network, name, features)
        return Evidence(features, self.labels, np.array(self.groups), source), cached

    def found(self, model: str, name: str | None) -> Found:
        """Score one candidate, or the network with random weights where no file is named."""
        start = time.perf_counter()
        network, report = self.network(model, name, self.seed)
        share = 0.0 if report is None else report.parameter_share
        found = Found(Candidate(RANDOM if name is None else name, loaded=share, model=model))
        found.scores = {
            measure.name: Score(reason=self.refused[measure.needs])
            for measure in self.measures
            if measure.needs in self.refused
        }
        needs = {measure.needs for measure in self._served}
        cases = self.cases(model)
        if needs - {"gradients", "probe"}:
            self._score_features(found, network, cases, name)
        if "gradients" in needs:
            self._score_gradients(found, network, cases)
        if "probe" in needs:
            self._score_probes(found, model, cases, network, report)
        found.scores = {measure.name: found.scores[measure.name] for measure in self.measures}
        found.candidate = replace(found.candidate, seconds=time.perf_counter() - start)
        return found

    @property
    def _served(self) -> list[Measure]:
        return [measure for measure in self.measures if measure.needs not in self.refused]

    def _score_features(self, found: Found, network: Network, cases: Any, name: str | None) -> None:
        evidence, cached = self.evidence(network, cases, name)
        found.candidate = replace(found.candidate, size=evidence.features.shape[1], cached=cached)
        draws = Draws.make(evidence.labels, list(evidence.groups), seed=self.seed) if self.intervals else Draws((), ())
        for measure in self._served:
            if not measure.of_network:
                _timed(found, measure.name, partial(resampled, measure, evidence, draws))

    def _score_gradients(self, found: Found, network: Network, cases: CaseDataset) -> None:
        start, values, reason = time.perf_counter(), [], None
        try:
            for seed in self.probe_seeds:  # the batch that the probe of this seed begins with
                rows = [row for _, row in next(iter(EpochBatches(len(cases), BATCH_SIZE, seed=seed)))]
                images = torch.stack([cases[0, row]["image"] for row in rows])
                labels = torch.stack([cases.label(row) for row in rows])
                values.append(gradient_ratio(network.module, network.head, images, labels))
        except NotDefined as error:
            reason = str(error)
        _add_by_seed(found, "gradient-ratio", values, reason, time.perf_counter() - start)

    def with_new_heads(self, model: str, first: Network, report: LoadReport | None) -> NetworkOf:
        """The network with what loaded into ``first``, and a head of its own for each probe seed."""
        names = () if report is None else report.loaded
        loaded = {name: value for name, value in first.module.state_dict().items() if name in names}

        def network_of(seed: int) -> tuple[Network, Sequence[str] | None]:
            network, _ = self.network(model, None, seed)
            network.module.load_state_dict(loaded, strict=False)
            return network, None if report is None else report.trained_norms

        return network_of

    def _score_probes(self, found: Found, model: str, cases: Any, first: Network, report: LoadReport | None) -> None:
        start, result, reason = time.perf_counter(), None, None
        try:
            result = probed(self.with_new_heads(model, first, report), cases, self.probe_seeds, **self.probe)
        except NotDefined as error:
            reason = str(error)
        seconds = time.perf_counter() - start
        for measure in self.measures:
            if measure.needs == "probe":
                values = () if result is None else result.paper if measure.name == "ac-corr" else result.drift
                _add_by_seed(found, measure.name, values, reason, seconds)
        found.candidate = replace(found.candidate, refused=reason)
        if result is not None:
            found.candidate = _with_forms(found.candidate, result)


def _timed(found: Found, name: str, score: Callable[[], Resampled]) -> None:
    start = time.perf_counter()
    try:
        result = score()
    except NotDefined as error:
        found.scores[name] = Score(reason=str(error), seconds=time.perf_counter() - start)
        return
    found.results[name] = result
    found.scores[name] = Score(result.value, result.low, result.high, seconds=time.perf_counter() - start)


def _add_by_seed(found: Found, name: str, by_seed: Sequence[float], reason: str | None, seconds: float) -> None:
    """Add the mean over seeds, with two standard deviations either way."""
    if reason is not None:
        found.scores[name] = Score(reason=reason, seconds=seconds)
        return
    values = np.array(by_seed)
    spread = 2 * deviation(Resampled(0.0, values, None, None))
    mean = float(values.mean())
    found.results[name] = Resampled(mean, values, mean - spread, mean + spread)
    found.scores[name] = Score(mean, mean - spread, mean + spread, seconds=seconds)


def _with_forms(candidate: Candidate, result: Probed) -> Candidate:
    """With both forms of AC-Corr, as a mean over probe seeds with its standard deviation."""
    paper, channel = (Resampled(0.0, np.array(values), None, None) for values in (result.paper, result.per_channel))
    return replace(
        candidate,
        paper=float(paper.values.mean()),
        paper_deviation=deviation(paper),
        per_channel=float(channel.values.mean()),
        per_channel_deviation=deviation(channel),
    )
