"""The grid of ``acnorm compare``: several methods on one data set and checkpoint, on equal terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acnorm.bench.grid import MADE_HERE, Grid
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig

SOURCE = "acnorm compare"


def comparison(
    config: FinetuneConfig,
    methods: Sequence[str],
    *,
    seeds: int = 5,
    folds: int = 5,
    fractions: Sequence[float] = (1.0,),
    baseline: str | None = None,
    metric: str | None = None,
    search: int | None = None,
) -> Grid:
    """Return the grid of a comparison.

    Args:
        config: the settings that all runs share.
        methods: two or more.
        seeds: repeats, each with other folds.
        folds: of the patients in each repeat.
        fractions: of the training labels.
        baseline: the method that the others are compared with; the first where not given.
        metric: of the test cases; what the runs choose their epoch by where not given.
        search: trials of settings for every run; none where not given.

    Raises:
        UserError: fewer than two methods, or values that cannot be.

    Examples:
        >>> config = FinetuneConfig(data="eyes", model="cifar/resnet20", out="cmp")
        >>> len(comparison(config, ["vanilla", "bss"], seeds=3).axes["method"])
        2
    """
    if len(set(methods)) < 2:
        raise UserError(f"--methods {' '.join(methods)}: give two or more, to compare them.")
    base = {name: value for name, value in config.to_dict().items() if name not in (*MADE_HERE, "method")}
    return Grid(
        base=base,
        axes={"method": list(methods)},
        seeds=tuple(range(seeds)),
        folds=folds,
        fractions=list(fractions),
        compare="method",
        baseline=baseline,
        metric=metric,
        search=search,
        source=SOURCE,
    )


def refuse_made_here(given: Mapping[str, Any]) -> None:
    """Refuse settings that a comparison makes itself for every run.

    Raises:
        UserError: naming the first of them.

    Examples:
        >>> refuse_made_here({"seed": 3})
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --seed: is set for every run of acnorm compare; give --seeds.
    """
    for name, hint in {**MADE_HERE, "method": "give methods"}.items():
        if name in given:
            raise UserError(f"--{name}: is set for every run of {SOURCE}; {hint.replace('give ', 'give --', 1)}.")
