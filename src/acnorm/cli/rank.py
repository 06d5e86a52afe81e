"""``acnorm rank``: which of several checkpoints to fine-tune."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from acnorm.cli.budget import add_budget_flags, check_budget, run_short
from acnorm.cli.parser import Parser

if TYPE_CHECKING:
    from acnorm.ranking.rank import Ranking


def main(argv: list[str]) -> int:
    """Print the ranking as tables with a line of advice, or as JSON, and write it as CSV where asked."""
    parser = Parser("rank", "Score which of several checkpoints to fine-tune.")
    parser.add_argument("--data", required=True, help="as for acnorm finetune")
    parser.add_argument(
        "--model", required=True, nargs="+", help="the network that all candidates are for, or one for each"
    )
    parser.add_argument("--weights", required=True, nargs="+", metavar="FILE", help="candidate checkpoints")
    parser.add_argument(
        "--measures",
        metavar="A,B",
        help="names from acnorm measures, or all; the first decides (default: those with the most evidence)",
    )
    parser.add_argument("--format", help="of the data; found out where not given")
    parser.add_argument("--splits", help="file with the split of each case")
    parser.add_argument("--image-size", type=int, help="height and width in pixels")
    parser.add_argument("--patch-size", type=int, help="of label maps, sides of the patches in voxels")
    parser.add_argument("--slices", action="store_true", help="of label maps, take volumes slice by slice")
    parser.add_argument("--spacing", metavar="MM", help="of label maps, to which volumes are resampled; or median")
    parser.add_argument("--window", metavar="LOW,HIGH", help="of volumes, lowest and highest intensity")
    parser.add_argument(
        "--stage", metavar="N", help="of label maps, the encoder's stage (1: the finest), or several: 2,3"
    )
    parser.add_argument("--voxels", type=int, help="of label maps, of each class in each case (default: 100)")
    parser.add_argument("--probe-steps", type=int, help="optimiser steps of the probe (default: 1)")
    parser.add_argument("--probe-epochs", type=int, help="whole epochs in the place of steps")
    parser.add_argument("--probe-seeds", type=int, default=5, help="probes a candidate (default: 5)")
    parser.add_argument("--layers", metavar="PATTERN", help="norm layers that AC-Corr looks at, such as 'layer4*'")
    parser.add_argument("--seed", type=int, default=0, help="of all draws, and first of the probe seeds (default: 0)")
    parser.add_argument("--minimum-share", type=float, default=0.9, help="least share that must load (default: 0.9)")
    parser.add_argument("--stem-rule", default="sum", help="how a first convolution takes other channels (sum)")
    parser.add_argument("--depth-rule", default="spread", help="how 2D kernels become 3D (spread)")
    parser.add_argument("--cache", metavar="FOLDER", help="keep features there, to be used again")
    parser.add_argument("--csv", metavar="FILE", help="write a row for each candidate and measure")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_budget_flags(parser)
    options = vars(parser.parse(argv))
    as_json, as_csv = options.pop("json"), options.pop("csv")
    short = {name: options.pop(name) for name in ("budget", "runs", "epochs", "method")}
    check_budget(short)
    from acnorm.data.atomic import check_writable
    from acnorm.errors import UserError
    from acnorm.ranking.rank import rank

    if as_csv is not None:
        if Path(as_csv).suffix.lower() != ".csv":
            raise UserError(f"--csv {as_csv}: must end in .csv.")
        check_writable(Path(as_csv))
    ranking = rank(**options)
    if as_csv is not None:
        _write(ranking, Path(as_csv))
    if as_json:
        found = {} if short["budget"] is None else {"short_finetunes": run_short(ranking, short, options).to_dict()}
        print(json.dumps(ranking.to_dict() | found, indent=1))
        return 0
    print(as_text(ranking))
    if short["budget"] is not None:
        from acnorm.bench.short_finetunes import as_text as short_as_text

        print(short_as_text(run_short(ranking, short, options)))
    return 0


def as_text(ranking: Ranking) -> str:
    """Return the tables and what they do and do not say.

    Examples:
        >>> from acnorm.ranking.rank import Candidate, Ranking
        >>> from acnorm.ranking.result import Score
        >>> candidate = Candidate("a.pth", seconds=1.0, size=64, scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> text = as_text(Ranking((candidate,), "one optimiser step", tied=("a.pth",), by="knn"))
        >>> print("\\n".join(text.splitlines()[:5]))
        candidate  loaded  features  knn  time
        a.pth      100 %   64        1    1.0 s
        <BLANKLINE>
        measure  candidate  score  95 % interval
        knn      a.pth      0.800  0.700 to 0.900
    """
    from acnorm.cli.tables import table

    parts = [table(_places(ranking)), table(_scores(ranking)), "\n".join([*_notes(ranking), ranking.advice])]
    return "\n\n".join(parts)


def _places(ranking: Ranking) -> list[list[str]]:
    """A row a candidate: what loaded, and its place by each measure ("=": cannot be told from the first)."""
    everyone = (*ranking.candidates, *ranking.baselines)
    several = len({item.model for item in everyone}) > 1
    rows = [["candidate", *(["model"] if several else []), "loaded", "features", *ranking.measures, "time"]]
    for item in everyone:
        places = []
        for name in ranking.measures:
            score = item.scores[name]
            alike = sum(other.scores[name].tied for other in ranking.candidates) > 1
            none = "" if item in ranking.baselines else ("none" if score.value is None else "-")
            places.append(none if score.place is None else f"{score.place}{'=' * (score.tied and alike)}")
        size = "" if item.size is None else str(item.size)
        models = [item.model] if several else []
        rows.append([item.weights, *models, f"{100 * item.loaded:.0f} %", size, *places, f"{item.seconds:.1f} s"])
    return rows


def _scores(ranking: Ranking) -> list[list[str]]:
    rows = [["measure", "candidate", "score", "95 % interval"]]
    for name in ranking.measures:
        for item in (*ranking.candidates, *ranking.baselines):
            score = item.scores[name]
            label = f"{item.weights}, {item.model}" if item in ranking.baselines else item.weights
            if score.value is None:
                rows.append([name, label, "none", ""])
                continue
            interval = "" if score.low is None else f"{_number(score.low)} to {_number(score.high)}"
            rows.append([name, label, _number(score.value), interval])
            if name == "ac-corr" and item.per_channel is not None:
                rows[-1][2] += f" ({item.per_channel:.4f} a channel)"
    return rows


def _notes(ranking: Ranking) -> list[str]:
    who = "cases, patients unknown" if ranking.patients is None else f"cases of {ranking.patients} patients"
    notes = [f"Places: 1 is the highest; = cannot be told from it. Measured on {ranking.cases} training {who}."]
    by_seed = [name for name in ranking.measures if name in ("ac-corr", "affine-drift", "gradient-ratio")]
    if ranking.sample:
        notes.append(f"Features: {ranking.sample}.")
    if set(by_seed) - {"gradient-ratio"}:
        notes.append(f"Probe: {ranking.protocol}.")
    if by_seed:
        notes.append(f"Intervals of {', '.join(by_seed)} are two standard deviations over probe seeds.")
    for name, reason in ranking.incomparable.items():
        notes.append(f"{name}: no places, its scores cannot be compared over {reason}")
    notes += _reasons(ranking)
    taus = {(set(pair) - {ranking.by}).pop(): tau for pair, tau in ranking.agreement.items() if ranking.by in pair}
    if taus:
        told = ", ".join(f"{name} {tau:.2f}" for name, tau in taus.items())
        notes.append(f"Agreement with {ranking.by} on the order of candidates (Kendall's τ): {told}")
    return notes


def _reasons(ranking: Ranking) -> list[str]:
    """Why some have no score, each reason once and to the end of its first sentence."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name in ranking.measures:
        for item in (*ranking.candidates, *ranking.baselines):
            reason = item.scores[name].reason
            if reason is not None:
                measures, candidates = found.setdefault(reason.partition(". ")[0], ([], []))
                measures.append(name)
                candidates.append(item.weights)
    return [
        f"{', '.join(dict.fromkeys(measures))}: none for {', '.join(dict.fromkeys(candidates))}: {reason}"
        for reason, (measures, candidates) in found.items()
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.1e}"


def _write(ranking: Ranking, file: Path) -> None:
    from acnorm.data.atomic import replacing

    rows = ranking.rows()
    with replacing(file) as draft, draft.open("w", newline="", encoding="utf-8") as open_file:
        writer = csv.DictWriter(open_file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
