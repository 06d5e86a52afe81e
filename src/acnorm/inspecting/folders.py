"""Runs as they are read for an inspection: settings, domain, and the affine before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from acnorm.core.correlation import EPS, TEMPERATURE
from acnorm.errors import UserError
from acnorm.inspecting.networks import tuned_network
from acnorm.inspecting.used_data import UsedData, names_of, used_data
from acnorm.models.sources import Network
from acnorm.training.affine_record import RECORD, Affine, Trajectory, affines_of, read_trajectory
from acnorm.training.config import FinetuneConfig
from acnorm.training.run_folder import RunFolder
from acnorm.training.settings import NOTES_OF_A_RUN, config_from_settings
from acnorm.training.shipping import ShippedModel


@dataclass(frozen=True)
class InspectedRun:
    """A finished run.

    data: name of its data, the same for runs on the same data. used: what its folder tells of them. network, shipped:
    folded, of its best epoch. trajectory: what it recorded of the affine; None where it has no record. recalibrated:
    γ, β and, as ``source_weight`` and ``source_bias``, those of the source, of the layers with AC-Norm. source: SHA-256
    of the weights that it began with; empty without any.

    Examples:
        >>> InspectedRun.__name__
        'InspectedRun'
    """

    folder: RunFolder
    name: str
    domain: str
    data: str
    used: UsedData
    config: FinetuneConfig
    network: Network
    shipped: ShippedModel
    trajectory: Trajectory | None
    recalibrated: Mapping[str, Tensor]
    source: str

    @property
    def with_acnorm(self) -> bool:
        """Whether AC-Norm was one of the run's methods."""
        return "acnorm" in self.config.method.split("+")

    @property
    def temperature(self) -> float:
        """Of C; AC-Norm's default where the run is without it."""
        return self.config.acnorm.temperature if self.with_acnorm else TEMPERATURE

    @property
    def eps(self) -> float:
        """Of the affine ratio, as ``temperature``."""
        return self.config.acnorm.eps if self.with_acnorm else EPS


def read_runs(
    folders: Sequence[Path | str], domains: Sequence[str] | None = None, *, model: str | None = None
) -> list[InspectedRun]:
    """Read finished runs of ``acnorm finetune``.

    Args:
        folders: of the runs.
        domains: of each run; the name of its data where not given, so that runs on the same data are of one domain.
        model: "module:function" of the runs whose network is your own.

    Raises:
        UserError: no run, a run given twice, other than one domain a run, a folder that is no finished run of
            finetune, or a damaged file in it.

    Examples:
        >>> read_runs([])
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: no run was given; give the --out of one or more acnorm finetune runs.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise UserError("no run was given; give the --out of one or more acnorm finetune runs.")
    places = [path.resolve() for path in paths]
    twice = next((path for path, place in zip(paths, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise UserError(f"{twice}: is given twice; give each run once.")
    if domains is not None and len(domains) != len(paths):
        raise UserError(
            f"--domains: has {len(domains)} names for {len(paths)} runs; give one for each run, in their order."
        )
    read = [_read(path, name, model) for path, name in zip(paths, _names(places), strict=True)]
    data = names_of([run.used for run in read])
    given = data if domains is None else domains
    return [replace(run, data=name, domain=domain) for run, name, domain in zip(read, data, given, strict=True)]


def _names(places: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    names: list[str] = []
    for length in range(1, 1 + max(len(place.parts) for place in places)):
        names = ["/".join(place.parts[-length:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def _read(path: Path, name: str, model: str | None) -> InspectedRun:
    """Read one run, whose data and domain have no name yet."""
    run = RunFolder(path)
    content = run.read_config()
    if "kind" in content:
        raise UserError(f"{path}: is a {content['kind']} run; give the --out of acnorm finetune.")
    run.read_json("metrics.json")  # refuses what is not finished
    config = config_from_settings({key: value for key, value in content.items() if key not in NOTES_OF_A_RUN})
    network, shipped = tuned_network(run, model)
    record, recalibrated = path / RECORD, path / "acnorm.safetensors"
    load = run.read_json("load_report.json") if (path / "load_report.json").is_file() else {}
    return InspectedRun(
        folder=run,
        name=name,
        domain="",
        data="",
        used=used_data(run, config.data),
        config=config,
        network=network,
        shipped=shipped,
        trajectory=read_trajectory(record) if record.is_file() else None,
        recalibrated=_tensors(recalibrated) if recalibrated.is_file() else {},
        source=str(load.get("sha256", "")),
    )


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        told = " ".join(str(error).split())
        raise UserError(f"{file}: is damaged ({told}); run acnorm finetune again.") from None


def affine_after(run: InspectedRun) -> dict[str, Affine]:
    """Return γ and β of the norm layers of the best epoch's network, without what channels borrow.

    Examples:
        >>> affine_after.__name__
        'affine_after'
    """
    kept = run.recalibrated
    return {
        name: (kept[f"{name}.weight"].float(), kept[f"{name}.bias"].float()) if f"{name}.weight" in kept else affine
        for name, affine in affines_of(run.network.module).items()
    }


def affine_before(run: InspectedRun) -> dict[str, Affine]:
    """Return γ and β of the norm layers as training started, of those layers of which the run says it.

    Examples:
        >>> affine_before.__name__
        'affine_before'
    """
    if run.trajectory is not None:
        weights, biases = run.trajectory.weights, run.trajectory.biases
        return {name: (weights[name][0], biases[name][0]) for name in run.trajectory.layers}
    kept = run.recalibrated
    names = [name.removesuffix(".source_weight") for name in kept if name.endswith(".source_weight")]
    return {name: (kept[f"{name}.source_weight"].float(), kept[f"{name}.source_bias"].float()) for name in names}
