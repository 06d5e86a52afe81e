"""`rank` on label maps: features of voxels, probes on patches, and what it refuses."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acnorm.checkpoints.load import load_checkpoint
from acnorm.core.convert import convert
from acnorm.data.fingerprint import fingerprint
from acnorm.data.segmentation import load_segmentation
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.data.tasks import find_task
from acnorm.errors import UserError
from acnorm.models.sources import build_unet
from acnorm.ranking.ac_corr import ac_corr
from acnorm.ranking.cc_fv import cc_fv
from acnorm.ranking.knn import knn
from acnorm.ranking.label_maps import label_map_task, patch_loss, side_by_side
from acnorm.ranking.probe import probe
from acnorm.ranking.rank import LABEL_MAP_DEFAULT, Ranking, chosen_measures, rank
from acnorm.ranking.settings import with_task
from acnorm.ranking.tables import notes
from acnorm.ranking.voxel_features import voxel_features
from acnorm.ranking.voxels import draw_voxels
from acnorm.training.prepare import prepare_data
from acnorm.training.pretrain_config import pretrain_config
from acnorm.training.pretrain_data import pretext_data
from acnorm.training.settings import config_from_settings
from tiny_runs import NETWORK, checkpoint, eyes
from volume_files import nifti

MODEL = "cifar/resnet20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vessels, hearts of two frames a patient, and checkpoints of two networks."""
    folder = tmp_path_factory.mktemp("label_maps")
    segmentation_phantoms(folder / "vessels", task="vessel", domain="target", cases=8, size=32, seed=0)
    segmentation_phantoms(folder / "hearts", task="cardiac", domain="target", cases=6, size=24, seed=0)
    for at, name in enumerate("ab"):
        checkpoint(folder / f"{name}.pth", MODEL, seed=at)
    checkpoint(folder / "deeper.pth", "cifar/resnet32")
    return folder


def ranked(folder: Path, *names: str, data: str = "vessels", **settings: Any) -> Ranking:
    usual = {"measures": "knn,cc-fv", "model": MODEL, "patch_size": 16, "voxels": 20, "probe_seeds": 1}
    return rank(data=folder / data, weights=[folder / f"{name}.pth" for name in names], **(usual | settings))


def test_scores_are_those_of_the_voxels_of_the_training_cases(folder: Path):
    candidates = ranked(folder, "a", "b", seed=3, stage="2,3").candidates
    data = load_segmentation(folder / "vessels", patch_size=16, seed=3)
    sample = draw_voxels(data.train, 2, each=20, seed=3)
    ids = [data.train.cases[at].id for at in sample.cases]
    for candidate in candidates:
        network = build_unet(MODEL, classes=2, channels=3)
        load_checkpoint(network.module, candidate.weights, head=network.head, stem=network.stem)
        features = side_by_side(voxel_features(network, data.train, sample, (2, 3))[0], (32, 64))
        assert candidate.size == 96
        assert candidate.scores["knn"].value == pytest.approx(knn(features, sample.labels, ids), abs=1e-6)
        expected = cc_fv(features, sample.labels, ids, widths=(32, 64))
        assert candidate.scores["cc-fv"].value == pytest.approx(expected, rel=1e-4)
        assert candidate.scores["cc-fv"].low < candidate.scores["cc-fv"].value < candidate.scores["cc-fv"].high


def test_the_order_given_does_not_matter_and_nothing_is_changed(folder: Path):
    cases = load_segmentation(folder / "vessels", patch_size=16).collection.cases
    files = [folder / "a.pth", folder / "b.pth"]
    before = [fingerprint(cases), *(file.read_bytes() for file in files)]
    first, second = ranked(folder, "a", "b"), ranked(folder, "b", "a")
    values = [{item.weights: item.scores["knn"].value for item in found.candidates} for found in (first, second)]
    assert values[0] == values[1]
    assert [item.weights for item in first.candidates] == [item.weights for item in second.candidates]
    assert [fingerprint(cases), *(file.read_bytes() for file in files)] == before


def test_the_usual_measures_and_reasons_for_those_that_cannot_serve(folder: Path):
    ranking = ranked(folder, "a", measures=None)
    assert ranking.measures == LABEL_MAP_DEFAULT
    (candidate,), (random,) = ranking.candidates, ranking.baselines
    assert all(score.reason is None and np.isfinite(score.value) for score in candidate.scores.values())
    assert random.scores["knn"].value is not None
    assert "constant over channels: not trained" in random.scores["ac-corr"].reason
    assert ranking.sample == (
        "up to 20 voxels of each class in each of 5 cases, 200 in all, in patches of 16 × 16, stage 2 of cifar/resnet20"
    )
    assert ranking.protocol == "one optimiser step of SGD at 0.01 (head 0.1), batches of 16 patches, 1 probe seeds"
    (candidate,) = ranked(folder, "a", measures="knn,leep,nce,gradient-ratio").candidates
    assert {name: score.reason for name, score in candidate.scores.items()} == {
        "knn": None,
        "leep": "a checkpoint's own classes are of whole images, not of voxels",
        "nce": "a checkpoint's own classes are of whole images, not of voxels",
        "gradient-ratio": "its triplets are of whole images, not of voxels",
    }


def test_the_probe_trains_on_patches_with_the_loss_of_fine_tuning(folder: Path):
    (candidate,) = ranked(folder, "a", measures="ac-corr", probe_steps=2, seed=5).candidates
    data = load_segmentation(folder / "vessels", patch_size=16, seed=5)
    torch.manual_seed(5)
    network = build_unet(MODEL, classes=2, channels=3)
    report = load_checkpoint(network.module, folder / "a.pth", head=network.head, stem=network.stem)
    module = convert(network.module, report.trained_norms)
    patches = data.train.drawn_anew(5, per_case=4)  # 5 cases, batches of 16
    probe(module, network.head, patches, seed=5, steps=2, batch_size=16, loss=patch_loss())
    assert candidate.paper == pytest.approx(ac_corr(module).paper, rel=1e-6)


def test_each_probe_seed_draws_other_patches(folder: Path):
    train = load_segmentation(folder / "vessels", patch_size=16).train
    first, second = (train.drawn_anew(seed)[0, 0]["image"] for seed in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, train.drawn_anew(1, per_case=1)[0, 0]["image"])
    assert (len(train.drawn_anew(1, per_case=3)), len(train)) == (3 * len(train.cases), len(train.cases))
    assert train.seed == 0


def test_networks_of_one_width_are_compared_by_voxels_and_not_by_probes(folder: Path):
    ranking = ranked(folder, "a", "deeper", model=[MODEL, "cifar/resnet32"], measures="knn,cc-fv,affine-drift")
    assert ranking.incomparable == {"affine-drift": "different networks (cifar/resnet20, cifar/resnet32)"}
    assert sorted(item.scores["cc-fv"].place for item in ranking.candidates) == [1, 2]
    assert ranking.sample.endswith("stage 2 of cifar/resnet20, stage 2 of cifar/resnet32")


def test_cached_features_give_the_same_scores(folder: Path, tmp_path: Path):
    first, second = (ranked(folder, "a", cache=tmp_path) for _ in range(2))
    assert [first.candidates[0].cached, second.candidates[0].cached] == [False, True]
    assert first.candidates[0].scores["cc-fv"].value == second.candidates[0].scores["cc-fv"].value


def test_volumes_slice_by_slice_with_patients_held_out(folder: Path):
    ranking = ranked(folder, "a", data="hearts", slices=True, measures="knn,linear-probe,cc-fv,affine-drift")
    (candidate,) = ranking.candidates
    assert all(np.isfinite(score.value) for score in candidate.scores.values())
    assert ranking.cases == 2 * ranking.patients
    assert "in patches of 16 × 16" in ranking.sample


def test_volumes_of_a_named_task_are_taken_as_in_fine_tuning_and_pretraining(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    for kind in ("images", "masks"):
        (folder / "livers" / kind).mkdir(parents=True, exist_ok=True)
        for at in range(10):
            values = np.random.default_rng(at).integers(-100, 300, (12, 12, 4))
            nifti(folder / "livers" / kind / f"{at}.nii", values if kind == "images" else values % 3)
    data, name = str(folder / "livers"), "liver-tumor-segmentation"
    needed = {"data": data, "model": MODEL, "out": "run", "task": name, "patch_size": 16}
    tuned = prepare_data(config_from_settings(needed)).preprocessing
    with caplog.at_level(logging.INFO, "acnorm"):
        ranking = ranked(folder, "a", data="livers", task=name)
    assert f"{data}: the data do not say what the volumes are; taken as CT, as the task says" in caplog.messages
    assert "in patches of 16 × 16" in ranking.sample
    assert "in patches of 96 × 96" in ranked(folder, "a", data="livers", task=name, patch_size=None).sample
    given = with_task(
        {"patch_size": 16, "slices": None, "spacing": None, "stage": None, "voxels": None}, find_task(name)
    )
    own = {"format": None, "splits": None, "window": None, "skip_bad": False}
    probe, common = {"steps": 1}, {"minimum_share": 0.9, "cache": None, "probe_seeds": range(1)}
    task = label_map_task(data, chosen_measures("knn"), probe, seed=0, settings=given | own, **common)
    pretext = pretext_data(pretrain_config(needed | {"method": "simclr"}))
    assert task.data.preprocessing == pretext.preprocessing == tuned
    assert (tuned.patch, tuned.spacing) == ((16, 16), (1.0, 1.0, 0.0))
    assert tuned.mean is not None
    told = f"--task dr-grading: needs classes; {data} holds label maps. Give other data, or --task segmentation."
    with pytest.raises(UserError) as refused:
        ranked(folder, "a", data="livers", task="dr-grading")
    assert str(refused.value) == told


def test_label_maps_that_are_left_out_are_told(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "vessels", tmp_path / "vessels")
    broken = sorted((tmp_path / "vessels/training/images").iterdir())[0]
    broken.write_bytes(b"")
    with pytest.raises(UserError, match="the file is empty"):
        ranked(folder, "a", data=str(tmp_path / "vessels"))
    ranking = ranked(folder, "a", data=str(tmp_path / "vessels"), skip_bad=True)
    (told,) = ranking.warnings
    assert told == f"{broken}: left out: the file is empty (0 bytes); copy or export it again"
    assert f"Data: {told}" in notes(ranking)


def test_volumes_whole_and_resampled(folder: Path):
    checkpoint(folder / "deep.pth", "monai/resnet10", channels=1)
    settings = {"data": "hearts", "model": "monai/resnet10", "window": "0,100", "spacing": "2,2,8"}
    ranking = ranked(folder, "deep", measures="knn,affine-drift", **settings)
    (candidate,) = ranking.candidates
    assert candidate.size == 64
    assert all(np.isfinite(score.value) for score in candidate.scores.values())
    assert "batches of 4 patches" in ranking.protocol
    assert "in patches of 16 × 16 × 16, stage 2 of monai/resnet10" in ranking.sample


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"image_size": 32},
            r"--image-size is for images with classes; .*vessels holds label maps: give --patch-size\.",
        ),
        ({"measures": "knm"}, r"--measures: 'knm' is none; there are ac-corr, .*, etran, cc-fv, or all\."),
        ({"stage": 4}, r"--stage 4: cifar/resnet20 has 3 \(channels 16, 32, 64\); give 1 to 3\."),
        ({"patch_size": 4}, r"--patch-size is 4, must be 8 or more\."),
        ({"spacing": "1"}, r"--spacing is for volumes, whose files tell theirs; leave it out for 2D images\."),
        ({"window": "0,1"}, r"--window is for volumes, whose intensities have a unit; leave it out for 2D images\."),
        ({"data": "hearts"}, r"--model cifar/resnet20: comes in 2D only; for volumes there are monai/resnet10, .*\."),
        ({"model": NETWORK}, r"--model tiny_runs:tiny: no U-Net can be built on it; there are cifar/resnet20, .*\."),
        (
            {"data": "hearts", "model": "genesis/unet3d", "patch_size": 9},
            r"--model genesis/unet3d: cannot take patches of 1 × 9 × 9 × 9 \(RuntimeError: .*\); "
            r"give another --patch-size or --model\.",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(folder: Path, settings: dict[str, Any], told: str):
    with pytest.raises(UserError) as raised:
        ranked(folder, "a", **settings)
    assert re.fullmatch(told, str(raised.value))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"patch_size": 16}, r"--patch-size is for label maps; .*eyes\.npz holds classes: leave it out\."),
        ({"slices": True}, r"--slices is for label maps; .*eyes\.npz holds classes: leave it out\."),
        ({"spacing": "1"}, r"--spacing is for label maps; .*eyes\.npz holds classes: leave it out\."),
        ({"stage": 2}, r"--stage is for label maps; .*eyes\.npz holds classes: leave it out\."),
        ({"voxels": 9}, r"--voxels is for label maps; .*eyes\.npz holds classes: leave it out\."),
        ({"window": "0,1"}, r"--window is for volumes, whose intensities have a unit; leave it out for 2D images\."),
        (
            {"measures": "cc-fv"},
            r"--measures: cc-fv is for label maps, the data hold classes; there are ac-corr, .*, etran\.",
        ),
    ],
)
def test_settings_of_label_maps_are_refused_for_classes(tmp_path: Path, settings: dict[str, Any], told: str):
    eyes(tmp_path / "eyes.npz")
    with pytest.raises(UserError) as raised:
        rank(data=tmp_path / "eyes.npz", model=NETWORK, weights=tmp_path / "a.pth", **settings)
    assert re.fullmatch(told, str(raised.value))


def test_features_of_no_length_are_no_trouble_side_by_side():
    dead = np.zeros((3, 2), np.float32)
    assert np.array_equal(side_by_side(dead, (1, 1)), dead)
