"""What would make a comparison say what is not so: pairs that are none, and runs that count twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

from acnorm.bench.cells import Cell


def unpaired(cells: Sequence[Cell], axis: str) -> str | None:
    """Return what is wrong where values of the compared axis are tested on different cases; None where nothing is.

    Args:
        cells: of a grid.
        axis: that is compared.

    Examples:
        >>> unpaired([], "data") is None
        True
    """
    seen: dict[str, tuple[Any, Any]] = {}
    for cell in cells:
        value, tested = cell.labels[axis], (cell.inputs.data, cell.division.tested)
        other, before = seen.setdefault(str({**cell.labels, axis: None}), (value, tested))
        if before != tested:
            return (
                f"{axis}: {other!r} and {value!r} are tested on different cases, so that their runs are no pairs; "
                "compare something else, and give data as tasks"
            )
    return None


def twin_tasks(cells: Sequence[Cell]) -> str | None:
    """Return what is wrong where two tasks have the same runs, and so would count twice; None where nothing is.

    Args:
        cells: of a grid with tasks.

    Examples:
        >>> twin_tasks([]) is None
        True
    """
    runs: dict[str, set[str]] = {}
    for cell in cells:
        runs.setdefault(cell.labels["task"], set()).add(cell.address)
    for one, other in combinations(runs, 2):
        if runs[one] == runs[other]:
            return f"tasks: {one} and {other} have the same runs; leave one of them out"
    return None


def twins(places: Sequence[Sequence[Sequence[str]]]) -> tuple[str, str] | None:
    """Return two values of the compared axis that stand for the same settings wherever both are; None without any.

    Args:
        places: of each place in the other axes, the values that stand for the same settings, together.

    Examples:
        >>> twins([[["acnorm", "again"], ["vanilla"]]])
        ('acnorm', 'again')
        >>> twins([[["acnorm", "again"]], [["acnorm"], ["again"]]]) is None
        True
    """
    together = {pair for place in places for values in place for pair in combinations(values, 2)}
    apart = {
        (first, second)
        for place in places
        for one, other in combinations(place, 2)
        for first, second in [*product(one, other), *product(other, one)]
    }
    return next(iter(sorted(together - apart)), None)
