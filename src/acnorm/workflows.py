"""Runs and report together: what ``acnorm finetune``, ``pretrain`` and ``compare`` do, for Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acnorm.report.write import write_report
from acnorm.training.finetune import Result, run_finetune
from acnorm.training.settings import config_from_settings

if TYPE_CHECKING:
    from acnorm.bench.results import Results


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
        settings: any other setting of ``acnorm.training.pretrain_config.PretrainConfig``: epochs, batch_size, …,
            those of a task by its name, such as ``simclr={"temperature": 0.2}``.

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
    from acnorm.training.pretrain import run_pretrain
    from acnorm.training.pretrain_config import pretrain_config

    config = pretrain_config({"data": data, "method": method, "model": model, "out": out, **settings})
    result = run_pretrain(config)
    if result.metrics:
        write_report([result.path])
    return result


def compare(
    *,
    data: str | Path,
    model: str,
    methods: Sequence[str],
    out: str | Path,
    seeds: int = 5,
    folds: int = 5,
    fractions: Sequence[float] = (1.0,),
    baseline: str | None = None,
    metric: str | None = None,
    search: int | None = None,
    jobs: int = 1,
    threads: int | None = None,
    **settings: Any,
) -> Results:
    """Compare ways to fine-tune on the same folds, batches and budget, and write the folder with its report.

    Args:
        data: as for ``finetune``.
        model: as for ``finetune``.
        methods: two or more, such as "vanilla" and "acnorm".
        out: folder of the comparison; one that is there is gone on with.
        seeds: repeats, each with other folds.
        folds: of the patients in each repeat.
        fractions: of the training labels.
        baseline: the method that the others are compared with; the first where not given.
        metric: of the test cases; what the runs choose their epoch by where not given.
        search: trials of the settings of every method, on validation cases; none where not given.
        jobs: runs at a time, each a process of its own.
        threads: of each; the cores of the machine shared out where not given.
        settings: any other setting of ``finetune``, the same for all runs: weights, epochs, …

    Returns:
        What is compared, in blocks, and the table of all runs; those that failed are in ``failed``.

    Raises:
        UserError: bad input, in one line.

    Examples:
        >>> compare(data="eyes.npz", model="cifar/resnet20", methods=["bss"], out="cmp")
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --methods bss: give two or more, to compare them.
    """
    from acnorm.bench.compare import comparison, refuse_made_here
    from acnorm.bench.results import results_of
    from acnorm.bench.run import run_bench
    from acnorm.report.bench import write_bench_report

    refuse_made_here(settings)
    config = config_from_settings({"data": data, "model": model, "out": out, "method": methods[0], **settings})
    grid = comparison(
        config,
        methods,
        seeds=seeds,
        folds=folds,
        fractions=fractions,
        baseline=baseline,
        metric=metric,
        search=search,
    )
    store = run_bench(grid, Path(out), jobs=jobs, threads=threads)
    try:
        results = results_of(store)
    finally:
        store.close()
    write_bench_report(Path(out))
    return results
