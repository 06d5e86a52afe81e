"""What is made before anything is written: data, network and method, and that trying them out changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from acnorm.core.census import acnorm_layers
from acnorm.errors import UserError
from acnorm.models.sources import CIFAR_STATISTICS
from acnorm.training.prepare import PreparedModel, new_network, prepare_data, prepare_model
from tiny_runs import TinyNet, checkpoint, config, equal

HERE = "test_prepare"


class MapNet(TinyNet):
    """Gives logits for each of four places."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :, None].expand(-1, -1, 4)


class DemandingNet(TinyNet):
    """Takes square images of 20 pixels."""

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] != 20:
            raise ValueError("images of 20 pixels,\nplease")
        return super().forward(images)


class CountingNet(TinyNet):
    """Counts how often it was run, and draws from the generator each time."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.register_buffer("times", torch.tensor(0))

    def forward(self, images: Tensor) -> Tensor:
        self.times += 1
        return super().forward(images + torch.rand(()))


def counting(num_classes: int, in_channels: int) -> nn.Module:
    return CountingNet(num_classes, in_channels)


def gives_maps(num_classes: int, in_channels: int) -> nn.Module:
    return MapNet(num_classes, in_channels)


def demanding(num_classes: int, in_channels: int) -> nn.Module:
    return DemandingNet(num_classes, in_channels)


def prepared(folder: Path, **changes: object) -> PreparedModel:
    made = config(folder, **changes)
    return prepare_model(made, prepare_data(made))


def test_a_usual_checkpoint_brings_its_statistics_and_a_random_start_those_of_the_training_images(folder: Path):
    given = prepare_data(config(folder, model="cifar/resnet20", weights="some.pth")).preprocessing
    assert (given.mean, given.deviation) == CIFAR_STATISTICS
    data = prepare_data(config(folder, model="cifar/resnet20", augment="none"))
    images = torch.stack([data.train[0, at]["image"] for at in range(len(data.train))])
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-4)


def test_only_training_images_are_augmented_and_by_the_chosen_way(folder: Path):
    data = prepare_data(config(folder, augment="flips"))
    plain = prepare_data(config(folder, augment="none"))
    for name in ("val", "test"):
        assert torch.equal(data.by_split[name][0, 0]["image"], data.by_split[name][5, 0]["image"])
    image = plain.train[0, 0]["image"]
    flipped = [image, image.flip(1), image.flip(2), image.flip(1, 2)]
    seen = [data.train[epoch, 0]["image"] for epoch in range(30)]
    assert all(any(torch.equal(one, other) for other in flipped) for one in seen)
    assert not all(torch.equal(one, image) for one in seen)


def test_images_are_brought_to_the_size_asked_for(folder: Path):
    assert prepare_data(config(folder, image_size=24)).test[0, 0]["image"].shape == (3, 24, 24)


def test_a_new_network_depends_on_the_seed_alone_and_leaves_the_generator(folder: Path):
    data = prepare_data(config(folder))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = new_network(config(folder), data).module.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert equal(new_network(config(folder), data).module.state_dict(), first)
    assert not equal(new_network(config(folder, seed=1), data).module.state_dict(), first)


def test_what_a_method_draws_depends_on_the_seed_of_the_run_and_leaves_the_generator(folder: Path):
    def order(seed: int) -> list[int]:
        torch.manual_seed(7)
        before = torch.get_rng_state()
        settings = {"method": "acnorm", "acnorm": {"partners": "permuted"}, "seed": seed}
        module = prepared(folder, weights=folder / "weights.pth", **settings).module
        assert torch.equal(torch.get_rng_state(), before)
        return [*module.get_buffer("bn1.partner_order").tolist(), *module.get_buffer("bn2.partner_order").tolist()]

    assert order(0) == order(0)
    assert order(0) != order(1)


@pytest.mark.parametrize("method", ["vanilla", "acnorm"])
def test_all_but_the_head_is_that_of_the_checkpoint(folder: Path, method: str):
    source = torch.load(folder / "weights.pth", weights_only=True)["state_dict"]
    model = prepared(folder, weights=folder / "weights.pth", method=method)
    values = {**dict(model.module.named_parameters()), **dict(model.module.named_buffers())}
    for name, value in values.items():
        if "source" not in name and not name.startswith("fc."):
            assert torch.equal(value, source[f"module.{name.replace('.norm.', '.')}"]), name
    assert model.module.get_parameter("fc.weight").shape == (2, 8)
    assert model.report is not None
    assert list(acnorm_layers(model.module)) == (["bn1", "bn2"] if method == "acnorm" else [])


def test_without_a_checkpoint_the_network_is_the_new_one_and_there_is_no_report(folder: Path):
    model = prepared(folder)
    data = prepare_data(config(folder))
    assert model.report is None
    assert equal(model.module.state_dict(), new_network(config(folder), data).module.state_dict())


def test_trying_the_network_out_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    before = torch.get_rng_state()
    module = prepared(folder, model=f"{HERE}:counting").module
    assert module.get_buffer("times") == 0
    assert module.training
    assert torch.equal(torch.get_rng_state(), before)


def test_less_than_the_least_share_of_a_checkpoint_is_refused(folder: Path, tmp_path: Path):
    other = checkpoint(tmp_path / "other.pth", "tiny_runs:without_norm")
    changes = {"weights": other, "model": "tiny_runs:tiny"}
    with pytest.raises(UserError, match=r"other\.pth: only \d\d\.\d% of the parameters"):
        prepared(folder, **changes, minimum_share=0.99)
    assert prepared(folder, **changes, minimum_share=0.5).report.parameter_share < 0.99


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": f"{HERE}:gives_maps"}, rf"--model {HERE}:gives_maps: gives \[2, 2, 4\] for 2 images; logits \[2, 2\] are needed\."),
        (
            {"model": f"{HERE}:demanding"},
            rf"--model {HERE}:demanding: cannot take images of 3 × 16 × 16 \(ValueError: images of 20 pixels, please\); "
            r"give another --image-size or --model\.",
        ),
        ({"method": "acnorm"}, r"--method acnorm with --model tiny_runs:tiny: nothing to .* Give --weights, or --method vanilla\."),
        ({"model": "cifar/resnet"}, r"--model 'cifar/resnet' is not known; did you mean cifar/resnet"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str
):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with pytest.raises(UserError, match=f"^{message}"):
        prepared(folder, **changes)


def test_the_size_that_a_network_demands_can_be_given(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    assert prepared(folder, model=f"{HERE}:demanding", image_size=20).network.head == "fc"
