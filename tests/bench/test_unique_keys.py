from __future__ import annotations

import pytest

from acnorm.bench.unique_keys import load_unique


def test_what_is_named_once_is_read_as_yaml():
    text = "a: &x {b: 1}\nc: {<<: *x, d: [{b: 2}, {b: 3}]}\n1: one"
    assert load_unique(text) == {"a": {"b": 1}, "c": {"b": 1, "d": [{"b": 2}, {"b": 3}]}, 1: "one"}
    assert load_unique("") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "a is given twice, in lines 1 and 3;"),
        ("x:\n- {a: 1}\n- {b: {c: 1,\n c: 2}}", "c is given twice, in lines 3 and 4;"),
    ],
)
def test_what_is_named_twice_is_told_with_its_lines(text: str, told: str):
    with pytest.raises(ValueError, match=told):
        load_unique(text)


def test_an_alias_of_what_holds_it_ends():
    assert load_unique("a: &x [*x]")
