"""From which source channels a target channel borrows: the paper's rule, and controls that tell what it is worth.

paper     those with P_ij >= P_ii, the own channel among them (arXiv 2307.15282)
dense     all of them: C = P
top-K     the K with the largest P_ij
own       the own channel alone: γ and β are scaled by 1 + P_ii and nothing is borrowed
others    the paper's without the own channel
permuted  the paper's weights, those of other channels given to channels drawn at random: the control for the matching
"""

from __future__ import annotations

import re

import torch
from jaxtyping import Float, Int
from torch import Tensor

PAPER, PERMUTED = "paper", "permuted"
_NUMBERS = {PAPER: 0, "dense": -1, "own": -2, "others": -3, PERMUTED: -4}
ALLOWED = "'paper', 'dense', 'own', 'others', 'permuted' or 'top-K' with a number K from 1 on, such as 'top-5'"


def is_known(partners: str) -> bool:
    """Whether there is such a rule.

    Examples:
        >>> is_known("own"), is_known("top-5"), is_known("top-0"), is_known("best")
        (True, True, False, False)
    """
    if not isinstance(partners, str):
        return False
    return partners in _NUMBERS or re.fullmatch(r"top-[1-9]\d{0,8}", partners) is not None


def to_number(partners: str) -> float:
    """Return the number that stands for a rule in a saved state: K for top-K, 0 and below for the others.

    Examples:
        >>> to_number("paper"), to_number("top-5")
        (0.0, 5.0)
    """
    return float(_NUMBERS[partners] if partners in _NUMBERS else int(partners.removeprefix("top-")))


def from_number(number: float) -> str:
    """Return the rule that a number of a saved state stands for.

    Raises:
        ValueError: it stands for none.

    Examples:
        >>> from_number(-2.0), from_number(5.0)
        ('own', 'top-5')
    """
    named = {float(value): name for name, value in _NUMBERS.items()}
    partners = named.get(number, f"top-{number:.0f}")
    if not is_known(partners) or to_number(partners) != number:
        raise ValueError(f"the state names partners by {number}, which stands for none.")
    return partners


def choose_partners(
    probability: Float[Tensor, "*layers channel channel"],
    correlation: Float[Tensor, "*layers channel channel"],
    partners: str,
    order: Int[Tensor, " channel"] | None = None,
) -> Float[Tensor, "*layers channel channel"]:
    """Return C by a rule, from the softmax P and from the paper's C.

    Args:
        probability: P, rows sum to one.
        correlation: the paper's C.
        partners: the rule.
        order: for "permuted", the channel that stands in for each.

    Raises:
        ValueError: "permuted" without an order.

    Examples:
        >>> probability = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.1, 0.1, 0.8]])
        >>> correlation = torch.tensor([[0.5, 0.0, 0.0], [0.4, 0.3, 0.3], [0.0, 0.0, 0.8]])
        >>> choose_partners(probability, correlation, "others")[1]
        tensor([0.4000, 0.0000, 0.3000])
        >>> choose_partners(probability, correlation, "permuted", torch.tensor([2, 0, 1]))[1]
        tensor([0.0000, 0.6000, 0.4000])
    """
    if partners == PAPER:
        return correlation
    if partners == "dense":
        return probability
    own = torch.diag_embed(correlation.diagonal(dim1=-2, dim2=-1))
    if partners == "own":
        return own
    if partners == "others":
        return correlation - own
    if partners == PERMUTED:
        if order is None:
            raise ValueError("permuted partners need the order of the channels.")
        borrowed = torch.zeros_like(correlation).index_add_(-1, order, correlation - own)
        return own + borrowed
    count = min(int(to_number(partners)), probability.shape[-1])
    values, places = probability.topk(count, dim=-1)
    return torch.zeros_like(probability).scatter_(-1, places, values)
