"""Rank candidate checkpoints for one data set."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acnorm.checkpoints.load import MINIMUM_SHARE, LoadReport, load_checkpoint
from acnorm.core.convert import ConversionError, acnorm_layers, convert
from acnorm.data.loading import PreparedData, load_data
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_network, find_source
from acnorm.ranking.ac_corr import ACCorr, ac_corr
from acnorm.ranking.probe import probe

# Below this spread (standard deviation) of a layer's source ratios, its channels can hardly be told apart.
LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Candidate:
    """One candidate's scores, each a mean over probe seeds with its standard deviation; or why it has none.

    loaded: share of the network's parameters outside the head that came from the file.
    """

    weights: str
    paper: float | None = None
    paper_deviation: float | None = None
    per_channel: float | None = None
    per_channel_deviation: float | None = None
    seconds: float = 0.0
    loaded: float = 1.0
    refused: str | None = None


@dataclass(frozen=True)
class Ranking:
    """Candidates by the paper's score, highest first; those without a score last.

    protocol: the probe in words. tied: candidates that cannot be told from the first, its own weights included.
    """

    candidates: tuple[Candidate, ...]
    protocol: str
    tied: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def rank(
    *,
    data: Path | str,
    model: str,
    weights: Sequence[Path | str] | Path | str,
    format: str | None = None,
    splits: Path | str | None = None,
    image_size: int | None = None,
    probe_epochs: int | None = None,
    probe_seeds: int = 5,
    seed: int = 0,
    minimum_share: float = MINIMUM_SHARE,
) -> Ranking:
    """Score candidates by AC-Corr after one optimiser step (or some epochs) on the training cases.

    Every candidate is probed with the same heads and the same batches, once a probe seed. A source without a
    trained affine (random initialisation) would score the maximum and is refused a score. The validation and test
    cases are not used.

    Args:
        data: as for ``finetune``.
        model: the network that all candidates are for.
        weights: candidate checkpoints, each a different file; or one.
        format: of the data.
        splits: file with the split of each case.
        image_size: in pixels.
        probe_epochs: whole epochs in place of one step.
        probe_seeds: probes a candidate.
        seed: first of the probe seeds, and of the splits.
        minimum_share: least share of the parameters, and of what the file holds, that must load.

    Raises:
        UserError: data, model or a checkpoint that cannot be used.

    Examples:
        >>> rank(data="eyes.npz", model="cifar/resnet20", weights=[])
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --weights: give the candidate checkpoints, one or more.
    """
    names = [str(file) for file in ([weights] if isinstance(weights, str | Path) else weights)]
    _check(names, probe_epochs, probe_seeds)
    loaded = load_data(
        data,
        format=format,
        splits_file=None if splits is None else Path(splits),
        image_size=image_size,
        usual_statistics=find_source(model).statistics,
        seed=seed,
    )
    for name in names:  # all of them before the first probe: a bad file is told at once
        _load(_network(model, loaded, seed), name, minimum_share)
    seeds = range(seed, seed + probe_seeds)
    candidates = [_score(name, model, loaded, seeds, probe_epochs, minimum_share) for name in names]
    candidates.sort(key=lambda candidate: -np.inf if candidate.paper is None else candidate.paper, reverse=True)
    length = "one optimiser step" if probe_epochs is None else f"{probe_epochs} epoch{'s' * (probe_epochs > 1)}"
    protocol = f"{length} of SGD at 0.01 (head 0.1), batches of 64, {probe_seeds} probe seeds"
    return Ranking(tuple(candidates), protocol, _tied(candidates))


def _score(
    name: str, model: str, data: PreparedData, seeds: range, epochs: int | None, minimum_share: float
) -> Candidate:
    start = time.perf_counter()
    scores: list[ACCorr] = []
    for seed in seeds:
        network = _network(model, data, seed)
        report = _load(network, name, minimum_share)
        try:
            module = convert(network.module, report.trained_norms)
        except ConversionError as error:
            return Candidate(name, refused=str(error))
        spread = float(
            np.median([float(layer.ratios()[1].std(correction=0)) for layer in acnorm_layers(module).values()])
        )
        if spread < LEAST_SPREAD:
            reason = f"its affine ratios hardly differ (median spread {spread:.1e}): it looks untrained"
            return Candidate(name, refused=reason)
        probe(module, network.head, data.train, seed=seed, epochs=epochs)
        scores.append(ac_corr(module))
    paper = np.array([score.paper for score in scores])
    channel = np.array([score.per_channel for score in scores])
    several = int(len(scores) > 1)
    return Candidate(
        name,
        paper=float(paper.mean()),
        paper_deviation=float(paper.std(ddof=several)),
        per_channel=float(channel.mean()),
        per_channel_deviation=float(channel.std(ddof=several)),
        seconds=time.perf_counter() - start,
        loaded=report.parameter_share,
    )


def _tied(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Those whose score lies within two standard deviations (of the difference over probe seeds) of the first."""
    scored = [candidate for candidate in candidates if candidate.paper is not None]
    if not scored:
        return ()
    first = scored[0]

    def near(other: Candidate) -> bool:
        spread = np.hypot(first.paper_deviation or 0.0, other.paper_deviation or 0.0)
        return bool((first.paper or 0.0) - (other.paper or 0.0) <= 2 * spread)

    return tuple(candidate.weights for candidate in scored if candidate is first or near(candidate))


def _network(model: str, data: PreparedData, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prepare, classes = data.preprocessing, len(data.collection.classes)
        return build_network(model, classes=classes, channels=prepare.channels, dimensions=prepare.dimensions)


def _load(network: Network, name: str, minimum_share: float) -> LoadReport:
    return load_checkpoint(network.module, name, head=network.head, stem=network.stem, minimum_share=minimum_share)


def _check(names: Sequence[str], probe_epochs: int | None, probe_seeds: int) -> None:
    if not names:
        raise UserError("--weights: give the candidate checkpoints, one or more.")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise UserError(f"--weights: {doubles[0]} is given twice; give each candidate once.")
    for flag, value in (("--probe-epochs", probe_epochs), ("--probe-seeds", probe_seeds)):
        if value is not None and value < 1:
            raise UserError(f"{flag} is {value}, must be 1 or more.")
