from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from acnorm.training.optimizer import BEGUN_WITH, OPTIMIZERS, make_optimizer
from acnorm.training.settings import config_from_flags, config_from_settings

GRADIENTS = ([0.5, -2.0, 0.0], [1.0, 1.0, -3.0], [-0.25, 4.0, 1.0])
SETTINGS = {"data": "eyes.npz", "model": "cifar/resnet20", "out": "run"}
FLAGS = ["--data", "eyes.npz", "--model", "cifar/resnet20", "--out", "run"]


def sgd(weight: Tensor, rate: float, decay: float) -> Tensor:
    """Nesterov's momentum as Sutskever et al. (ICML 2013) have it, for a first moment that begins as the gradient."""
    velocity = None
    for values in GRADIENTS:
        gradient = torch.tensor(values, dtype=torch.float64) + decay * weight
        velocity = gradient if velocity is None else 0.9 * velocity + gradient
        weight = weight - rate * (gradient + 0.9 * velocity)
    return weight


def adamw(weight: Tensor, rate: float, decay: float) -> Tensor:
    """Algorithm 2 of Loshchilov and Hutter (ICLR 2019)."""
    first = second = torch.zeros_like(weight)
    for step, values in enumerate(GRADIENTS, start=1):
        gradient = torch.tensor(values, dtype=torch.float64)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
        weight = weight - rate * (first / (1 - 0.9**step) / scale + decay * weight)
    return weight


@pytest.mark.parametrize(("name", "expected"), [("sgd", sgd), ("adamw", adamw)])
def test_three_steps_are_the_formula(name: str, expected):
    start = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    fast, slow = (nn.Parameter(start.clone()) for _ in range(2))
    groups = [{"params": [fast], "lr": 0.2, "weight_decay": 0.0}, {"params": [slow]}]
    optimizer = make_optimizer(name, groups, rate=0.02, momentum=0.9, decay=0.1)
    for values in GRADIENTS:
        fast.grad, slow.grad = (torch.tensor(values, dtype=torch.float64) for _ in range(2))
        optimizer.step()
    torch.testing.assert_close(slow.detach(), expected(start, 0.02, 0.1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(fast.detach(), expected(start, 0.2, 0.0), rtol=1e-12, atol=1e-12)


def test_every_name_makes_one():
    for name in OPTIMIZERS:
        make_optimizer(name, [{"params": [nn.Parameter(torch.ones(1))]}], rate=0.1, momentum=0.9, decay=0.0)
    assert set(BEGUN_WITH) <= set(OPTIMIZERS)


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, 0.001),
        ({"optimizer": "sgd"}, 0.03),
        ({"optimizer": "adamw"}, 0.001),
        ({"optimizer": "sgd", "learning_rate": 0.01}, 0.01),
        ({"optimizer": "sgd", "task": "vessel-segmentation"}, 0.03),
    ],
)
def test_each_begins_with_a_rate_of_its_own(given: dict[str, object], rate: float):
    made = config_from_settings(SETTINGS | given)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    assert made == config_from_flags(FLAGS + flags)
    assert math.isclose(made.learning_rate, rate)
    assert config_from_settings(made.to_dict()) == made
