from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from acnorm.errors import UserError
from acnorm.models import pretrained
from acnorm.models.pretrained import weights_file
from acnorm.models.sources import MODELS


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_file_is_taken_as_it_is():
    assert weights_file("some/file.pth", "monai/resnet18", 2) == "some/file.pth"


def test_weights_are_fetched_once(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch):
    public = tmp_path / "public.pth"
    public.write_bytes(b"weights")
    monkeypatch.setitem(pretrained._IN_2D, "monai/resnet18", public.as_uri())
    fetched = Path(weights_file("pretrained", "monai/resnet18", 2))
    assert fetched.is_relative_to(hub)
    assert fetched.read_bytes() == b"weights"
    public.unlink()
    assert Path(weights_file("pretrained", "monai/resnet18", 2)) == fetched


def test_what_to_do_without_the_internet(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch):
    address = (tmp_path / "nowhere.pth").as_uri()
    monkeypatch.setitem(pretrained._IN_3D, "monai/resnet10", address)
    with pytest.raises(UserError) as refused:
        weights_file("pretrained", "monai/resnet10", 3)
    assert f"--weights pretrained: {address} cannot be fetched (" in str(refused.value)
    place = hub / "checkpoints" / "monai--resnet10--nowhere.pth"
    assert f"give --weights FILE, or put it at {place}." in str(refused.value)
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "dimensions", "some"),
    [
        ("cifar/resnet20", 2, "timm/…, torchvision/… and smp/…; or give"),
        ("genesis/unet3d", 3, "monai/resnet50; or give"),
    ],
)
def test_networks_without_public_weights_are_told(model: str, dimensions: int, some: str):
    told = f"no public weights are known for --model {model} in {dimensions}D; there are some for monai/resnet1"
    with pytest.raises(UserError, match=told) as refused:
        weights_file("pretrained", model, dimensions)
    assert some in str(refused.value)


def test_all_names_of_the_tables_are_networks():
    assert {*pretrained._IN_2D, *pretrained._IN_3D} <= MODELS.keys()


class Config:
    """As timm's of one set of weights."""

    def __init__(self, hub: str | None, url: str | None = None) -> None:
        self.hf_hub_id, self.url = hub, url


TIMM = {"resnet18": Config("timm/resnet18.a1_in1k"), "old": Config(None, "https://x/old.pth"), "none": Config(None)}
SMP = {
    "resnet34": {"imagenet": {"repo_id": "smp-hub/resnet34.imagenet", "revision": "7a57b34"}},
    "dpn68": {"imagenet": {"url": "https://x/dpn68.pth"}},
    "resnext101_32x48d": {"instagram": {"repo_id": "smp-hub/resnext101_32x48d.instagram", "revision": "8"}},
    "new": {},
}
HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("smp/unet-resnet34", f"{HUB}/smp-hub/resnet34.imagenet/resolve/7a57b34/model.safetensors"),
        ("smp/fpn-dpn68", "https://x/dpn68.pth"),
        ("smp/unet-resnext101_32x48d", f"{HUB}/smp-hub/resnext101_32x48d.instagram/resolve/8/model.safetensors"),
        ("smp/unet-tu-resnet18", f"{HUB}/timm/resnet18.a1_in1k/resolve/main/model.safetensors"),
        ("timm/resnet18", f"{HUB}/timm/resnet18.a1_in1k/resolve/main/model.safetensors"),
        ("timm/old", "https://x/old.pth"),
        ("smp/unet-new", None),
        ("smp/unet-tu-none", None),
        ("timm/none", None),
    ],
)
def test_the_addresses_are_those_of_the_packages(model: str, address: str | None, monkeypatch: pytest.MonkeyPatch):
    encoders = SimpleNamespace(encoders={name: {"pretrained_settings": known} for name, known in SMP.items()})
    packages = {
        "timm": SimpleNamespace(get_pretrained_cfg=TIMM.get),
        "segmentation_models_pytorch": SimpleNamespace(encoders=encoders),
    }
    monkeypatch.setattr(pretrained, "import_module", packages.__getitem__)
    monkeypatch.setattr(pretrained, "find_source", lambda _: None)
    if address is not None:
        assert pretrained._address(model, 2) == address
        return
    with pytest.raises(UserError, match=f"no public weights are known for --model {model} in 2D; there are some for"):
        pretrained._address(model, 2)
