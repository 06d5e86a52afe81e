"""Prefixes come off where that makes names fit, nothing is lost, and nothing else is touched."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.checkpoints.keys import PREFIXES, _standing, match_names

NAMES = st.sets(st.sampled_from(["conv1.weight", "bn1.bias", "layer1.0.bn.weight", "net.a", "encoder.b", "fc.bias"]))
RUNS = st.lists(st.sampled_from(PREFIXES), max_size=3).map("".join)
STATES = st.dictionaries(
    st.tuples(RUNS, st.sampled_from(["a", "b.weight", "model", "x.net.y"])).map("".join), st.none()
)


def numbered(names) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(names))}


def matched(state, wanted) -> int:
    return len(set(state) & set(wanted))


@given(NAMES, RUNS)
def test_any_run_of_wrappers_comes_off(names: set[str], run: str):
    wrapped = {run + name: value for name, value in numbered(names).items()}
    assert match_names(wrapped, names) == numbered(names)


@given(STATES, NAMES)
def test_every_value_stays_once_in_its_order(names: dict[str, None], wanted: set[str]):
    state = numbered(names)
    assert list(match_names(state, [*wanted, "a", "b.weight", "y"]).values()) == list(state.values())


@settings(deadline=None, max_examples=30)
@given(STATES, st.sets(st.sampled_from(["a", "b.weight", "model", "model.a", "net.a", "x.net.y"])))
def test_no_other_run_of_prefixes_would_match_more(names: dict[str, None], wanted: set[str]):
    state = numbered(names)
    best = matched(match_names(state, wanted), wanted)
    for run in product(["", *PREFIXES], repeat=3):
        other = dict(state)
        for prefix in run:
            stripped = {name.removeprefix(prefix): value for name, value in other.items()}
            other = stripped if len(stripped) == len(other) else other
        assert matched(other, wanted) <= best


# without words such as "ema": these choose between two names for one place, and are gone once they have chosen
SILENT = [prefix for prefix in PREFIXES if _standing(prefix) == 0]
SILENT_STATES = st.dictionaries(
    st.tuples(
        st.lists(st.sampled_from(SILENT), max_size=3).map("".join),
        st.sampled_from(["a", "b.weight", "model", "x.net.y"]),
    ).map("".join),
    st.none(),
)


@settings(deadline=None)
@given(SILENT_STATES, NAMES)
def test_again_changes_nothing(names: dict[str, None], wanted: set[str]):
    once = match_names(numbered(names), wanted)
    assert match_names(once, wanted) == once


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_network_that_bears_such_names_keeps_them(prefix: str):
    state = {f"{prefix}conv.weight": 1, f"{prefix}bn.bias": 2, "fc.bias": 3}
    assert match_names(state, state) == state


def test_a_run_of_prefixes_is_put_on_where_the_network_has_it():
    """As smp has timm's encoders, beside a decoder."""
    state = {"conv1.weight": 1, "layer1.0.bn1.bias": 2, "fc.bias": 3}
    wanted = ["encoder.model.conv1.weight", "encoder.model.layer1.0.bn1.bias", "decoder.conv1.weight"]
    expected = {"encoder.model.conv1.weight": 1, "encoder.model.layer1.0.bn1.bias": 2, "fc.bias": 3}
    assert (
        match_names(state, wanted) == match_names({f"module.{name}": state[name] for name in state}, wanted) == expected
    )


def test_what_matches_nothing_stays_as_it_is():
    state = {"module.conv.weight": 1, "epoch": 2}
    assert match_names(state, ["elsewhere.weight"]) == match_names(state, []) == state


def test_names_without_the_prefix_stay_beside_those_with_it():
    state = {"module.encoder_q.conv.weight": 1, "queue": 2, "module.queue_ptr": 3}
    assert match_names(state, ["conv.weight"]) == {"conv.weight": 1, "queue": 2, "queue_ptr": 3}


def test_two_names_never_become_one():
    state = {"module.conv.weight": 1, "conv.weight": 2}
    assert match_names(state, ["conv.weight", "bn.bias"]) == state


def test_words_that_only_begin_like_a_prefix_stay():
    state = {"models.conv": 1, "network1.conv": 2}
    assert match_names(state, ["conv", "s.conv"]) == state


def test_the_input_is_not_changed():
    state = {"module.conv": 1}
    match_names(state, ["conv"])
    assert state == {"module.conv": 1}


TREE = ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer2.0.conv1.weight")


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("module.base_encoder.", "module.momentum_encoder."),
        ("teacher.backbone.", "student.backbone."),
        ("ema_model.module.", "model."),
        ("backbone.", "backbone_momentum."),
        ("module.encoder_q.", "module.encoder_k."),
        ("resnet.", "resnet_k."),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_of_two_networks_in_a_file_the_one_to_use_is_taken(taken: str, left: str, first: bool):
    both = {taken + name: 1 for name in TREE}, {left + name: 2 for name in TREE}
    state = {**both[0], **both[1]} if first else {**both[1], **both[0]}
    found = match_names(state, TREE)
    assert [found[name] for name in TREE] == [1] * len(TREE)


@pytest.mark.parametrize("start", ["resnet.", "feature_extractor.", "trunk.visual.", "pl_module._model.", "a.b.c."])
def test_whatever_stands_before_all_names_comes_off(start: str):
    state = {start + name: at for at, name in enumerate(TREE)} | {"head.bias": 9}
    assert match_names(state, TREE) == {**{name: at for at, name in enumerate(TREE)}, "head.bias": 9}


@pytest.mark.parametrize("start", ["", "backbone.", "model.backbone.", "module.encoder_q.", "resnet.", "model.net.0."])
def test_numbered_children_behind_whatever_stands_before_them(start: str):
    numbers = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5"}
    state = {}
    for at, name in enumerate(TREE):
        child, _, rest = name.partition(".")
        state[f"{start}{numbers[child]}.{rest}"] = at
    assert (
        match_names({**state, "projector.0.weight": 9}, TREE).items()
        >= {name: at for at, name in enumerate(TREE)}.items()
    )


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("avoided", "taken"), [("student_backbone", "teacher_backbone"), ("target_net.f", "online_net.f")]
)
def test_of_two_networks_under_names_of_their_own_the_same_is_taken_in_any_order(avoided: str, taken: str, order: int):
    wanted = ["conv1.weight", "bn1.weight", *(f"layer{at}.{block}.conv1.weight" for at in (1, 2) for block in range(9))]
    state = {f"{place}.{name}": place for place in (avoided, taken)[::order] for name in wanted}
    found = match_names(state, wanted)
    assert {found[name] for name in wanted} == {taken}


@pytest.mark.parametrize("inner", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."])
def test_wrappers_of_single_layers_come_off(inner: str):
    state = {f"module.layer1.{inner}0.conv.weight": 1, f"module.{inner}fc.bias": 2}
    assert match_names(state, ["layer1.0.conv.weight", "fc.bias"]) == {"layer1.0.conv.weight": 1, "fc.bias": 2}


def test_wrappers_whose_names_would_fall_together_stay():
    state = {"a.weight": 1, "_orig_mod.a.weight": 2}
    assert match_names(state, ["a.weight"]) == state


@pytest.mark.parametrize("own", ["layers.norm1", "norm1"])
@pytest.mark.parametrize("there", ["layers.norm1", "norm1", "norm.1"])
def test_the_parts_of_a_dense_layer_by_any_of_their_names(own: str, there: str):
    place = "features.denseblock1.denselayer12."
    assert match_names({f"{place}{there}.weight": 1}, [f"{place}{own}.weight"]) == {f"{place}{own}.weight": 1}
