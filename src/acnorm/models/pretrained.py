"""``--weights pretrained``: fetch the public weights of a network by name, where the internet is there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.error import URLError

import torch

from acnorm.errors import UserError
from acnorm.models.sources import find_source

PRETRAINED = "pretrained"
_MEDICALNET = "https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet{0}/resolve/main/resnet_{0}{1}.pth"
# MONAI's networks: in 3D MedicalNet's weights, in 2D those that MONAI itself fetches, which are torchvision's.
_IN_3D = {
    "monai/resnet10": _MEDICALNET.format(10, "_23dataset"),
    "monai/resnet18a": _MEDICALNET.format(18, "_23dataset"),
    "monai/resnet34a": _MEDICALNET.format(34, "_23dataset"),
    "monai/resnet50": _MEDICALNET.format(50, "_23dataset"),
}
_TORCHVISION = "https://download.pytorch.org/models/"
_IN_2D = {
    "monai/resnet18": f"{_TORCHVISION}resnet18-f37072fd.pth",
    "monai/resnet34": f"{_TORCHVISION}resnet34-b627a593.pth",
    "monai/resnet50": f"{_TORCHVISION}resnet50-0676ba61.pth",
    "monai/densenet121": f"{_TORCHVISION}densenet121-a639ec97.pth",
}


def weights_file(weights: str, model: str, dimensions: int) -> str:
    """Return ``weights`` as it is, or the file to which the public weights of ``model`` were fetched for "pretrained".

    A file that was fetched before is taken again, from ``torch.hub.get_dir()``.

    Raises:
        UserError: there are no public weights for this network here, or they cannot be fetched.

    Examples:
        >>> weights_file("my.pth", "monai/resnet18", 2)
        'my.pth'
    """
    if weights != PRETRAINED:
        return weights
    address = _address(model, dimensions)
    file = Path(torch.hub.get_dir()) / "checkpoints" / f"{model.replace('/', '--')}--{address.rpartition('/')[2]}"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(file), progress=False)  # whole or not at all
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"--weights pretrained: {address} cannot be fetched ({reason}); "
                f"bring that file here by other means and give --weights FILE, or put it at {file}."
            ) from None
    return str(file)


def _address(model: str, dimensions: int) -> str:
    find_source(model)  # a name that is not known is told, with the nearest
    family, _, name = model.partition("/")
    found = None
    if family == "timm" and dimensions == 2:
        found = _of_timm(name)
    elif family == "torchvision" and dimensions == 2:
        return str(import_module("torchvision.models").get_model_weights(name).DEFAULT.url)
    elif family == "smp" and dimensions == 2:
        found = _of_smp(name.partition("-")[2])
    if found is not None:
        return found
    known = _IN_3D if dimensions == 3 else _IN_2D
    if model not in known:
        others = ", timm/…, torchvision/… and smp/…" if dimensions == 2 else ""
        raise UserError(
            f"--weights pretrained: no public weights are known for --model {model} in {dimensions}D; there are some "
            f"for {', '.join(known)}{others}; or give --weights FILE."
        )
    return known[model]


def _of_smp(encoder: str) -> str | None:
    """Where the encoder's weights are that the package itself fetches: its own, or timm's for an encoder "tu-…"."""
    if encoder.startswith("tu-"):
        return _of_timm(encoder.removeprefix("tu-"))
    known = import_module("segmentation_models_pytorch").encoders.encoders[encoder]["pretrained_settings"]
    settings: dict[str, str] = known.get("imagenet") or next(iter(known.values()), {})
    if "repo_id" in settings:
        return f"https://huggingface.co/{settings['repo_id']}/resolve/{settings['revision']}/model.safetensors"
    return str(settings["url"]) if settings.get("url") else None


def _of_timm(name: str) -> str | None:
    config = import_module("timm").get_pretrained_cfg(name)
    if config is not None and config.hf_hub_id:
        return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
    return str(config.url) if config is not None and config.url else None
