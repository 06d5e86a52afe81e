"""Several methods at once, such as "acnorm+l2sp": each hook of each of them, and which do not go together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from acnorm.errors import UserError
from acnorm.tuning.hooks import Batch, Method, Penalty, Setup
from acnorm.tuning.vanilla import Vanilla

_FLAGS = (
    *("needs_weights", "needs_source", "needs_source_head", "keeps_statistics", "moves_statistics"),
    *("one_process", "own_rates"),
)


@dataclass(frozen=True)
class Combined(Method):
    """All hooks of several methods: changes in turn, frozen parts together, rates multiplied, penalties added.

    Args:
        parts: the methods by name, at least two that go together.

    Raises:
        UserError: two decide the same thing, or one leaves the other nothing to do.

    Examples:
        >>> from acnorm.tuning.acnorm import ACNormTuning
        >>> from acnorm.tuning.vanilla import Vanilla
        >>> Combined((("acnorm", ACNormTuning()), ("vanilla", Vanilla())))
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --method acnorm+vanilla: vanilla is plain fine-tuning, which adds nothing; leave it out.
    """  # noqa: E501

    parts: tuple[tuple[str, Method], ...]

    def __post_init__(self) -> None:
        _refuse(self.parts)
        for flag in _FLAGS:
            object.__setattr__(self, flag, any(getattr(method, flag) for method in self.methods))

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods without their names."""
        return tuple(method for _, method in self.parts)

    def problems(self) -> list[str]:
        """Those of all."""
        return [problem for method in self.methods for problem in method.problems()]

    def check(self, setup: Setup) -> None:
        """As each."""
        for method in self.methods:
            method.check(setup)

    def prepare(self, network: nn.Module, trained_norms: Collection[str] | None) -> nn.Module:
        """Change in turn."""
        for method in self.methods:
            network = method.prepare(network, trained_norms)
        return network

    def rebuild(self, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """As the one that changes norm layers, of which there is at most one."""
        changing = [method for method in self.methods if type(method).rebuild is not Method.rebuild]
        return (changing[0] if changing else Method()).rebuild(network, state)

    def finish(self, network: nn.Module, example: Tensor) -> nn.Module:
        """Undo, the last change first."""
        for method in reversed(self.methods):
            network = method.finish(network, example)
        return network

    def frozen(self, setup: Setup, epoch: int) -> frozenset[str]:
        """What any freezes."""
        return frozenset().union(*(method.frozen(setup, epoch) for method in self.methods))

    def rates(self, setup: Setup) -> dict[str, float]:
        """The product."""
        return _product([method.rates(setup) for method in self.methods])

    def epoch_rates(self, setup: Setup, epoch: int) -> dict[str, float]:
        """The product."""
        return _product([method.epoch_rates(setup, epoch) for method in self.methods])

    def decays(self, setup: Setup) -> dict[str, float]:
        """That of the one that has them."""
        return {name: decay for method in self.methods for name, decay in method.decays(setup).items()}

    def penalty(self, setup: Setup) -> Penalty | None:
        """The sum."""
        made = [method.penalty(setup) for method in self.methods]
        terms = [term for term in made if term is not None]
        return Sum(terms) if len(terms) > 1 else next(iter(terms), None)


class Sum(Penalty):
    """The sum of penalties.

    Examples:
        >>> import torch
        >>> class One(Penalty):
        ...     def forward(self, network, batch):
        ...         return torch.ones(())
        >>> Sum([One(), One()])(torch.nn.Identity(), {})
        tensor(2.)
    """

    def __init__(self, terms: list[Penalty]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """The blocks of all, one in another."""
        with ExitStack() as stack:
            for term in self._all():
                stack.enter_context(term.watching(network))
            yield

    def forward(self, network: nn.Module, batch: Batch) -> Tensor:
        """Add up."""
        values: list[Tensor] = [term(network, batch) for term in self._all()]
        return torch.stack(values).sum()

    def _all(self) -> list[Penalty]:
        return cast(list[Penalty], list(self.terms))


def terms_of(penalty: Penalty | None) -> list[Penalty]:
    """Return the terms of a penalty: itself, or those that it is the sum of.

    Examples:
        >>> len(terms_of(None)), len(terms_of(Penalty())), len(terms_of(Sum([Penalty(), Penalty()])))
        (0, 1, 2)
    """
    if penalty is None:
        return []
    return cast(list[Penalty], list(penalty.terms)) if isinstance(penalty, Sum) else [penalty]


def _product(all_rates: list[dict[str, float]]) -> dict[str, float]:
    names = {name for rates in all_rates for name in rates}
    return {name: prod(rates.get(name, 1.0) for rates in all_rates) for name in sorted(names)}


def _refuse(parts: Sequence[tuple[str, Method]]) -> None:
    whole = f"--method {'+'.join(name for name, _ in parts)}"
    for name, method in parts:
        if type(method) is Vanilla:
            raise UserError(f"{whole}: {name} is plain fine-tuning, which adds nothing; leave it out.")
    for (first, one), (second, other) in combinations(parts, 2):
        if first == second:
            raise UserError(f"{whole}: {first} is given twice; give it once.")
        both = sorted(one.decides & other.decides)
        if both:
            raise UserError(f"{whole}: {first} and {second} both decide {both[0]}; give one of the two.")
    for (name, method), (second, other) in permutations(parts, 2):
        if method.head_alone and not other.acts_on_head:
            raise UserError(
                f"{whole}: {name} trains the head alone, which leaves {second} nothing to do; leave it out."
            )
