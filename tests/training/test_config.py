"""What a configuration refuses, and in which settings two of them differ."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from acnorm.errors import UserError
from acnorm.training.config import METHOD_SETTINGS, NOT_PART_OF_THE_RESULT, FinetuneConfig
from acnorm.tuning.acnorm import ACNormTuning
from acnorm.tuning.hooks import Method
from acnorm.tuning.method import METHODS

INFINITY, NAN = float("inf"), float("nan")


def make(**changes: Any) -> FinetuneConfig:
    return FinetuneConfig(**{"data": "eyes.npz", "model": "cifar/resnet20", "out": "run", **changes})


REFUSED = [
    *((name, value, "1 or more") for name in ("epochs", "batch_size", "accumulate", "nodes", "bootstrap") for value in (0, -1, None)),
    *((name, value, "1 or more") for name in ("patience", "image_size") for value in (0, -3)),
    *((name, "''", "a path") for name in ("data", "out", "weights", "splits")),
    *(("patch_size", value, "8 or more") for value in (0, 7)),
    ("model", "''", "a name"),
    *((name, "''", "a name or a number") for name in ("accelerator", "devices", "strategy")),
    *((name, value, "0 or more and finite") for name in ("head_rate", "weight_decay") for value in (-0.1, INFINITY, NAN)),
    *((name, -1, "0 or more") for name in ("seed", "workers")),
    *(("learning_rate", value, "above 0 and finite") for value in (0.0, -1.0, INFINITY, NAN)),
    *(("momentum", value, "above 0 and below 1") for value in (0.0, 1.0, NAN)),
    *(("minimum_share", value, "between 0 and 1") for value in (-0.1, 1.1, NAN)),
]  # fmt: skip
EDGES = [
    *((name, 1) for name in ("epochs", "batch_size", "accumulate", "nodes", "bootstrap", "patience", "image_size")),
    *((name, None) for name in ("patience", "image_size", "weights", "format", "splits")),
    *((name, 0) for name in ("head_rate", "weight_decay", "seed", "workers", "minimum_share")),
    ("minimum_share", 1.0),
    ("learning_rate", 1e-12),
    ("momentum", 0.999),
]


@pytest.mark.parametrize(("name", "value", "allowed"), REFUSED)
def test_a_value_out_of_range_is_told_with_what_is_allowed(name: str, value: object, allowed: str):
    with pytest.raises(UserError, match=rf"^{name} is {value}, must be {allowed}\.$"):
        make(**{name: "" if value == "''" else value})


@pytest.mark.parametrize(("name", "value"), EDGES)
def test_values_at_the_edge_are_allowed(name: str, value: object):
    assert getattr(make(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_rule": "max"}, "stem_rule is 'max', must be 'sum' or 'mean' or 'repeat' or 'first'."),
        ({"depth_rule": "all"}, "depth_rule is 'all', must be 'spread' or 'centre'."),
        ({"augment": "flip"}, "augment is 'flip', must be 'standard' or 'anatomical' or 'flips' or 'none'."),
        ({"optimizer": "adam"}, "optimizer is 'adam', must be 'adamw' or 'sgd'."),
        ({"method": "plain"}, f"method is 'plain', must be of {', '.join(METHODS)}, with + between several."),
        ({"acnorm": ACNormTuning(temperature=0)}, "acnorm.temperature is 0, must be above 0 and finite."),
        ({"acnorm": ACNormTuning(temperature=NAN)}, "acnorm.temperature is nan, must be above 0 and finite."),
        ({"acnorm": ACNormTuning(eps=-1e-5)}, "acnorm.eps is -1e-05, must be above 0 and finite."),
        ({"acnorm": ACNormTuning(init="zero")}, "acnorm.init is 'zero', must be 'paper' or 'identity'."),
        (
            {"acnorm": ACNormTuning(norms="layer")},
            "acnorm.norms is 'layer', must be 'batch', 'instance', 'group' or 'any'.",
        ),
        (
            {"acnorm": ACNormTuning(partners="top-0")},
            "acnorm.partners is 'top-0', must be 'paper', 'dense', 'own', 'others', 'permuted' or 'top-K' with a number K "
            "from 1 on, such as 'top-5'.",
        ),
        ({"epochs": "3"}, "epochs is 3, must be 1 or more."),
        ({"foreground_share": 1.5}, "foreground_share is 1.5, must be between 0 and 1."),
        ({"norm_statistics": "eval"}, "norm_statistics is 'eval', must be 'train' or 'frozen' or 'reestimated'."),
        ({"spacing": "1,mm"}, "spacing is '1,mm', must be millimetres above 0, such as 1.5 or 1,1,3, or median."),
        ({"spacing": "0"}, "spacing is '0', must be millimetres above 0, such as 1.5 or 1,1,3, or median."),
        ({"window": "400,-100"}, "window is '400,-100', must be two numbers, the lower first, such as -100,400."),
        ({"window": "40"}, "window is '40', must be two numbers, the lower first, such as -100,400."),
        (
            {"measures": "auc,volume"},
            "measures is 'auc,volume', must be of auc, cldice, lesions, global_dice, ejection_fraction, "
            "with commas between.",
        ),
        (
            {"task": "vessels"},
            "task is 'vessels', must be 'classification' or 'segmentation' or 'dr-grading' or 'vessel-segmentation' or "
            "'nodule-classification' or 'nodule-segmentation' or 'liver-tumor-segmentation' or 'cardiac-segmentation'.",
        ),
    ],
)
def test_names_that_are_not_known_and_settings_of_acnorm_are_told(changes: dict[str, Any], message: str):
    with pytest.raises(UserError) as refused:
        make(**changes)
    assert str(refused.value) == message


def test_all_that_is_wrong_is_told_in_one_line():
    with pytest.raises(UserError) as refused:
        make(epochs=0, momentum=1.0, method="plain", resume=True, overwrite=True)
    assert str(refused.value) == (
        "epochs is 0, must be 1 or more; momentum is 1.0, must be above 0 and below 1; "
        f"method is 'plain', must be of {', '.join(METHODS)}, with + between several; "
        "--resume and --overwrite are given together, must be one of the two."
    )


def other_value(value: object) -> object:
    """A value near this one that is allowed for any setting."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2
        case None:
            return 9
        case Method():
            first = fields(value)[0]
            return replace(value, **{first.name: other_value(getattr(value, first.name))})
    return {"acnorm": "vanilla", "standard": "flips", "auto": "32-true", "train": "frozen"}.get(str(value), f"{value}2")


@pytest.mark.parametrize("name", [item.name for item in fields(FinetuneConfig)])
def test_every_setting_makes_a_difference_but_those_that_leave_the_result_alone(name: str):
    made = make()
    of_text = {"task": "classification", "spacing": "median", "window": "-100,400", "measures": "auc"}
    of_text |= {"stem_rule": "mean", "depth_rule": "centre", "optimizer": "sgd"}
    changed = replace(made, **{name: of_text.get(name, other_value(getattr(made, name)))})
    assert changed != made
    same_result = name in NOT_PART_OF_THE_RESULT
    assert made.difference(changed) == changed.difference(made) == ([] if same_result else [name])


def test_a_configuration_is_the_same_after_a_way_through_plain_values():
    made = make(epochs=3, acnorm=ACNormTuning(temperature=0.5, exclude="bn1"))
    values = made.to_dict()
    assert values["acnorm"] == {**ACNormTuning().__dict__, "temperature": 0.5, "exclude": "bn1"}
    nested = {name: kind(**values[name]) for name, kind in METHOD_SETTINGS.items()}
    assert FinetuneConfig(**values | nested) == made
