"""The optimiser of a fine-tuning run, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import AdamW, Optimizer

OPTIMIZERS = ("adamw", "sgd")
# What an optimiser asks for that is not as the settings begin, which are those of AdamW.
BEGUN_WITH: dict[str, dict[str, float]] = {"sgd": {"learning_rate": 0.03}}


def make_optimizer(
    name: str, groups: Sequence[dict[str, Any]], *, rate: float, momentum: float, decay: float
) -> Optimizer:
    """Return the optimiser of ``groups``, whose own rates and decays win.

    Args:
        name: "sgd", with Nesterov momentum, or "adamw" (Loshchilov and Hutter, ICLR 2019), which has moments of its
            own: torch's defaults.
        groups: parameter groups as torch takes them.
        rate: learning rate.
        momentum: of SGD.
        decay: of the weights; AdamW takes it off apart from the gradient's step.

    Examples:
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> type(make_optimizer("adamw", [{"params": [weight]}], rate=0.001, momentum=0.9, decay=0.0)).__name__
        'AdamW'
    """
    makers: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=True, weight_decay=decay),
        "adamw": lambda: AdamW(groups, lr=rate, weight_decay=decay),
    }
    return makers[name]()
