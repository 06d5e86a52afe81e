"""``acnorm finetune``: from images and a checkpoint to a run folder."""

from __future__ import annotations

import logging
import sys


def main(argv: list[str]) -> int:
    """Fine-tune as the flags say and print the test metrics and where the report is."""
    from acnorm.training.settings import config_from_flags

    config = config_from_flags(argv)
    logging.getLogger("acnorm").setLevel(logging.INFO)
    from acnorm.workflows import finetune

    result = finetune(**config.to_dict())
    if result.metrics:
        from acnorm.cli.tables import metrics_table

        print(metrics_table({str(result.path): result.metrics}))
        print(f"report: {result.path / 'report.html'}")
        sys.stdout.flush()
    return 0
