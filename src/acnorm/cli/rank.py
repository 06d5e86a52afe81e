"""``acnorm rank``: which of several checkpoints to fine-tune."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from acnorm.cli.parser import Parser

if TYPE_CHECKING:
    from acnorm.ranking.rank import Ranking


def main(argv: list[str]) -> int:
    """Print the ranking as a table with a line of advice, or as JSON."""
    parser = Parser("rank", "Score which of several checkpoints to fine-tune.")
    parser.add_argument("--data", required=True, help="as for acnorm finetune")
    parser.add_argument("--model", required=True, help="the network that all candidates are for")
    parser.add_argument("--weights", required=True, nargs="+", metavar="FILE", help="candidate checkpoints")
    parser.add_argument("--format", help="of the data; found out where not given")
    parser.add_argument("--splits", help="file with the split of each case")
    parser.add_argument("--image-size", type=int, help="height and width in pixels")
    parser.add_argument("--probe-epochs", type=int, help="whole epochs in place of one optimiser step")
    parser.add_argument("--probe-seeds", type=int, default=5, help="probes a candidate (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="first of the probe seeds (default: 0)")
    parser.add_argument("--minimum-share", type=float, default=0.9, help="least share that must load (default: 0.9)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = vars(parser.parse(argv))
    as_json = options.pop("json")
    from acnorm.ranking.rank import rank

    ranking = rank(**options)
    print(json.dumps(ranking.to_dict(), indent=1) if as_json else as_text(ranking))
    return 0


def as_text(ranking: Ranking) -> str:
    """Return the table and what it does and does not say.

    Examples:
        >>> from acnorm.ranking.rank import Candidate, Ranking
        >>> candidate = Candidate("a.pth", 9.0, 0.1, 0.3, 0.01, seconds=1.0)
        >>> print(as_text(Ranking((candidate,), "one optimiser step", tied=("a.pth",))).splitlines()[1])
        a.pth      100 %   9.000 ± 0.100  0.3000 ± 0.0100  1.0 s
    """
    from acnorm.cli.tables import table

    rows = [["candidate", "loaded", "AC-Corr (sum)", "per channel", "time"]]
    for item in ranking.candidates:
        if item.refused is not None:
            rows.append([item.weights, "", "no score", "", ""])
            continue
        paper = f"{item.paper:.3f} ± {item.paper_deviation:.3f}"
        channel = f"{item.per_channel:.4f} ± {item.per_channel_deviation:.4f}"
        rows.append([item.weights, f"{100 * item.loaded:.0f} %", paper, channel, f"{item.seconds:.1f} s"])
    lines = [table(rows), f"Probe: {ranking.protocol}; ± is the standard deviation over probe seeds."]
    lines += [f"{item.weights}: no score, {item.refused}" for item in ranking.candidates if item.refused is not None]
    lines.append(_advice(ranking))
    return "\n".join(lines)


def _advice(ranking: Ranking) -> str:
    if not ranking.tied:
        return "No candidate has a score."
    if len(ranking.tied) > 1:
        return f"AC-Corr cannot tell {', '.join(ranking.tied)} apart: fine-tune these and compare."
    if len(ranking.candidates) == 1:
        return "One candidate: nothing to compare its score with."
    return (
        f"Highest AC-Corr: {ranking.tied[0]}. The score is the paper's; how well it foretells the fine-tuned "
        "result is not established, so fine-tune the next one too if you can."
    )
