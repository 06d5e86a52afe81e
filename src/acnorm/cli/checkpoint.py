"""``acnorm checkpoint``: what is in a checkpoint file, and what would load into a network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from acnorm.cli.parser import Parser
from acnorm.errors import printable

if TYPE_CHECKING:
    from acnorm.checkpoints.load import LoadReport
    from acnorm.models.checkpoint import Diagnosis

_SHOWN = 8
_LONGEST = 200  # letters of a card's value


def main(argv: list[str]) -> int:
    """Print the facts as text or as JSON; 1 where a model was named and ``finetune`` would refuse the file."""
    parser = Parser("checkpoint", "Say what is in a checkpoint file, and what would load into a network.")
    parser.add_argument("file", metavar="FILE", help=".pth, .pt, .th, .ckpt, .safetensors or .npz")
    parser.add_argument("--model", help="the network to load it into, as for acnorm finetune")
    parser.add_argument("--channels", type=int, help="of the images; as the file's where not given")
    parser.add_argument("--dim", type=int, choices=(2, 3), help="of the images; as the file's where not given")
    parser.add_argument("--unet", action="store_true", help="the network is to be the encoder of a U-Net")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse(argv)
    from acnorm.models.checkpoint import checkpoint

    found = checkpoint(
        options.file, options.model, channels=options.channels, dimensions=options.dim, segments=options.unet
    )
    print(json.dumps(found.to_dict(), indent=1) if options.json else as_text(found))
    return 0 if found.refused is None else 1


def as_text(found: Diagnosis) -> str:
    """Return the facts, one a line.

    Examples:
        >>> as_text.__name__
        'as_text'
    """
    facts, norms = found.facts, found.facts.norms
    under = f", state dict under {' → '.join(facts.wrapper)}" if facts.wrapper else ""
    beside = f", beside {', '.join(facts.beside[:_SHOWN])}" if facts.beside else ""
    rows = [
        ("file", f"{facts.file} ({facts.size / 1e6:.1f} MB, {facts.kind}{under}{beside})"),
        ("SHA-256", facts.sha256),
        ("tensors", f"{facts.tensors} with {facts.parameters:,} values: {', '.join(facts.first_names)}, …"),
        ("layout", "none that is known" if facts.layout is None else f"{facts.layout}: {facts.advice}"),
    ]
    if facts.card is not None:
        rows.append(("made by", _made(facts.card)))
    if facts.licence is not None:
        rows.append(("licence", facts.licence))
    if facts.dimensions is not None:
        rows.append(("convolutions", f"{facts.dimensions}D, the first takes {facts.channels} channels"))
    if facts.classes is not None:
        rows.append(("last matrix", f"{facts.classes} rows (classes, where it is a classifier)"))
    rows.append(("norm layers", _norms(found)))
    if norms.layers and norms.constant == norms.layers:
        rows.append(("", "none looks trained: AC-Norm would have nothing to borrow from"))
    for place, guess in enumerate(facts.guesses):
        what = f"--model {guess.model} in {guess.dimensions}D: the file holds {guess.share:.1%} of it without its head"
        what += f", and {guess.used:.1%} of the file is for it"
        rows.append(("may be for" if place == 0 else "", what))
    if found.load is not None:
        rows += _of_load(found.load)
    if found.refused is not None:
        rows.append(("refused", found.refused))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {printable(text)}".rstrip() for name, text in rows)


def _made(card: dict[str, Any]) -> str:
    said = {
        name: str(card.get(name, "?"))[:_LONGEST]
        for name in ("made_by", "method", "model", "data", "cases", "epochs", "seed")
    }
    given = card.get("settings")
    settings = ", ".join(f"{name} {value}" for name, value in given.items()) if isinstance(given, dict) else ""
    told = "{made_by}: {method} pretraining of {model} on {data} ({cases} cases), {epochs} epochs, seed {seed}"
    return told.format(**said) + (f" ({settings[:_LONGEST]})" if settings else "")


def _norms(found: Diagnosis) -> str:
    norms = found.facts.norms
    if not norms.layers:
        return "none with weight and bias: AC-Norm has nothing to work on"
    told = f"{norms.layers} with weight and bias, {norms.running} of them with running statistics (BatchNorm)"
    told += f"; mean γ {norms.gamma:.3g}, spread of β/γ over channels {norms.ratio_spread:.3g} (medians)"
    return told + (f"; {norms.constant} the same in all channels" if norms.constant else "")


def _of_load(load: LoadReport) -> list[tuple[str, str]]:
    rows = [("would load", str(load).partition(": ")[2])]
    for kind in ("missing", "unexpected"):
        names = getattr(load, kind)
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            rows.append((kind, ", ".join(names[:_SHOWN]) + more))
    return rows
