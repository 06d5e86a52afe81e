"""Rank candidate checkpoints for one data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acnorm.checkpoints.load import MINIMUM_SHARE
from acnorm.checkpoints.stem import DEPTH_RULES, STEM_RULES
from acnorm.data.loading import load_data
from acnorm.data.skipping import read_sound
from acnorm.data.tasks import check_kind, find_task
from acnorm.errors import UserError
from acnorm.models.sources import find_source
from acnorm.ranking.advice import advice
from acnorm.ranking.agreement import agreement
from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES, Measure
from acnorm.ranking.placing import beyond_probes, incomparable, placed
from acnorm.ranking.resampling import differs
from acnorm.ranking.result import Candidate as Candidate
from acnorm.ranking.result import Ranking as Ranking
from acnorm.ranking.scoring import Found, Task
from acnorm.ranking.settings import refuse_other_kind, window_of, with_task

# Those with the most evidence for them, in the order in which they decide.
DEFAULT = ("knn", "linear-probe", "logme", "leep", "nce", "shrunk-h-score", "ac-corr", "affine-drift")
# The same of label maps, without those that need a head of the source, and with the one made for them.
LABEL_MAP_DEFAULT = ("knn", "linear-probe", "logme", "cc-fv", "shrunk-h-score", "ac-corr", "affine-drift")


def rank(
    *,
    data: Path | str,
    model: Sequence[str] | str,
    weights: Sequence[Path | str] | Path | str,
    measures: Sequence[str] | str | None = None,
    task: str | None = None,
    format: str | None = None,
    splits: Path | str | None = None,
    image_size: int | None = None,
    patch_size: int | None = None,
    slices: bool | None = None,
    spacing: Sequence[float] | str | None = None,
    window: Sequence[float] | str | None = None,
    stage: Sequence[int] | int | str | None = None,
    voxels: int | None = None,
    probe_steps: int | None = None,
    probe_epochs: int | None = None,
    probe_seeds: int = 5,
    layers: str | None = None,
    seed: int = 0,
    minimum_share: float = MINIMUM_SHARE,
    stem_rule: str = "sum",
    depth_rule: str = "spread",
    cache: Path | str | None = None,
    skip_bad: bool = False,
) -> Ranking:
    """Score candidates on the training cases by transferability measures; the validation and test cases are not used.

    One pass over the cases in eval mode gives the features of a candidate, on which most measures are computed, each
    with an interval over patients. AC-Corr and affine drift are read after a probe of one optimiser step (or more), the
    same heads and batches for every candidate. Each network with random weights is scored as well.

    Of label maps, the network is the encoder of a U-Net as for ``finetune``; the features are those of voxels, as many
    of each class in each case, and the probe trains on patches.

    Args:
        data: as for ``finetune``.
        model: the network that all candidates are for, or one for each.
        weights: candidate checkpoints, each a different file; or one.
        measures: names of ``MEASURES`` (and of ``LABEL_MAP_MEASURES``), or "all"; the first decides.
        task: a named task, as for ``finetune``: what its volumes are, and its patch size, slices and spacing where none
            are given.
        format: of the data.
        splits: file with the split of each case.
        image_size: in pixels; for images with classes.
        patch_size: of label maps, sides of the patches in voxels; 128 in 2D and 64 in 3D where not given.
        slices: of label maps, whether volumes are taken slice by slice with a 2D network.
        spacing: of label maps, millimetres to which volumes are resampled, one or one an axis, or "median".
        window: of volumes, lowest and highest intensity.
        stage: of label maps, the encoder's stages whose features are taken, from 1, the finest; where not given the
            finest but the first with 32 channels or more.
        voxels: of label maps, how many of each class in each case; 100 where not given, fewer where all would be more
            than 4000.
        probe_steps: optimiser steps of the probe; one where not given.
        probe_epochs: whole epochs in the place of steps.
        probe_seeds: probes a candidate.
        layers: names of the norm layers that AC-Corr and affine drift look at, as a pattern ("layer4*").
        seed: of the splits, the draws of patients, the random weights, and first of the probe seeds.
        minimum_share: least share of the parameters, and of what the file holds, that must load.
        stem_rule: how the first convolution of a file takes another number of channels, as for ``finetune``.
        depth_rule: how 2D kernels of a file become 3D, as for ``finetune``.
        cache: folder in which features are kept, by the content of all that they depend on.
        skip_bad: leave out cases that are broken or do not fit the others, and tell them with the ranking, in the place
            of refusing the data.

    Raises:
        UserError: data, model, measure or a checkpoint that cannot be used.

    Examples:
        >>> rank(data="eyes.npz", model="cifar/resnet20", weights=[])
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --weights: give the candidate checkpoints, one or more.
    """
    names = [str(file) for file in ([weights] if isinstance(weights, str | Path) else weights)]
    models = [model] if isinstance(model, str) else list(model)
    _check(names, models, {"steps": probe_steps, "epochs": probe_epochs, "seeds": probe_seeds})
    models = models * len(names) if len(models) == 1 else models
    statistics = find_source(models[0]).statistics  # a wrong name is told before all images are read
    named = None if task is None else find_task(task)
    collection = read_sound(data, format, skip_bad=skip_bad)
    if task is not None:
        check_kind(task, collection.task, data)
    label_maps = collection.task == "segmentation"
    chosen = chosen_measures(measures, label_maps=label_maps)
    for_label_maps = {"patch_size": patch_size, "slices": slices, "spacing": spacing, "stage": stage, "voxels": voxels}
    refuse_other_kind(data, image_size, for_label_maps, label_maps=label_maps)
    splits_file = None if splits is None else Path(splits)
    probe = {"steps": probe_steps, "epochs": probe_epochs, "layers": layers}
    common: dict[str, Any] = {
        "seed": seed,
        "minimum_share": minimum_share,
        **_rules(stem_rule, depth_rule),
        "cache": None if cache is None else Path(cache),
        "probe_seeds": range(seed, seed + probe_seeds),
    }
    if label_maps:
        from acnorm.ranking.label_maps import label_map_task  # MONAI takes seconds to import

        own = {"format": format, "splits": splits_file, "window": window, "skip_bad": skip_bad}
        settings = with_task(for_label_maps, named) | own
        prepared: Task = label_map_task(data, chosen, probe, **common, settings=settings)
    else:
        loaded = load_data(
            collection,
            splits_file=splits_file,
            image_size=image_size,
            window=window_of(window),
            usual_statistics=statistics,
            seed=seed,
            skip_bad=skip_bad,
        )
        prepared = Task(loaded, chosen, probe=probe, **common)
    for name, each in zip(names, models, strict=True):  # all of them before the first pass: a bad file is told at once
        prepared.network(each, name, seed)
    found = [prepared.found(each, name) for name, each in zip(names, models, strict=True)]
    baselines = {each: prepared.found(each, None) for each in dict.fromkeys(models)}
    protocol = _protocol(probe_steps, probe_epochs, probe_seeds, layers, prepared.batches)
    return _ranking(prepared, found, baselines, protocol)


def chosen_measures(names: Sequence[str] | str | None, *, label_maps: bool = False) -> tuple[Measure, ...]:
    """Return the measures of these names, or of "all", in their order; the usual ones where not given.

    Args:
        names: with commas between, or one by one.
        label_maps: whether they are for label maps, of which there are more.

    Raises:
        UserError: an unknown name, one given twice, or one that is for label maps.

    Examples:
        >>> [measure.name for measure in chosen_measures("logme,knn")]
        ['logme', 'knn']
    """
    known = {**MEASURES, **LABEL_MAP_MEASURES} if label_maps else MEASURES
    usual = LABEL_MAP_DEFAULT if label_maps else DEFAULT
    if names is None:
        names = usual
    if isinstance(names, str):
        names = list(known) if names == "all" else names.split(",")
    for name in names:
        if name in LABEL_MAP_MEASURES and not label_maps:
            raise UserError(
                f"--measures: {name} is for label maps, the data hold classes; there are {', '.join(known)}."
            )
        if name not in known:
            raise UserError(f"--measures: {name!r} is none; there are {', '.join(known)}, or all.")
        if list(names).count(name) > 1:
            raise UserError(f"--measures: {name} is given twice; give each once, the one that decides first.")
    if not names:
        raise UserError("--measures: give one or more (acnorm measures).")
    deciding = list(usual) if len(names) == len(known) else []
    return tuple(known[name] for name in dict.fromkeys([*deciding, *names]))


def _ranking(task: Task, found: list[Found], baselines: Mapping[str, Found], protocol: str) -> Ranking:
    reasons: dict[str, str] = {}
    for measure in task.measures:
        name = measure.name
        sizes = {
            item.candidate.weights: _size(item.candidate, measure)
            for item in found
            if item.scores[name].value is not None
        }
        reason = None if measure.comparable else incomparable(sizes)
        if reason is not None:
            reasons[name] = reason
            continue
        done = placed(
            [item.results.get(name) for item in found],
            [item.scores[name] for item in found],
            [baselines[item.candidate.model].results.get(name) for item in found],
            beyond_probes if measure.of_network else differs,
        )
        for item, score in zip(found, done, strict=True):
            item.scores[name] = score
    by = task.measures[0].name
    if by not in reasons:
        found = sorted(found, key=lambda item: _height(item, by), reverse=True)
    candidates = _candidates(found)
    tied = tuple(item.weights for item in candidates if item.scores[by].tied)
    columns = {
        name: [item.scores[name].value for item in candidates] for name in candidates[0].scores if name not in reasons
    }
    known = task.data.collection.patients_known
    return Ranking(
        candidates,
        protocol,
        tied,
        by=by,
        baselines=_candidates(baselines.values()),
        incomparable=reasons,
        agreement=agreement(columns),
        cases=len(task.data.train.cases),
        patients=len(set(task.groups)) if known else None,
        advice=advice(candidates, tied, by, reasons.get(by)),
        sample=task.sample if any(item.size for item in candidates) else "",
        warnings=task.data.warnings,
    )


def _candidates(found: Iterable[Found]) -> tuple[Candidate, ...]:
    return tuple(replace(item.candidate, scores=item.scores) for item in found)


def _height(found: Found, by: str) -> float:
    value = found.scores[by].value
    return -np.inf if value is None else value


def _size(candidate: Candidate, measure: Measure) -> int | str:
    return candidate.model if measure.of_network else candidate.size or 0


def _protocol(steps: int | None, epochs: int | None, seeds: int, layers: str | None, batches: str) -> str:
    count, unit = (epochs, "epoch") if epochs is not None else (steps or 1, "optimiser step")
    length = "one optimiser step" if epochs is None and count == 1 else f"{count} {unit}{'s' * (count > 1)}"
    looked = "" if layers is None else f", layers {layers}"
    return f"{length} of SGD at 0.01 (head 0.1), batches of {batches}, {seeds} probe seeds{looked}"


def _rules(stem: str, depth: str) -> dict[str, str]:
    for name, value, allowed in (("stem", stem, STEM_RULES), ("depth", depth, DEPTH_RULES)):
        if value not in allowed:
            raise UserError(f"--{name}-rule is {value!r}, must be {' or '.join(map(repr, allowed))}.")
    return {"stem_rule": stem, "depth_rule": depth}


def _check(names: Sequence[str], models: Sequence[str], probe: Mapping[str, int | None]) -> None:
    if not names:
        raise UserError("--weights: give the candidate checkpoints, one or more.")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise UserError(f"--weights: {doubles[0]} is given twice; give each candidate once.")
    if len(models) not in (1, len(names)):
        raise UserError(f"--model: {len(models)} are given for {len(names)} checkpoints; give one, or one for each.")
    for flag, value in probe.items():
        if value is not None and value < 1:
            raise UserError(f"--probe-{flag} is {value}, must be 1 or more.")
    if probe["steps"] is not None and probe["epochs"] is not None:
        raise UserError("--probe-steps and --probe-epochs are both given; give one of them.")
