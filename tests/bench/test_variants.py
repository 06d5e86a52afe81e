from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acnorm.bench.variants import chosen_settings, read_only, with_folder
from acnorm.errors import UserError

VARIANTS = {"own": {"method": "acnorm", "acnorm": {"init": "identity"}}, "moco": {"weights": "a.pth"}}


def test_settings_of_methods_are_told_apart_by_name():
    found = chosen_settings({"method": "own", "source": "moco", "acnorm.temperature": 0.5}, VARIANTS)
    assert found == {"method": "acnorm", "acnorm.init": "identity", "weights": "a.pth", "acnorm.temperature": 0.5}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"weights": "b.pth", "source": "moco"}, "axes: source (moco) sets weights, which another axis sets; leave it out of one."),
        ({"method": "own", "acnorm.init": "paper"}, "axes: acnorm.init (paper) sets acnorm.init, which another axis sets; leave it out of one."),
        ({"source": "mocco"}, "axes: source is no setting and 'mocco' no variant (did you mean moco?); there are own, moco."),
        ({"method": "moco"}, "variants: moco is a value of method and does not set it; give method among its settings."),
        ({"source": None}, "axes: source is no setting and None no variant; there are own, moco."),
    ],
)  # fmt: skip
def test_what_axes_cannot_be_is_told(chosen: dict[str, Any], message: str):
    with pytest.raises(UserError) as error:
        chosen_settings(chosen, VARIANTS)
    assert str(error.value) == message


def test_the_folder_is_named_where_data_are_nowhere(tmp_path: Path):
    found = with_folder({"data": "none", "weights": "none.pth"}, str(tmp_path))
    assert found == {"data": str(tmp_path / "none"), "weights": "none.pth"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("fraction=1", 1.0), ("fraction=0.25", 0.25), ("weights=null", None), ("weights=a.pth", "a.pth"), ("slices=true", True), ("k=1", 1)],
)  # fmt: skip
def test_values_are_read_as_the_grid_has_them(text: str, value: Any):
    known = {"fraction": [0.25, 1.0], "weights": [None, "a.pth"], "slices": [True, False], "k": [1, 2]}
    ((axis, found),) = read_only([text], known).items()
    assert found == [value]
    assert axis == text.split("=")[0]


def test_an_axis_may_be_given_twice():
    assert read_only(["seed=2", "seed=0"], {"seed": [0, 1, 2]}) == {"seed": [2, 0]}


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.001", "1e-3"), ("1e-3", 0.001), ("1E-3", "1e-3"), (".001", 0.001), ("10", "1e1"), ("1.0", 1), ("1", 1.0)],
)
def test_numbers_are_compared_as_numbers(text: str, value: Any):
    assert read_only([f"rate={text}"], {"rate": [value, 0.5, "1e-4"]}) == {"rate": [value]}


def test_what_is_written_alike_goes_before_what_reads_alike():
    known = {"form": ["1", "1.0", "01"], "slices": [1, True]}
    assert read_only(["form=1.0", "slices=true"], known) == {"form": ["1.0"], "slices": [True]}
    assert read_only(["form=1.00"], known) == {"form": ["1", "1.0", "01"]}


def test_a_value_with_a_comma_stands_alone():
    known = {"method": ["vanilla", "l2, strong", "l2"], "size": [[32, 64], 32]}
    assert read_only(["method=l2, strong"], known) == {"method": ["l2, strong"]}
    assert read_only(["method=l2, strong", "method=vanilla"], known) == {"method": ["l2, strong", "vanilla"]}
    assert read_only(["size=[32, 64]"], known) == {"size": [[32, 64]]}
    with pytest.raises(
        UserError, match=r"^--only method=vanilla,l2, strong: method is never ' strong'; it is vanilla, "
    ):
        read_only(["method=vanilla,l2, strong"], known)


@pytest.mark.parametrize(
    "text", ["weights=a.pth,", "weights=,a.pth", "weights=a.pth,,b.pth", "weights=a.pth, ", "weights= "]
)
def test_an_empty_value_is_refused(text: str):
    with pytest.raises(UserError) as error:
        read_only([text], {"weights": [None, "a.pth", "b.pth"]})
    assert str(error.value) == f"--only {text}: a value is empty; leave out a comma."


@pytest.mark.parametrize("text", ["null", "~", "None"])
def test_random_weights_are_asked_for_by_null(text: str):
    assert read_only([f"weights={text}"], {"weights": [None, "a.pth"]}) == {"weights": [None]}


def test_a_comment_of_yaml_is_no_null():
    with pytest.raises(UserError, match=r"^--only weights=#: weights is never '#'; it is null, a\.pth\.$"):
        read_only(["weights=#"], {"weights": [None, "a.pth"]})
