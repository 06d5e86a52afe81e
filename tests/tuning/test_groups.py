"""What each method freezes stays bit-equal in training, running statistics and all, and nothing else stays."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from acnorm.tuning.bn_only import BNOnly
from acnorm.tuning.combined import terms_of
from acnorm.tuning.groups import freeze, parameter_groups, resting_modules
from acnorm.tuning.hooks import Setup, inside
from acnorm.tuning.method import METHODS, make_method
from tuning_setups import MAKERS, Training, moved, setup_of

HEADS = {"2D classifier": "linear", "3D classifier": "fc", "3D segmenter": "decoder"}
STAGES = {"2D classifier": 4, "3D classifier": 5, "3D segmenter": 5}
kinds = pytest.mark.parametrize("kind", MAKERS)


def trained(kind: str, name: str, epochs: int = 2) -> tuple[Training, set[str]]:
    """Ten steps of a method in a run of eight epochs; the names of what moved."""
    training = Training(kind, make_method(name), epochs=8, dtype=torch.float32)
    before = deepcopy(training.setup.network.state_dict())
    training.run(epochs)
    return training, moved(before, training.setup.network.state_dict())


def stage_names(training: Training, *stages: int) -> set[str]:
    """All of a state dict that belongs to some stages."""
    modules = [name for at in stages for name in training.setup.stages[at]]
    return {name for name in training.setup.network.state_dict() if inside(name, modules)}


def head_names(training: Training, kind: str) -> set[str]:
    return {name for name in training.setup.network.state_dict() if inside(name, (HEADS[kind],))}


@kinds
@pytest.mark.parametrize("name", ["linear-probe", "lp-ft"])
def test_the_head_alone_moves(kind: str, name: str):
    training, found = trained(kind, name)
    assert found == head_names(training, kind)


@kinds
@pytest.mark.parametrize(("name", "stage"), [("last-k", -1), ("surgical", 0)])
def test_one_stage_and_the_head_move(kind: str, name: str, stage: int):
    training, found = trained(kind, name)
    at = range(STAGES[kind])[stage]
    assert len(training.setup.stages) == STAGES[kind]
    assert found == head_names(training, kind) | stage_names(training, at)


@kinds
def test_the_affine_and_the_statistics_of_norm_layers_and_the_head_move(kind: str):
    training, found = trained(kind, "bn-only")
    layers = [n for n, m in training.setup.network.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms = {name for name in training.setup.network.state_dict() if inside(name, layers)}
    assert found == norms | head_names(training, kind)


@kinds
@pytest.mark.parametrize("name", ["vanilla", "acnorm", "lrd", "l2", "l2sp", "acnorm+l2sp"])
def test_all_that_can_moves(kind: str, name: str):
    training, found = trained(kind, name, epochs=1)
    fixed = {n for n in training.setup.network.state_dict() if "source_" in n or n.endswith("_extra_state")}
    assert found == set(training.setup.network.state_dict()) - fixed


def test_gradual_unfreezing_frees_a_stage_an_epoch_from_the_top():
    training = Training("2D classifier", make_method("gradual"), epochs=8, dtype=torch.float32)
    before = deepcopy(training.setup.network.state_dict())
    for freed in ([], [3], [2, 3], [1, 2, 3], [0, 1, 2, 3]):
        training.run(1)
        found = moved(before, training.setup.network.state_dict())
        assert found == head_names(training, "2D classifier") | stage_names(training, *freed)


def test_after_the_head_alone_lp_ft_trains_everything_batch_statistics_too():
    training = Training("2D classifier", make_method("lp-ft"), dtype=torch.float32).run(1)
    before = deepcopy(training.setup.network.state_dict())
    training.run(1)
    assert moved(before, training.setup.network.state_dict()) == set(before)
    assert all(module.training for module in training.setup.network.modules())


def test_what_is_frozen_stays_in_eval_through_train():
    training = Training("2D classifier", make_method("linear-probe")).run(1)
    for mode in (True, False, True):
        training.module.train(mode)
        resting = [m for n, m in training.setup.network.named_modules() if n and not inside(n, ("linear",))]
        assert not any(module.training for module in resting)
        assert training.setup.network.linear.training is mode


def test_parameters_that_never_learn_are_not_in_the_optimiser_and_all_others_once():
    for name in METHODS:
        training = Training("2D classifier", make_method(name), epochs=8)
        listed = [id(p) for group in training.optimizer.param_groups for p in group["params"]]
        assert len(listed) == len(set(listed))
        method, setup = make_method(name), training.setup
        epochs = [method.frozen(setup, epoch) for epoch in range(8)]
        learning = {n: p for n, p in setup.parameters.items() if not all(n in frozen for frozen in epochs)}
        own = [parameter for term in terms_of(training.module.penalty) for parameter in term.learning()]
        assert set(listed) == {id(p) for p in (*learning.values(), *own)}


def test_rates_are_multiplied_and_the_fastest_of_the_encoder_comes_first():
    setup = setup_of("2D classifier", make_method("lrd"))
    groups = parameter_groups(make_method("bn-only+lrd"), setup, rate=0.1, head_rate=10, decay=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([1.0, 0.75, 0.5625, 0.421875, 1.0])
    assert {group["weight_decay"] for group in groups} == {0.5}
    assert sum(len(group["params"]) for group in groups) == 38 + 2


def test_a_norm_layer_without_affine_rests_with_its_stage_and_dropout_in_a_frozen_module_too():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2, affine=False),
        nn.Sequential(nn.Conv2d(2, 2, 1), nn.Dropout()),
        nn.Linear(2, 1),
    )
    freeze(network, {"0.weight", "0.bias", "2.0.weight", "2.0.bias"}, [("0", "1"), ("2.0", "2.1")])
    assert [name for name, module in network.named_modules() if not module.training] == ["0", "1", "2", "2.0", "2.1"]
    assert resting_modules(network, [("0", "1"), ("2.0", "2.1")]) == ["0", "1", "2"]
    freeze(network.train(), {"0.weight"}, [("0", "1")])
    assert resting_modules(network, [("0", "1")]) == []
    assert all(module.training for module in network.modules())


def test_a_rate_of_its_own_for_each_parameter_is_a_group_with_its_name():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    groups = parameter_groups(make_method("auto-rgn"), Setup(network, "1"), rate=0.1, head_rate=2, decay=0)
    assert [group.get("name") for group in groups] == ["0.weight", "0.bias", None]


def test_without_a_norm_layer_bn_only_has_nothing_to_train():
    with pytest.raises(ValueError, match=r"^no norm layer with weight and bias outside the head of Linear\.$"):
        BNOnly().check(Setup(nn.Linear(1, 1), ""))


@pytest.mark.parametrize("name", ["lwf", "cotuning", "bi-tuning"])
def test_what_a_penalty_learns_as_the_encoder_does_rests_while_the_head_trains_alone(name: str):
    training = Training("2D classifier", make_method(f"lp-ft+{name}"), epochs=8, dtype=torch.float32)
    (term,) = terms_of(training.module.penalty)
    before = [parameter.detach().clone() for parameter in term.learning()]
    training.run(2)
    assert all(torch.equal(*pair) for pair in zip(before, term.learning(), strict=True))
    training.run(1)
    assert not any(torch.equal(*pair) for pair in zip(before, term.learning(), strict=True))


@pytest.mark.parametrize(("beside", "decay"), [("l2sp", 0.0), ("delta", 0.0), ("l2", 0.01), ("lrd", 0.5)])
@pytest.mark.parametrize("name", ["lwf", "cotuning", "bi-tuning"])
def test_what_a_penalty_learns_decays_as_the_encoder_does(name: str, beside: str, decay: float):
    training = Training("2D classifier", make_method(f"{name}+{beside}"), weight_decay=0.5)
    own = {id(parameter) for term in terms_of(training.module.penalty) for parameter in term.learning()}
    (group,) = [group for group in training.optimizer.param_groups if own & {id(p) for p in group["params"]}]
    assert own == {id(p) for p in group["params"]}
    assert group["weight_decay"] == decay
