"""Export the network of a finished run, and check the exported file against it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from acnorm.data.atomic import replacing
from acnorm.errors import RunError, UserError
from acnorm.training.quiet import errors_alone
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import example_batch, load_shipped

TOLERANCE = 1e-4
FORMATS = {"onnx": "model.onnx", "torch-export": "model.pt2"}


@dataclass(frozen=True)
class Exported:
    """An exported file and the largest difference of its logits from the run's, as a share of the largest above 1."""

    path: Path
    difference: float


def export(
    run: Path | str, format: str, *, out: Path | str | None = None, model: str | None = None, overwrite: bool = False
) -> Exported:
    """Write a finished run's network as ONNX or as a torch.export program, for any batch size, and check it.

    The file takes images as the preprocessing in model/model.json leaves them, [batch, channel, size, size], and
    gives logits [batch, class]. It is written only if its logits on random images are within 1e-4 of the
    run's (of the largest logit where that is above 1), for two batch sizes (ONNX by onnxruntime).

    Args:
        run: folder of a finished run.
        format: "onnx" or "torch-export".
        out: the file; ``model/model.onnx`` or ``model/model.pt2`` in the run where not given.
        model: "module:function" where the run's network is one of your own.
        overwrite: replace an existing file.

    Raises:
        UserError: unknown format, unfinished run, another suffix, an existing file, or the extra ``acnorm[onnx]`` not
            installed.
        RunError: the network cannot be exported, or the exported file computes something else.

    Examples:
        >>> export("run", "caffe")
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --format 'caffe' is not known; there are onnx, torch-export.
    """
    if format not in FORMATS:
        raise UserError(f"--format {format!r} is not known; there are {', '.join(FORMATS)}.")
    folder = RunFolder(Path(run))
    shipped = load_shipped(folder, model)
    target = Path(out) if out is not None else folder.model / FORMATS[format]
    suffix = Path(FORMATS[format]).suffix
    if target.suffix.lower() != suffix:
        raise UserError(f"--out {target}: an exported {format} file ends in {suffix}; give a name that does.")
    if target.is_dir():
        raise UserError(f"--out {target}: is a folder; give a file.")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists; give --out another file, or --overwrite.")
    write, read = (_write_onnx, _read_onnx) if format == "onnx" else (_write_program, _read_program)
    examples = [example_batch(shipped.preprocessing, batch) for batch in (2, 5)]
    with replacing(target) as draft:
        try:
            with _quiet():
                write(shipped.network, examples[0], draft)
                exported = read(draft)
                difference = max(_difference(shipped.network, exported, images) for images in examples)
        except (ImportError, ModuleNotFoundError) as error:
            raise UserError(f"--format {format} needs {error.name}; pip install 'acnorm[onnx]'.") from None
        except Exception as error:
            what = " ".join(str(error).split())[:300]
            raise RunError(f"the network cannot be exported as {format}: {what}") from error
        if not difference <= TOLERANCE:
            raise RunError(
                f"the exported {format} file computes something else: its logits differ by {difference:.1e} "
                f"(allowed: {TOLERANCE:.0e}); nothing was written."
            )
    return Exported(target, difference)


Exporter = Callable[[Float[Tensor, "batch channel size size"]], Float[NDArray[np.float32], "batch class"]]


def _write_onnx(network: nn.Module, example: Tensor, file: Path) -> None:
    import onnxscript  # noqa: F401  # named in the message when the extra is not there

    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    program.save(str(file), external_data=False)


def _read_onnx(file: Path) -> Exporter:
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images.numpy()})[0]


def _write_program(network: nn.Module, example: Tensor, file: Path) -> None:
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, file)


def _read_program(file: Path) -> Exporter:
    module = torch.export.load(file).module()
    return lambda images: module(images).detach().numpy()


@torch.no_grad()
def _difference(network: nn.Module, exported: Exporter, images: Tensor) -> float:
    # float32 is exact to a share of the logits, not to an amount: as large as they are where they are above 1
    logits = network(images).numpy()
    return float(np.abs(exported(images) - logits).max() / max(1.0, float(np.abs(logits).max())))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters report their progress; an error carries all that matters."""
    loud = errors_alone("torch.onnx", "onnxscript", "onnx_ir")
    with loud, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
