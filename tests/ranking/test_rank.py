from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from acnorm.checkpoints.load import load_checkpoint
from acnorm.data.loading import load_data
from acnorm.data.phantoms import fundus_phantoms
from acnorm.errors import UserError
from acnorm.models.cifar import CifarResNet
from acnorm.models.sources import CIFAR_STATISTICS, build_network
from acnorm.ranking import scoring
from acnorm.ranking.features import features_of, source_probabilities
from acnorm.ranking.measures import MEASURES, Evidence
from acnorm.ranking.rank import rank
from tiny_runs import NETWORK, checkpoint, eyes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rank")
    fundus_phantoms(folder / "eyes.npz", domain="target", cases=60, size=16, seed=0)
    torch.manual_seed(0)
    for name, spread in (("a", 0.3), ("b", 1.0), ("fresh", 0.0)):
        source = CifarResNet(20)
        for layer in source.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(layer.bias, std=spread)
        torch.save(source.state_dict(), folder / f"{name}.pth")
    return folder


def candidates(folder: Path, *names: str, **settings):
    files = [folder / f"{name}.pth" for name in names]
    settings = {"measures": "ac-corr", "probe_seeds": 2, "model": "cifar/resnet20"} | settings
    return rank(data=folder / "eyes.npz", weights=files, **settings)


def test_scores_are_repeatable_and_ordered(folder: Path):
    first, second = candidates(folder, "a", "b"), candidates(folder, "b", "a")
    assert [item.weights for item in first.candidates] == [item.weights for item in second.candidates]
    assert [item.paper for item in first.candidates] == [item.paper for item in second.candidates]
    assert first.candidates[0].paper >= first.candidates[1].paper > 0
    assert 0 < first.candidates[0].per_channel <= 1
    assert "one optimiser step" in first.protocol


def test_random_initialisation_gets_no_score(folder: Path):
    ranking = candidates(folder, "fresh", "a")
    assert ranking.candidates[-1].paper is None
    assert "constant over channels: not trained" in ranking.candidates[-1].refused
    assert ranking.tied == (str(folder / "a.pth"),)


def test_probe_epochs_change_the_protocol(folder: Path):
    ranking = candidates(folder, "a", probe_epochs=1)
    assert ranking.protocol.startswith("1 epoch of SGD")


def test_refusals(folder: Path):
    with pytest.raises(UserError, match="--weights: give the candidate checkpoints"):
        candidates(folder)
    with pytest.raises(UserError, match="is given twice; give each candidate once"):
        candidates(folder, "a", "a")
    with pytest.raises(UserError, match="--probe-epochs is 0, must be 1 or more"):
        candidates(folder, "a", probe_epochs=0)
    with pytest.raises(UserError, match="no such file"):
        candidates(folder, "a", "nowhere")
    with pytest.raises(UserError, match=r"^--model: 3 are given for 2 checkpoints; give one, or one for each\.$"):
        candidates(folder, "a", "b", model=["cifar/resnet20"] * 3)
    with pytest.raises(UserError, match=r"^--probe-steps and --probe-epochs are both given; give one of them\.$"):
        candidates(folder, "a", probe_epochs=1, probe_steps=1)
    with pytest.raises(
        UserError, match=r"^--measures: 'knm' is none; there are ac-corr, affine-drift, knn, .*, or all\.$"
    ):
        candidates(folder, "a", measures="knm")
    with pytest.raises(
        UserError, match=r"^--measures: knn is given twice; give each once, the one that decides first\.$"
    ):
        candidates(folder, "a", measures="knn,knn")
    with pytest.raises(UserError, match=r"^--measures: give one or more \(acnorm measures\)\.$"):
        candidates(folder, "a", measures=[])
    with pytest.raises(
        UserError, match=r"^--layers: no AC-Norm layer matches 'layer9\*'; there are bn1, layer1\.0\.bn1, "
    ):
        candidates(folder, "a", layers="layer9*")


def test_one_file_is_one_candidate(folder: Path):
    file = str(folder / "a.pth")
    ranking = rank(data=folder / "eyes.npz", model="cifar/resnet20", weights=file, measures=["ac-corr"], probe_seeds=1)
    assert [item.weights for item in ranking.candidates] == [str(folder / "a.pth")]
    assert ranking.candidates[0].loaded == 1.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms, and checkpoints of the tiny network, the third with 5 features in the place of 8."""
    folder = tmp_path_factory.mktemp("tiny")
    eyes(folder / "eyes.npz", cases=60)
    for at, name in enumerate("ab"):
        checkpoint(folder / f"{name}.pth", seed=at)
    checkpoint(folder / "narrow.pth", "tiny_runs:narrow")
    return folder


def of_tiny(folder: Path, *names: str, **settings):
    files = [folder / f"{name}.pth" for name in names]
    settings = {"measures": "knn,logme,shrunk-h-score", "model": NETWORK, "probe_seeds": 2} | settings
    return rank(data=folder / "eyes.npz", weights=files, **settings)


def test_scores_are_those_of_the_measures_on_the_features_of_the_training_cases(tiny: Path):
    (candidate,) = of_tiny(tiny, "a", measures="all").candidates
    data = load_data(tiny / "eyes.npz")
    network = build_network(NETWORK, classes=2, channels=3)
    load_checkpoint(network.module, tiny / "a.pth", head=network.head, stem=network.stem)
    features, _ = features_of(network, data.train)
    labels = np.array([case.label for case in data.train.cases])
    groups = np.array([case.id for case in data.train.cases])
    evidence = Evidence(features, labels, groups, source_probabilities(network, tiny / "a.pth", features))
    assert candidate.size == 8
    assert set(candidate.scores) == set(MEASURES)
    for name, measure in MEASURES.items():
        if not measure.of_network:
            assert candidate.scores[name].value == pytest.approx(measure.of(evidence), abs=1e-6)
    assert candidate.scores["ac-corr"].value == candidate.paper


def test_the_first_measure_decides_and_the_order_given_does_not(tiny: Path):
    first, second = of_tiny(tiny, "a", "b", measures="logme,knn"), of_tiny(tiny, "b", "a", measures=["logme", "knn"])
    assert first.by == "logme"
    assert first.measures == ("logme", "knn")
    values = [item.scores["logme"].value for item in first.candidates]
    assert values == sorted(values, reverse=True)
    assert [item.scores["logme"].place for item in first.candidates] == [1, 2]
    assert [item.weights for item in first.candidates] == [item.weights for item in second.candidates]
    assert [item.scores["knn"].value for item in first.candidates] == [
        item.scores["knn"].value for item in second.candidates
    ]


def test_random_initialisation_is_always_there_and_takes_no_place(tiny: Path):
    ranking = of_tiny(tiny, "a", "narrow", model=[NETWORK, "tiny_runs:narrow"])
    assert [(item.weights, item.model, item.size, item.loaded) for item in ranking.baselines] == [
        ("random initialisation", NETWORK, 8, 0.0),
        ("random initialisation", "tiny_runs:narrow", 5, 0.0),
    ]
    assert all(
        score.place is None and score.value is not None for item in ranking.baselines for score in item.scores.values()
    )
    assert all(item.scores["knn"].above_random is not None for item in ranking.candidates)


def test_random_weights_are_those_of_the_seed(tiny: Path):
    scores = [of_tiny(tiny, "a", seed=seed).baselines[0].scores["logme"].value for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_scores_of_other_sizes_get_no_places_where_that_means_nothing(tiny: Path):
    ranking = of_tiny(tiny, "a", "narrow", model=[NETWORK, "tiny_runs:narrow"], measures="knn,shrunk-h-score,ac-corr")
    assert ranking.incomparable == {
        "shrunk-h-score": "features of different sizes (5, 8)",
        "ac-corr": "different networks (tiny_runs:narrow, tiny_runs:tiny)",
    }
    assert all(item.scores["shrunk-h-score"].place is None for item in ranking.candidates)
    assert sorted(item.scores["knn"].place for item in ranking.candidates) == [1, 2]
    ranking = of_tiny(tiny, "narrow", "a", model=["tiny_runs:narrow", NETWORK], measures="shrunk-h-score")
    assert [item.weights for item in ranking.candidates] == [str(tiny / "narrow.pth"), str(tiny / "a.pth")]
    assert ranking.tied == ()
    assert ranking.advice.startswith("Scores of shrunk-h-score cannot be compared: features of different sizes (5, 8)")


def test_candidates_that_cannot_be_told_apart_are_tied(tiny: Path):
    copy = tiny / "copy.pth"
    copy.write_bytes((tiny / "a.pth").read_bytes())
    ranking = of_tiny(tiny, "a", "copy", measures="knn")
    assert set(ranking.tied) == {str(tiny / "a.pth"), str(copy)}
    assert [item.scores["knn"].place for item in ranking.candidates] == [1, 1]
    assert "apart: fine-tune these and compare." in ranking.advice


def test_each_network_sees_images_with_its_own_statistics(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(
        scoring,
        "features_of",
        lambda network, cases, cache: seen.append(cases.preprocessing.mean) or features_of(network, cases, cache),
    )
    checkpoint(tiny / "resnet.pth", "cifar/resnet20")
    of_tiny(tiny, "resnet", "a", model=["cifar/resnet20", NETWORK], measures="knn")
    alone = load_data(tiny / "eyes.npz").preprocessing.mean
    assert seen == [CIFAR_STATISTICS[0], alone] * 2
    assert alone != CIFAR_STATISTICS[0]


def test_cached_features_give_the_same_ranking(tiny: Path, tmp_path: Path):
    first, second = (of_tiny(tiny, "a", "b", cache=tmp_path / "cache") for _ in range(2))
    assert [item.cached for item in (*first.candidates, *first.baselines)] == [False] * 3
    assert [item.cached for item in (*second.candidates, *second.baselines)] == [True] * 3
    values = [
        [score.value for item in ranking.candidates for score in item.scores.values()] for ranking in (first, second)
    ]
    assert values[0] == values[1]


def test_more_steps_are_another_protocol(tiny: Path):
    one, three = (of_tiny(tiny, "a", measures="affine-drift", probe_steps=steps) for steps in (None, 3))
    assert three.protocol == "3 optimiser steps of SGD at 0.01 (head 0.1), batches of 64, 2 probe seeds"
    assert three.candidates[0].scores["affine-drift"].value > 2 * one.candidates[0].scores["affine-drift"].value


def test_layers_by_pattern(tiny: Path):
    whole, first, second = (of_tiny(tiny, "a", measures="ac-corr", layers=layers) for layers in (None, "bn1", "bn2"))
    assert first.protocol.endswith(", layers bn1")
    mean = (first.candidates[0].paper + second.candidates[0].paper) / 2
    assert whole.candidates[0].paper == pytest.approx(mean)


def test_several_classes_a_case_are_scored_by_those_that_can(tmp_path: Path):
    draw, parts = np.random.default_rng(0), {}
    for split, cases in (("train", 40), ("val", 8), ("test", 8)):
        parts[f"{split}_images"] = draw.integers(0, 255, (cases, 16, 16, 3)).astype(np.uint8)
        parts[f"{split}_labels"] = np.stack(
            [np.arange(cases) % 2, np.arange(cases) // 2 % 2, np.arange(cases) % 3 == 0], 1
        ).astype(np.uint8)
    np.savez(tmp_path / "eyes.npz", **parts)
    checkpoint(tmp_path / "a.pth")
    (candidate,) = of_tiny(tmp_path, "a", measures="all").candidates
    for name, score in candidate.scores.items():
        if MEASURES[name].several:
            assert score.reason is None
            assert np.isfinite(score.value)
        else:
            assert (score.value, score.reason) == (None, "a case may show several classes")


def test_plain_values_for_json_and_rows_for_csv(tiny: Path):
    ranking = of_tiny(tiny, "a", "b")
    told = json.loads(json.dumps(ranking.to_dict()))
    assert told["candidates"][0]["scores"]["knn"]["value"] == ranking.candidates[0].scores["knn"].value
    assert told["agreement"] == []
    rows = ranking.rows()
    assert len(rows) == 3 * 3
    assert (rows[0]["weights"], rows[0]["measure"], rows[0]["place"]) == (ranking.candidates[0].weights, "knn", 1)


def test_the_first_convolution_is_adapted_as_for_finetune(tmp_path: Path):
    eyes(tmp_path / "eyes.npz")
    grey = checkpoint(tmp_path / "grey.pth", channels=1)
    for rule in ("sum", "first"):
        network = build_network(NETWORK, classes=2, channels=3)
        load_checkpoint(network.module, grey, head=network.head, stem=network.stem, stem_rule=rule)
        files = {"data": tmp_path / "eyes.npz", "model": NETWORK, "weights": grey, "cache": tmp_path / "features"}
        rank(**files, measures="knn", stem_rule=rule)
        expected = features_of(network, load_data(tmp_path / "eyes.npz").train)[0]
        kept = [load_file(file)["features"].numpy() for file in (tmp_path / "features").iterdir()]
        assert sum(np.array_equal(found, expected) for found in kept) == 1, rule
    assert len(kept) == 3  # with each rule, and of random weights


@pytest.mark.parametrize(
    ("flag", "allowed"),
    [("stem_rule", "'sum' or 'mean' or 'repeat' or 'first'"), ("depth_rule", "'spread' or 'centre'")],
)
def test_rules_that_there_are_not(folder: Path, flag: str, allowed: str):
    with pytest.raises(UserError, match=f"^--{flag.replace('_', '-')} is 'median', must be {allowed}\\.$"):
        candidates(folder, "a", **{flag: "median"})
