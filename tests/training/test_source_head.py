from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acnorm.models.sources import build_network, build_unet
from acnorm.training.source_head import source_head
from tiny_runs import NETWORK, checkpoint


def test_the_head_of_the_checkpoint_is_found_under_its_prefix(tmp_path: Path):
    file = checkpoint(tmp_path / "weights.pth", classes=7)
    state = torch.load(file, weights_only=True)["state_dict"]
    head = source_head(build_network(NETWORK, classes=2, channels=3), file)
    assert torch.equal(head.weight, state["module.fc.weight"])
    assert torch.equal(head.bias, state["module.fc.bias"])


def test_without_a_bias_it_is_0(tmp_path: Path):
    module = build_network(NETWORK, classes=7, channels=3).module
    torch.save({name: value for name, value in module.state_dict().items() if name != "fc.bias"}, tmp_path / "w.pth")
    assert not source_head(build_network(NETWORK, classes=2, channels=3), tmp_path / "w.pth").bias.any()


@pytest.mark.parametrize("change", ["absent", "width", "one class"])
def test_a_checkpoint_without_it_is_refused(tmp_path: Path, change: str):
    state = build_network(NETWORK, classes=1 if change == "one class" else 7, channels=3).module.state_dict()
    if change == "width":
        state["fc.weight"] = torch.zeros(7, 9)
    if change == "absent":
        del state["fc.weight"]
    torch.save(state, tmp_path / "w.pth")
    told = (
        r"^needs the head that the source was trained with, and w\.pth holds no fc\.weight for 8 features and two classes "
        r"or more\. Give a checkpoint with its head\.$"
    )
    with pytest.raises(ValueError, match=told):
        source_head(build_network(NETWORK, classes=2, channels=3), tmp_path / "w.pth")


def test_label_maps_have_no_classes_of_the_source(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"^needs the classes of the source, and label maps have none; it is for class"
    ):
        source_head(build_unet("cifar/resnet20", classes=2, channels=3), tmp_path / "w.pth")
