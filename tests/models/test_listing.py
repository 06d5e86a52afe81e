"""The list of networks says what they are made of, and filters by it."""

from __future__ import annotations

import pytest
import torch

from acnorm.errors import UserError
from acnorm.models.listing import list_models
from acnorm.models.sources import MODELS, build_network


def test_every_network_is_listed_with_its_norm_layers():
    entries = {entry.name: entry for entry in list_models()}
    assert list(entries) == list(MODELS)
    for name in ("cifar/resnet20", "monai/resnet10"):
        module = build_network(name, classes=2, channels=1).module
        norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        assert entries[name].norms == {"batch": len(norms)}
        assert entries[name].parameters == sum(parameter.numel() for parameter in module.parameters())


def test_filters():
    assert {entry.name for entry in list_models(dimensions=3)} == {
        name for name, row in MODELS.items() if 3 in row.dimensions
    }
    assert list_models(norm="group") == []


def test_an_extra_that_is_not_there_is_told():
    with pytest.raises(UserError, match="pip install"):
        list_models(source="timm")
