"""``acnorm models``: the networks by name."""

from __future__ import annotations

import json

from acnorm.cli.parser import Parser

FAMILIES = ("timm", "torchvision", "smp")


def main(argv: list[str]) -> int:
    """Print the networks as a table or as JSON."""
    parser = Parser("models", "List the networks of --model: their norm layers, size and source.")
    parser.add_argument("--norm", choices=("batch", "instance", "group", "layer"), help="only those with such layers")
    parser.add_argument("--dim", type=int, choices=(2, 3), help="only those that come in 2D or 3D")
    parser.add_argument(
        "--source", choices=FAMILIES, help="those of an extra, which must be installed (timm: a minute)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse(argv)
    from acnorm.cli.tables import table
    from acnorm.models.listing import list_models

    found = list_models(source=options.source, norm=options.norm, dimensions=options.dim)
    if options.json:
        print(json.dumps([entry.to_dict() for entry in found], indent=1))
        return 0
    rows = [["model", "in", "norm layers", "parameters", "code"]]
    for entry in found:
        norms = ", ".join(f"{count} {kind}" for kind, count in entry.norms.items()) or "none"
        sides = " and ".join(f"{side}D" for side in entry.dimensions)
        rows.append([entry.name, sides, norms, f"{entry.parameters / 1e6:.2f} M", entry.code])
    print(table(rows) if found else "No network by name is like that.")
    if options.source is None:
        print("\nWith the extras also timm/…, torchvision/… and smp/…: acnorm models --source timm.")
        print("A network of your own: --model module:function.")
    return 0
