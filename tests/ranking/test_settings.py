"""Settings of label maps: read from texts and numbers alike, and refused by name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from acnorm.errors import UserError
from acnorm.ranking.settings import checked_settings, window_of


def given(**changes: Any) -> dict[str, Any]:
    return {
        "patch_size": None,
        "slices": False,
        "spacing": None,
        "window": None,
        "stage": None,
        "voxels": None,
    } | changes


def test_what_is_not_given_stays_so_and_other_settings_pass():
    assert checked_settings(given(splits="file")) == given(splits="file")


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("spacing", "1,1,3", (1.0, 1.0, 3.0)),
        ("spacing", "1.5", (1.5,)),
        ("spacing", 2, (2.0,)),
        ("spacing", [1, 1, 3], (1.0, 1.0, 3.0)),
        ("spacing", "median", "median"),
        ("window", "-100, 400", (-100.0, 400.0)),
        ("window", (0, 1), (0.0, 1.0)),
        ("stage", "2", (2,)),
        ("stage", "3,2", (3, 2)),
        ("stage", 3, (3,)),
        ("stage", (1, 2), (1, 2)),
        ("patch_size", 8, 8),
        ("voxels", 2, 2),
    ],
)
def test_texts_and_numbers(name: str, value: Any, read: Any):
    assert checked_settings(given(**{name: value}))[name] == read


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("patch_size", 7, "--patch-size is 7, must be 8 or more."),
        ("voxels", 1, "--voxels is 1, must be 2 or more."),
        ("spacing", "1,x", "--spacing is '1,x', must be millimetres above 0, such as 1.5 or 1,1,3, or median."),
        ("spacing", 0, "--spacing is 0, must be millimetres above 0, such as 1.5 or 1,1,3, or median."),
        ("spacing", "inf", "--spacing is 'inf', must be millimetres above 0, such as 1.5 or 1,1,3, or median."),
        ("window", "5", "--window is '5', must be two numbers, the lower first, such as -100,400."),
        ("window", "5,5", "--window is '5,5', must be two numbers, the lower first, such as -100,400."),
        ("window", "0,nan", "--window is '0,nan', must be two numbers, the lower first, such as -100,400."),
        ("stage", 0, "--stage is 0, must be whole numbers from 1, such as 2 or 2,3."),
        ("stage", "1.5", "--stage is '1.5', must be whole numbers from 1, such as 2 or 2,3."),
        ("stage", "2,2", "--stage is '2,2', must be whole numbers from 1, such as 2 or 2,3."),
        ("stage", [], "--stage is [], must be whole numbers from 1, such as 2 or 2,3."),
        ("stage", [None], "--stage is [None], must be whole numbers from 1, such as 2 or 2,3."),
    ],
)
def test_what_is_not_allowed_is_told(name: str, value: Any, told: str):
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        checked_settings(given(**{name: value}))


def test_no_window_is_none():
    assert window_of(None) is None
