"""``acnorm tasks``: the named tasks and the settings that each begins with."""

from __future__ import annotations

from acnorm.cli.parser import Parser
from acnorm.cli.tables import table
from acnorm.data.tasks import TASKS


def main(argv: list[str]) -> int:
    """Print the named tasks."""
    Parser("tasks", "List the named tasks of finetune --task and the settings that each begins with.").parse(argv)
    rows = [["task", "needs", "what"]]
    rows += [
        [name, {"classification": "classes"}.get(task.kind, "label maps"), task.about] for name, task in TASKS.items()
    ]
    print(table(rows))
    for name, task in TASKS.items():
        if task.settings:
            flags = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in task.settings.items())
            print(f"\n{name}: {flags}")
    return 0
