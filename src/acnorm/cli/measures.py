"""``acnorm measures``: the transferability measures of ``acnorm rank``."""

from __future__ import annotations

import json

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Print the measures as a table or as JSON."""
    parser = Parser("measures", "List the measures of rank --measures: what each asks and needs.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse(argv)
    from acnorm.cli.tables import table
    from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES, NEEDS

    listed = [*MEASURES.values(), *LABEL_MAP_MEASURES.values()]

    if options.json:
        fields = ("name", "about", "paper", "needs", "comparable", "several")
        print(json.dumps([{name: getattr(row, name) for name in fields} for row in listed], indent=1))
        return 0
    rows = [["measure", "what it asks", "needs", "sizes", "several classes", "paper"]]
    for row in listed:
        sizes = "any" if row.comparable else "one"
        rows.append([row.name, row.about, row.needs, sizes, "yes" if row.several else "no", row.paper])
    print(table(rows))
    print("\nneeds:")
    for name, about in NEEDS.items():
        print(f"  {name}: {about}")
    print(
        "sizes: whether scores of features of different sizes, or of different networks for a probe, may be compared."
    )
    print("several classes: whether it serves data whose images may show several classes each.")
    return 0
