"""YAML in which no name stands twice at one place: the reader of YAML takes the last and drops the others."""

from __future__ import annotations

from typing import Any

import yaml


def load_unique(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        ValueError: a name stands twice at one place.
        yaml.YAMLError: it is no YAML.

    Examples:
        >>> load_unique("seeds: 3")
        {'seeds': 3}
        >>> load_unique("tasks: {a: 1, a: 2}")
        Traceback (most recent call last):
            ...
        ValueError: a is given twice, in lines 1 and 1; leave out one, or give it another name.
    """
    node = yaml.compose(text, yaml.SafeLoader)
    if node is not None:
        _refuse_twice(node, set())
    return yaml.safe_load(text)


def _refuse_twice(node: yaml.Node, looked_at: set[int]) -> None:
    if id(node) in looked_at or isinstance(node, yaml.ScalarNode):
        return
    looked_at.add(id(node))  # what an alias names may hold itself
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _refuse_twice(part, looked_at)
        return
    lines: dict[str, int] = {}
    for name, value in node.value:
        key, line = str(name.value), name.start_mark.line + 1
        if key in lines:
            raise ValueError(
                f"{key} is given twice, in lines {lines[key]} and {line}; leave out one, or give it another name."
            )
        lines[key] = line
        _refuse_twice(value, looked_at)
