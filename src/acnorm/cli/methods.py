"""``acnorm methods``: the fine-tuning methods of finetune --method."""

from __future__ import annotations

import json
from dataclasses import asdict

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Print the fine-tuning methods as text or as JSON."""
    parser = Parser("methods", "List the fine-tuning methods of finetune --method; several combine with + between.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse(argv)
    from acnorm.tuning.method import list_methods, setting_of

    found = list_methods()
    if options.json:
        print(json.dumps([asdict(entry) for entry in found], indent=1))
        return 0
    for entry in found:
        print(f"{entry.name}: {entry.about}")
        print(f"    paper  {entry.paper}\n    cost   {entry.cost}\n    when   {entry.when}")
        flag = f"--{setting_of(entry.name).replace('_', '-')}"
        settings = [f"{flag}.{name.replace('_', '-')} {value!r}" for name, value in entry.settings.items()]
        if settings:
            print(f"    flags  {' '.join(settings)}")
        searched = [f"{flag}.{name.replace('_', '-')} {range}" for name, range in entry.search.items()]
        if searched:
            print(f"    search {', '.join(searched)}")
    print("\nCosts are times of a training step relative to plain fine-tuning. Several at once: --method acnorm+l2sp.")
    print("acnorm compare --search looks for the settings under search, and for the learning rate of every method.")
    return 0
