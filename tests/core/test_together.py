"""Layers that merge together, as their network runs, do what each would do alone."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from copy import deepcopy
from threading import Event

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from acnorm.core import correlation, together
from acnorm.core import layer as layer_module
from acnorm.core.census import acnorm_layers
from acnorm.core.convert import convert, revert
from acnorm.core.fold import fold
from acnorm.core.layer import ACNorm
from acnorm.core.together import work_alone, work_together
from networks import images_for, move, relative_difference, trained


@pytest.fixture(params=[10**6, 0], ids=["dense", "windowed"])
def _form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", request.param)


in_both_forms = pytest.mark.usefixtures("_form")


UPWARD = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


class Branches(nn.Module):
    """Four layers of one width, the last of them used when asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.BatchNorm1d(6, dtype=torch.float64) for _ in range(4))
        generator = torch.Generator().manual_seed(6)  # gradients that a last bit of the affines moves by 3e-14 at most
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.5, 1.0, generator=generator)
        self.reentrant: bool | None = None

    def forward(self, features: Tensor, last: bool = False) -> Tensor:
        for layer in self.layers if last else self.layers[:-1]:
            if self.reentrant is not None:
                features = checkpoint(layer, features, use_reentrant=self.reentrant).tanh()
            else:
                features = layer(features).tanh()
        return features


def features() -> Tensor:
    return torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()


def gradients(model: nn.Module) -> list[Tensor | None]:
    model.zero_grad()
    inputs = features()
    output = model(inputs)
    (output * UPWARD).sum().backward()
    return [output.detach(), inputs.grad, *(value.grad for value in model.parameters())]


def assert_equal(found: list[Tensor | None], expected: list[Tensor | None]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert relative_difference(mine, theirs) < 1e-13


def difference(model: nn.Module, other: nn.Module) -> float:
    return relative_difference(model(features()).detach(), other(features()).detach())


def alone(model: nn.Module) -> nn.Module:
    copy = deepcopy(model)
    work_alone(copy)
    return copy


@in_both_forms
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("init", ["paper", "identity"])
def test_together_is_as_alone_and_a_layer_not_used_gets_no_gradient(training: bool, init: str):
    model = move(convert(Branches(), init=init)).train(training)
    other = alone(model)
    found, expected = gradients(model), gradients(other)
    assert_equal(found, expected)
    assert found[-2:] == [None, None]


def test_what_has_changed_is_computed_once_for_each_width(monkeypatch: pytest.MonkeyPatch):
    computed: list[tuple[int, ...]] = []

    def counting(affine: Tensor, *others: Tensor, **options: float) -> tuple[Tensor, ...]:
        computed.append(tuple(affine.shape))
        return correlation.merged_apart(affine, *others, **options)

    monkeypatch.setattr(together, "merged_apart", counting)
    monkeypatch.setattr(layer_module, "merged_apart", counting)
    model = convert(nn.Sequential(Branches(), nn.Linear(6, 9, dtype=torch.float64), nn.BatchNorm1d(9).double()))
    model(features())
    assert computed == [(4, 2, 6)]
    model[0].layers[1].weight.data += 1
    model(features())
    assert computed == [(4, 2, 6), (1, 2, 6)]
    model(features())
    model[0](features())
    assert len(computed) == 2
    alone(model)[0](features())
    assert computed[2:] == [(2, 6)] * 3
    with torch.no_grad():
        other = alone(model)
        model[0](features()), other[0](features())
        other[0](features())
    assert computed[5:] == [(2, 6)] * 3


@in_both_forms
@pytest.mark.parametrize("reentrant", [True, False])
def test_parts_whose_activations_are_computed_again(reentrant: bool):
    model = move(convert(Branches()))
    model.reentrant = reentrant
    plain = alone(model)
    plain.reentrant = None
    for layer in acnorm_layers(model).values():
        layer.momentum = 0.0  # the recomputation moves the running statistics once more, as it does BatchNorm's
    assert_equal(gradients(model), gradients(plain))


def test_checkpointing_the_whole_network_or_none_saves_alike():
    model = move(convert(Branches()))
    other = deepcopy(model)
    expected = gradients(model)
    inputs = features()
    output = checkpoint(other, inputs, use_reentrant=False)
    (output * UPWARD).sum().backward()
    assert_equal([output.detach(), inputs.grad, *(value.grad for value in other.parameters())], expected)


def test_copies_and_files_hold_nothing_that_was_computed():
    model = convert(Branches())
    model(features())
    copies = [deepcopy(model), pickle.loads(pickle.dumps(model))]
    assert [layer.remembers() for copy in copies for layer in copy.layers] == [False] * 8
    for copy in copies:
        assert_equal(gradients(copy), gradients(alone(model)))
    assert all("source" in key or "norm" in key or "extra" in key for key in model.layers.state_dict())


class Changing(Branches):
    """Changes its parameters in the middle of its forward."""

    def forward(self, features: Tensor) -> Tensor:
        middle = super().forward(features)
        for parameter in self.parameters():
            parameter.data.mul_(1.1)
        return super().forward(middle)


@pytest.mark.parametrize("gradient", [True, False])
def test_parameters_that_change_during_the_forward(gradient: bool):
    model = convert(Changing())
    other = alone(model)
    with torch.set_grad_enabled(gradient):
        for _ in range(2):
            assert difference(model, other) < 1e-13


def test_an_interrupted_forward_leaves_nothing_wrong():
    model = convert(Branches())
    hook = model.layers[2].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(features())
    hook.remove()
    move(model)
    assert difference(model, alone(model)) < 1e-13
    with torch.no_grad():
        assert difference(model, alone(model)) < 1e-13


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Halves(nn.Sequential):
    """Two layers side by side."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self[0](images), self[1](images)


@in_both_forms
def test_two_losses_of_one_forward_go_back_one_after_the_other():
    model = convert(Halves(*Branches().layers[:2]))
    for output in model(features()):
        output.square().sum().backward()
    other = alone(model)
    other.zero_grad()
    sum(output.square().sum() for output in other(features())).backward()
    assert_equal([value.grad for value in model.parameters()], [value.grad for value in other.parameters()])


@in_both_forms
def test_gradients_add_up_over_forwards_with_the_same_parameters():
    model = convert(Branches())
    once = [value.clone() for value in gradients(model)[2:] if value is not None]
    for _ in range(2):
        (model(features()) * UPWARD).sum().backward()
    thrice = [value.grad for value in model.parameters() if value.grad is not None]
    assert_equal(thrice, [3 * value for value in once])


def test_a_parameter_that_replaces_another_of_equal_values_gets_its_gradient():
    model = convert(Branches())
    expected = gradients(model)
    for layer in model.layers:
        layer.norm.weight = nn.Parameter(layer.weight.detach().clone())
    assert_equal(gradients(model), expected)


def test_freezing_and_thawing_between_forwards():
    model = convert(Branches())
    expected = gradients(model)
    model.requires_grad_(False)
    assert not model(features().detach()).requires_grad
    model.requires_grad_(True)
    assert_equal(gradients(model), expected)


@in_both_forms
def test_hooks_of_parameters_that_a_loss_does_not_reach_are_not_called():
    model = convert(Branches())
    called: list[str] = []
    for name, parameter in model.named_parameters():
        parameter.register_hook(lambda _, name=name: called.append(name))
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: called.append(name))
    model(features()).sum().backward()
    assert sorted(called) == sorted(2 * [name for name, _ in model.named_parameters() if "layers.3" not in name])


def steps_of(model: nn.Module) -> list[object]:
    """The step of the gradient behind the affine of each layer, as the next forward would take it."""
    together._Together()(model, ())
    return [layer._merged_affine()[0].grad_fn for layer in acnorm_layers(model).values()]


def test_a_step_of_the_gradient_is_shared_only_where_nobody_can_tell(monkeypatch: pytest.MonkeyPatch):
    model = convert(Branches())
    assert len(set(steps_of(model))) == 1
    hook = model.layers[1].bias.register_hook(lambda _: None)
    steps = steps_of(model)
    assert steps[0] is steps[2] is steps[3] is not steps[1]
    hook.remove()
    model.layers[2].weight.requires_grad_(False)
    steps = steps_of(model)
    assert steps[0] is steps[1] is steps[3] is not steps[2]
    model.requires_grad_(True)
    assert len(set(steps_of(model))) == 1
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    assert len(set(steps_of(model))) == 4


def test_what_was_shared_is_used_once_and_not_after_a_hook_or_a_change():
    model = convert(Branches())
    together._Together()(model, ())
    first, second, third, fourth = model.layers
    step = first._merged_affine()[0].grad_fn
    assert first._merged_affine()[0].grad_fn is not step  # as where one layer stands in two places
    second.weight.register_hook(lambda _: None)
    third.weight.data.mul_(2)
    fourth.norm.weight = nn.Parameter(fourth.weight.detach().clone())
    assert step not in [layer._merged_affine()[0].grad_fn for layer in (second, third, fourth)]


@in_both_forms
def test_no_gradient_comes_of_none():
    class Stop(torch.autograd.Function):
        @staticmethod
        def forward(_, images: Tensor) -> Tensor:
            return images.clone()

        @staticmethod
        def backward(*_: object) -> None:
            return None

    model, other = convert(Branches()), torch.ones(1, requires_grad=True)
    (Stop.apply(model(features())).sum() + other.sum()).backward()
    assert [value.grad for value in model.parameters()] == [None] * 8


@in_both_forms
def test_a_batch_of_gradients():
    model = convert(Branches())
    parameters = list(model.parameters())[:6]
    rows = torch.autograd.grad(
        model(features())[0], parameters, torch.eye(6, dtype=torch.float64), is_grads_batched=True
    )
    for place in range(6):
        one = torch.autograd.grad(model(features())[0, place], parameters)
        assert_equal([row[place] for row in rows], list(one))


@in_both_forms
def test_another_forward_between_a_checkpointed_one_and_its_backward():
    model = convert(Branches())
    expected = gradients(alone(model))
    model.reentrant = False
    model.zero_grad()
    inputs = features()
    output = model(inputs)
    with torch.inference_mode():
        model(torch.ones(3, 6, dtype=torch.float64))
    (output * UPWARD).sum().backward()
    assert_equal([output.detach(), inputs.grad, *(value.grad for value in model.parameters())], expected)


def test_what_merged_affine_gives_may_be_changed():
    model = convert(Branches())
    with torch.no_grad():
        before = model(features())
        model.layers[0].merged_affine()[0].zero_()
        assert torch.equal(model(features()), before)


def test_fake_tensors_leave_the_model_as_it_was():
    model = convert(Branches()).eval()
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        model(torch.ones(3, 6, dtype=torch.float64))
    assert difference(model, alone(model)) < 1e-13


def test_symbolic_tracing_is_refused_rather_than_losing_the_recalibration():
    model = convert(Branches())
    with pytest.raises(TypeError, match=r"torch\.fx cannot trace AC-Norm.*call acnorm\.fold\(model\) first"):
        torch.fx.symbolic_trace(nn.Sequential(*model.layers))


@in_both_forms
def test_a_batch_of_inputs_by_vmap():
    model = convert(Branches()).eval()
    several = torch.stack((features().detach(), 2 * features().detach()))
    assert_equal(list(torch.func.vmap(model)(several).detach()), [model(images).detach() for images in several])


def test_a_frozen_part_asks_for_no_gradient():
    model = convert(nn.Sequential(*Branches().layers))
    for layer in model[:3]:
        layer.requires_grad_(False)
    outputs = []
    model[2].register_forward_hook(lambda _, __, output: outputs.append(output))
    model(features().detach()).sum().backward()
    assert [output.requires_grad for output in outputs] == [False]
    assert model[3].weight.grad is not None


def test_threads_do_not_disturb_each_other():
    model = convert(nn.Sequential(*Branches().layers)).eval()
    batches = [torch.randn(4, 6, dtype=torch.float64) for _ in range(2)]
    state = deepcopy(model.state_dict())
    with torch.no_grad():
        expected = [model(batch) for batch in batches]

    def repeat(place: int) -> bool:
        with torch.no_grad():
            return all(torch.equal(model(batches[place]), expected[place]) for _ in range(100))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(repeat, range(2))) == [True, True]
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_what_is_shared_is_not_taken_from_a_layer_that_runs_in_another_thread():
    model, inside, leave = convert(Branches()), Event(), Event()
    layer = model.layers[0]

    def stay(*_: object) -> None:
        inside.set()
        leave.wait(60)

    layer.norm.register_forward_hook(stay)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(layer, features())
        inside.wait(60)  # the layer holds the merged affine in the place of its own
        beginning = pool.submit(together._Together(), model, ())
        begun = bool(wait([beginning], timeout=0.1).done)
        leave.set()
        running.result(), beginning.result()
    assert not begun
    assert layer.remembers()


@in_both_forms
@pytest.mark.parametrize("context", [nullcontext, torch.enable_grad])
def test_training_after_inference_mode(context: type):
    model = convert(Branches()).eval()
    with torch.inference_mode(), context():
        model(torch.ones(3, 6, dtype=torch.float64))
    # a second derivative saves what the layers share
    (gradient,) = torch.autograd.grad(model(features()).square().sum(), model.layers[0].weight, create_graph=True)
    gradient.square().sum().backward()
    assert_equal(gradients(model), gradients(alone(model)))


def test_every_forward_sees_the_parameters_as_they_are():
    model = convert(Branches())
    before = model(features()).detach()
    model.layers[0].weight.data.mul_(3)
    assert difference(model, alone(model)) < 1e-13
    assert relative_difference(model(features()).detach(), before) > 1e-2
    doubled = {name: value * 2 for name, value in model.named_parameters()}
    found = torch.func.functional_call(model, doubled, (features(),))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert relative_difference(found.detach(), alone(model)(features()).detach()) < 1e-13


def test_layers_of_other_options_devices_and_widths_are_kept_apart():
    model = convert(nn.Sequential(*Branches().layers, nn.Linear(6, 6, dtype=torch.float64)))
    model[1].temperature, model[2].enabled = 0.2, False
    model[3] = move(convert(Branches())).layers[3].float()
    model.insert(3, nn.Identity())
    body, last = model[:4], model[4]
    assert difference(body, alone(model)[:4]) < 1e-13
    both = nn.Sequential(body, nn.Identity())
    work_together(both)
    assert difference(both, body) < 1e-13
    assert last.weight.dtype == torch.float32


def test_a_part_called_by_itself_merges_its_own():
    model = move(convert(trained(dtype=torch.float64)))
    images = images_for(dtype=torch.float64)
    part = model.bn1(model.conv1(images))
    assert relative_difference(part.detach(), alone(model).bn1(model.conv1(images)).detach()) < 1e-13


@pytest.mark.parametrize("undo", [revert, fold])
def test_revert_and_fold_take_the_hooks_away_and_no_others(undo):
    model = Branches()
    model.register_forward_hook(lambda *_: None)
    model.register_forward_pre_hook(lambda *_: None)
    undo(convert(model))
    assert len(model._forward_hooks) == len(model._forward_pre_hooks) == 1


def test_hooks_of_an_inner_converted_network_go_too():
    inner = convert(Branches())
    fold(nn.Sequential(inner, nn.Identity()))
    assert not inner._forward_pre_hooks
    assert "_acnorm_census" not in vars(inner)


def test_a_gradient_asked_for_inside_a_forward_without_one():
    class Inside(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            with torch.enable_grad():
                return super().forward(images)

    model = move(convert(Inside(*Branches().layers))).eval()
    with torch.no_grad():
        output = model(features())
    output.sum().backward()
    other = alone(model)
    other.zero_grad()
    other(features()).sum().backward()
    assert_equal([value.grad for value in model.parameters()], [value.grad for value in other.parameters()])


def test_double_backward_through_layers_together():
    model = move(convert(Branches())).eval()
    weight = model.layers[0].weight
    (first,) = torch.autograd.grad(model(features()).square().sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), weight)
    other = alone(model)
    its_weight = other.layers[0].weight
    (its_first,) = torch.autograd.grad(other(features()).square().sum(), its_weight, create_graph=True)
    (its_second,) = torch.autograd.grad(its_first.square().sum(), its_weight)
    assert relative_difference(second, its_second) < 1e-12
    assert isinstance(model.layers[0], ACNorm)
