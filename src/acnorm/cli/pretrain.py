"""``acnorm pretrain``: from images, with or without labels, to a checkpoint."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any, cast


def main(argv: list[str]) -> int:
    """Pretrain as the flags say and print where the checkpoint is."""
    if "--list" in argv:
        print(_tasks())
        return 0
    from acnorm.training.pretrain_config import pretrain_config_from_flags

    config = pretrain_config_from_flags(argv)
    logging.getLogger("acnorm").setLevel(logging.INFO)
    from acnorm.workflows import pretrain

    result = pretrain(**config.to_dict())
    if result.metrics:
        from acnorm.training.pretrain import ENCODER

        for name, value in result.metrics["last_epoch"].items():
            print(f"{name}: {value:.3f}")
        print(f"checkpoint: {result.path / ENCODER}")
        print(f"report: {result.path / 'report.html'}")
    return 0


def _tasks() -> str:
    from acnorm.cli.tables import table
    from acnorm.pretraining.pretext import PRETEXTS

    rows = [["method", "what", "from", "settings"]]
    for name, task in PRETEXTS.items():
        settings = fields(cast(Any, task))
        told = ", ".join(f"{item.name} {_shown(item.default)}" for item in settings)
        rows.append([name, task.about, task.paper, told or "none"])
    return table(rows) + "\n\nThe settings of a task: such as --simclr.temperature 0.2."


def _shown(value: object) -> str:
    return "by dimension" if value is None else str(value)
