"""Score one candidate: its network, one pass over the cases, its probes, and every measure with its spread."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from acnorm.checkpoints.load import LoadReport, load_checkpoint
from acnorm.data.batches import EpochBatches
from acnorm.data.dataset import CaseDataset
from acnorm.data.loading import PreparedData
from acnorm.data.preprocessing import statistics
from acnorm.models.sources import Network, build_network, find_source
from acnorm.ranking.features import features_of, source_probabilities
from acnorm.ranking.gradient_ratio import gradient_ratio
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import Evidence, Measure
from acnorm.ranking.placing import deviation
from acnorm.ranking.probe import BATCH_SIZE
from acnorm.ranking.probed import Probed, probed
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
    """What is the same for all candidates."""

    data: PreparedData
    measures: tuple[Measure, ...]
    seed: int
    minimum_share: float
    cache: Path | None
    probe_seeds: range
    probe: Mapping[str, int | str | None]

    def network(self, model: str, name: str | None, seed: int) -> tuple[Network, LoadReport | None]:
        """The network with a head drawn from the seed, and what loaded from the file (nothing where None)."""
        prepare, classes = self.data.preprocessing, len(self.data.collection.classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(model, classes=classes, channels=prepare.channels, dimensions=prepare.dimensions)
        if name is None:
            return network, None
        share = self.minimum_share
        report = load_checkpoint(network.module, name, head=network.head, stem=network.stem, minimum_share=share)
        return network, report

    def cases(self, model: str) -> CaseDataset:
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

    def found(self, model: str, name: str | None) -> Found:
        """Score one candidate, or the network with random weights where no file is named."""
        start = time.perf_counter()
        network, report = self.network(model, name, self.seed)
        share = 0.0 if report is None else report.parameter_share
        found = Found(Candidate(RANDOM if name is None else name, loaded=share, model=model))
        cases = self.cases(model)
        if not all(measure.of_network for measure in self.measures):
            self._score_features(found, network, cases, name)
        if any(measure.needs == "gradients" for measure in self.measures):
            self._score_gradients(found, network, cases)
        if any(measure.needs == "probe" for measure in self.measures):
            self._score_probes(found, model, cases, network, report)
        found.scores = {measure.name: found.scores[measure.name] for measure in self.measures}
        found.candidate = replace(found.candidate, seconds=time.perf_counter() - start)
        return found

    def _score_features(self, found: Found, network: Network, cases: CaseDataset, name: str | None) -> None:
        features, cached = features_of(network, cases, self.cache)
        found.candidate = replace(found.candidate, size=features.shape[1], cached=cached)
        finite = np.isfinite(features).all()
        source = None if name is None or not finite else source_probabilities(network, name, features)
        evidence = Evidence(features, self.labels, np.array(self.groups), source)
        draws = Draws.make(evidence.labels, self.groups, seed=self.seed)
        for measure in self.measures:
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

    def _score_probes(
        self, found: Found, model: str, cases: CaseDataset, first: Network, report: LoadReport | None
    ) -> None:
        names = () if report is None else report.loaded
        loaded = {name: value for name, value in first.module.state_dict().items() if name in names}

        def network_of(seed: int) -> tuple[Network, Sequence[str] | None]:
            network, _ = self.network(model, None, seed)
            network.module.load_state_dict(loaded, strict=False)
            return network, None if report is None else report.trained_norms

        start, result, reason = time.perf_counter(), None, None
        try:
            result = probed(network_of, cases, self.probe_seeds, **self.probe)  # type: ignore[arg-type]
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
