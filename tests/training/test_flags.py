"""Flags in one spelling, each in one piece with its value."""

from __future__ import annotations

import pytest

from acnorm.training.flags import hyphened, joined


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["--image-size", "3", "--image_size=4"], ["--image_size=3", "--image_size=4"]),
        (["--weights=a-b_c=d", "--out", "a-b"], ["--weights=a-b_c=d", "--out=a-b"]),
        (["--learning-rate", "-1", "--out", ""], ["--learning_rate=-1", "--out="]),
        (["--resume", "--overwrite", "No", "--resume=x"], ["--resume=true", "--overwrite=No", "--resume=x"]),
        (["--resume", "stray", "-x"], ["--resume=true", "stray", "-x"]),
        (["--epochs", "--data", "a"], ["--epochs", "--data=a"]),
        (["--print-config", "more", "--help"], ["--print_config", "more", "--help"]),
        (["--out", "a", "--", "--data-x", "b"], ["--out=a", "--", "--data-x", "b"]),
        (["--acnorm.some-thing", "1"], ["--acnorm.some_thing=1"]),
    ],
)
def test_flags_are_joined_with_their_values(given: list[str], expected: list[str]):
    before = list(given)
    assert joined(given, ["resume", "overwrite"]) == expected
    assert given == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--learning_rate LEARNING_RATE", "--learning-rate LEARNING_RATE"),
        ("of learning_rate", "of learning_rate"),
        ("[--acnorm.a_b A_B] --print_config", "[--acnorm.a-b A_B] --print-config"),
    ],
)
def test_only_flags_are_spelled_with_hyphens(text: str, expected: str):
    assert hyphened(text) == expected
