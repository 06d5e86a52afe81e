"""AC-Norm's figures: every layer, and the correlation of the one that moved most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import run_folders
from acnorm.errors import UserError
from acnorm.report import acnorm_figures
from acnorm.report.read import read_run
from acnorm.report.records import ACNormFacts, LayerFacts


@pytest.fixture
def facts(tmp_path: Path) -> ACNormFacts:
    read = read_run(run_folders.write_run(tmp_path, cases=10)).acnorm
    assert read is not None
    return read


def test_every_layer_is_named(facts: ACNormFacts) -> None:
    svg = acnorm_figures.layers(facts.layers)
    assert all(layer.name in svg for layer in facts.layers)


def test_of_many_layers_some_are_named() -> None:
    many = [LayerFacts(f"encoder.stage.block{index}.norm.bn", 8, 1.1, 0.5, 0.1) for index in range(120)]
    svg = acnorm_figures.layers(many)
    assert svg.count("…") == 40
    assert "block3.norm.bn" in svg
    assert "block4.norm.bn" not in svg


def test_the_layer_shown_is_the_one_that_drifted_furthest(facts: ACNormFacts) -> None:
    chosen = acnorm_figures.most_drifted(facts)
    assert chosen is not None
    assert chosen.name == "layer3.1.bn2"
    assert "Correlation C of layer3.1.bn2" in acnorm_figures.correlation(facts, chosen)


def test_without_tensors_there_is_no_correlation(facts: ACNormFacts) -> None:
    bare = replace(facts, tensors=None)
    assert acnorm_figures.most_drifted(bare) is None
    with pytest.raises(ValueError, match=r"this run has no acnorm\.safetensors"):
        acnorm_figures.correlation(bare, facts.layers[0])


def test_a_spoilt_tensor_file_is_named(facts: ACNormFacts) -> None:
    assert facts.tensors is not None
    facts.tensors.write_bytes(b"not tensors")
    with pytest.raises(UserError, match=r"acnorm\.safetensors' cannot be read for layer 'bn1' \(.+\); run it again"):
        acnorm_figures.correlation(facts, facts.layers[0])


def test_a_wide_layer_in_half_precision(tmp_path: Path) -> None:
    parts = ("weight", "bias", "source_weight", "source_bias")
    save_file({f"bn.{part}": torch.rand(600).to(torch.bfloat16) for part in parts}, tmp_path / "t.safetensors")
    layer = LayerFacts("bn", 600, 1.1, 0.5, 0.1)
    svg = acnorm_figures.correlation(ACNormFacts(1.0, 1e-5, (layer,), (), tmp_path / "t.safetensors"), layer)
    assert len(svg) < 400_000


def test_blocks_keep_the_largest_entry() -> None:
    matrix = np.zeros((600, 600), dtype=np.float32)
    matrix[599, 0] = 0.5
    blocks = acnorm_figures.in_blocks(matrix, 256)
    assert blocks.shape == (200, 200)
    assert blocks[199, 0] == 0.5
    assert blocks.sum() == 0.5
