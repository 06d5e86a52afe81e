"""Training and report together: what ``acnorm finetune`` and ``acnorm pretrain`` do, for Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acnorm.report.write import write_report
from acnorm.training.finetune import Result, run_finetune
from acnorm.training.pretrain_config import pretrain_config
from acnorm.training.settings import config_from_settings


def finetune(*, data: str | Path, model: str, out: str | Path, **settings: Any) -> Result:
    """Fine-tune a pretrained network on labelled images and write the run folder with its report.

    Args:
        data: a MedMNIST .npz, a folder per class, a CSV or Parquet table, or a released layout (IDRiD).
        model: "cifar/resnet20", "monai/resnet18", …, or "module:function".
        out: folder of the run, new or empty.
        settings: any other setting of ``acnorm.training.config.FinetuneConfig``: weights, method, epochs, …

    Returns:
        The folder and the final metrics.

    Raises:
        UserError: bad input, in one line; nothing is written.
        RunError: the run failed on its way.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.phantoms import fundus_phantoms
        >>> folder = Path(tempfile.mkdtemp())
        >>> eyes = fundus_phantoms(folder / "eyes.npz", domain="target", cases=60, size=32, seed=0)
        >>> result = finetune(data=eyes, model="cifar/resnet20", out=folder / "run", method="vanilla", epochs=1)
        >>> sorted(result.metrics["splits"])
        ['test', 'val']
    """
    config = config_from_settings({"data": data, "model": model, "out": out, **settings})
    result = run_finetune(config)
    if result.metrics:
        write_report([result.path])
    return result


def pretrain(*, data: str | Path, method: str, model: str, out: str | Path, **settings: Any) -> Result:
    """Pretrain an encoder on images, with or without labels, and write the run folder with its report.

    The checkpoint is ``model/encoder.safetensors`` in the folder; ``finetune`` and ``rank`` take it as ``weights``.

    Args:
        data: as for ``finetune``, or a folder or table of images without labels.
        method: a pretext task: "supervised", "rotation", "genesis", "simclr", "byol", "moco", …
        model: "cifar/resnet20", "monai/resnet18", …
        out: folder of the run, new or empty.
        settings: any other setting of ``acnorm.training.pretrain_config.PretrainConfig``: epochs, batch_size, …

    Returns:
        The folder and the final metrics.

    Raises:
        UserError: bad input, in one line; nothing is written.
        RunError: the run failed on its way.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.phantoms import fundus_phantoms
        >>> folder = Path(tempfile.mkdtemp())
        >>> eyes = fundus_phantoms(folder / "eyes.npz", domain="source", cases=60, size=32, seed=0)
        >>> result = pretrain(data=eyes, method="rotation", model="cifar/resnet20", out=folder / "run", epochs=1)
        >>> (result.path / "model" / "encoder.safetensors").is_file()
        True
    """
    config = pretrain_config({"data": data, "method": method, "model": model, "out": out, **settings})
    from acnorm.training.pretrain import run_pretrain  # MONAI takes seconds to import

    result = run_pretrain(config)
    if result.metrics:
        write_report([result.path])
    return result
