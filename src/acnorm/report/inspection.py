"""Inspected runs as one self-contained page, with the numbers beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from acnorm._version import __version__
from acnorm.data.atomic import check_writable, replacing
from acnorm.inspecting.inspection import IMAGES, PERMUTATIONS, Inspection, inspect_runs
from acnorm.inspecting.spaces import SPACES, STATISTICS
from acnorm.report import inspection_figures as figures
from acnorm.report.bench_tables import p_value
from acnorm.report.drawing import with_prefix
from acnorm.report.page import page

PAGE, TABLE, NUMBERS = "inspect.html", "inspect.csv", "inspect.json"
QUANTITIES = {
    "ratio": "movement of the ratios (mean)",
    "best_is_own": "share of channels whose best source channel is that of their place",
    "matched_is_own": "share of channels matched with that of their place",
    "own": "correlation with the source channel of the same place",
    "matched": "correlation of matched channels",
    "percentile": "place of AC-Norm's partner among the others",
}


def inspect(
    runs: Sequence[Path | str] | Path | str,
    out: Path | str,
    *,
    domains: Sequence[str] | None = None,
    images: int = IMAGES,
    permutations: int = PERMUTATIONS,
    model: str | None = None,
) -> Inspection:
    """Say what fine-tuning did to the affine of finished runs; write inspect.html, inspect.csv and inspect.json.

    How the ratios β / |γ| moved by layer and epoch; how separable the domains of the runs are in affine space and in
    feature space; which channels match those of the source, and whether AC-Norm's partners are among them.

    Args:
        runs: folders of ``acnorm finetune``, of one or more domains, methods and seeds.
        out: folder to write to; files of these names in it are replaced.
        domains: of each run, in their order; the name of its data where not given, so that runs on the same data are of
            one domain.
        images: of each data set that networks are tried on: cases that are test in all runs on it.
        permutations: for p values.
        model: "module:function" of the runs whose network is your own.

    Returns:
        The tables.

    Raises:
        UserError: no run, a folder that is no finished run, a number out of its range, or ``out`` cannot be written.
            What cannot be said of single runs is in ``missing`` and on the page instead.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.phantoms import fundus_phantoms
        >>> from acnorm.training.finetune import run_finetune
        >>> from acnorm.training.settings import config_from_settings
        >>> folder = Path(tempfile.mkdtemp())
        >>> eyes = fundus_phantoms(folder / "eyes.npz", domain="target", cases=30, size=16, seed=0, task="disc_side")
        >>> settings = {"data": eyes, "model": "cifar/resnet20", "method": "vanilla", "epochs": 1}
        >>> run = run_finetune(config_from_settings({**settings, "out": folder / "run"})).path
        >>> found = inspect(run, folder / "inspect", images=4)
        >>> int(found.movement["epoch"].max()), found.missing[-1].endswith("random weights, not with a checkpoint.")
        (1, True)
    """
    chosen = [runs] if isinstance(runs, str | Path) else list(runs)
    for name in (PAGE, TABLE, NUMBERS):
        check_writable(Path(out) / name)
    found = inspect_runs(chosen, domains=domains, images=images, permutations=permutations, model=model)
    command = _command(chosen, out, domains, images, permutations, model)
    write_inspection(found, Path(out), command=command, images=images)
    return found


def write_inspection(found: Inspection, out: Path, *, command: str, images: int) -> None:
    """Write the page and the numbers of an inspection.

    Examples:
        >>> write_inspection.__name__
        'write_inspection'
    """
    with replacing(out / TABLE) as draft:
        found.to_table().to_csv(draft, index=False, float_format="%.6g")
    with replacing(out / NUMBERS) as draft:
        content = {"command": command, "version": __version__, **found.to_dict()}
        draft.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(out / PAGE) as draft:
        draft.write_text(render(found, command=command, images=images), encoding="utf-8")


def _command(
    runs: Sequence[Path | str],
    out: Path | str,
    domains: Sequence[str] | None,
    images: int,
    permutations: int,
    model: str | None,
) -> str:
    parts = ["acnorm", "inspect", *map(str, runs), "--out", str(out)]
    parts += [] if domains is None else ["--domains", *domains]
    parts += [] if images == IMAGES else ["--images", str(images)]
    parts += [] if permutations == PERMUTATIONS else ["--permutations", str(permutations)]
    return shlex.join(parts if model is None else [*parts, "--model", model])


def render(found: Inspection, *, command: str, images: int) -> str:
    """The page as text.

    Examples:
        >>> render.__name__
        'render'
    """
    content = found.to_dict()
    return page(
        "inspection.html",
        name=_title(found),
        sentences=sentences(found),
        missing=found.missing,
        pictures={key: Markup(with_prefix(svg, key)) if svg else None for key, svg in _pictures(found).items()},
        cut=not found.movement.empty and found.movement.groupby(["method", "domain"]).ngroups > figures.PANELS,
        images=images,
        separability=_by_space(content["separability"]),
        exact=all(row["exact"] for row in content["separability"]),
        arrangements=max((row["arrangements"] for row in content["separability"]), default=0),
        runs=[_all_columns(row) for row in content["runs"]],
        differences=[{**row, "words": QUANTITIES[row["quantity"]]} for row in content["differences"]],
        command=command,
        p_value=p_value,
    )


def _title(found: Inspection) -> str:
    domains = list(dict.fromkeys(found.runs["domain"]))
    return f"{len(found.runs)} runs of {', '.join(domains)}" if len(found.runs) > 1 else str(found.runs["run"].iloc[0])


def _pictures(found: Inspection) -> dict[str, str | None]:
    moved, placed, aligned = not found.movement.empty, not found.places.empty, not found.alignment.empty
    return {
        "lines": figures.movement_lines(found.movement) if moved else None,
        "maps": figures.movement_maps(found.movement) if moved else None,
        "places": figures.places(found.places, SPACES) if placed else None,
        "alignment": figures.alignment(found.alignment) if aligned else None,
    }


def _by_space(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each method and space, its statistics side by side."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        group = groups.setdefault((row["method"], row["space"]), {**row, "title": SPACES[row["space"]], "scores": {}})
        group["scores"][row["statistic"]] = row
    return [{**group, "scores": [group["scores"][name] for name in STATISTICS]} for group in groups.values()]


def _all_columns(row: dict[str, Any]) -> dict[str, Any]:
    names = ("ratio", "ratio_median", "percentile", "p", "hit", "hit_chance", "own", "matched")
    return dict.fromkeys((*names, "best_is_own", "matched_is_own")) | row


def sentences(found: Inspection) -> list[str]:
    """What the numbers say, in words.

    Examples:
        >>> sentences.__name__
        'sentences'
    """
    told = []
    runs = found.runs
    if "ratio_median" in runs:
        told.append(f"The median ratio moved by {_span(runs['ratio_median'], '#.2g')} from start to end.")
    if not found.separability.empty:
        nearest = found.separability[found.separability["statistic"] == "neighbour"]
        parts = [
            f"{_span(table['value'])} by {SPACES[str(space)]}" for space, table in nearest.groupby("space", sort=False)
        ]
        told.append(f"The nearest other run is of the same domain for a share of {'; '.join(parts)}.")
    if "matched_is_own" in runs:
        chance = float((1 / found.alignment["channels"]).mean())
        told.append(
            f"A share of {_span(runs['matched_is_own'])} of the channels match the source channel of their own place "
            f"(chance {chance:.2f})."
        )
    if "percentile" in runs and runs["percentile"].notna().any():
        beyond = int((runs["p"] < 0.05).sum())
        told.append(
            f"The partner that C picks stands at {_span(runs['percentile'])} among the other source channels by what "
            f"they do (0.50 by chance); in {beyond} of {int(runs['p'].notna().sum())} runs with p < 0.05."
        )
    return told


def _span(values: Any, form: str = ".2f") -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
