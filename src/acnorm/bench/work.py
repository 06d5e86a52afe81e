"""``python -m acnorm.bench.work SETTINGS.yaml [--code CODE] [--resume]``: one cell, in a process of its own.

It is ``acnorm finetune --config SETTINGS.yaml`` without the report, which takes longer than a short run and can be made
of the run folder at any time. Data that were replaced since the plan are refused: its address would be wrong.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from acnorm.bench.cells import code_version
from acnorm.bench.made_of import refuse_changed, refuse_changed_since
from acnorm.errors import RunError, UserError
from acnorm.training.finetune import run_finetune
from acnorm.training.settings import config_from_settings


def main(argv: Sequence[str]) -> int:
    """Run the cell and return the exit code, that of ``acnorm finetune``.

    Examples:
        >>> main.__name__
        'main'
    """
    text = Path(argv[0]).read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    try:
        if "--code" in argv:
            _refuse_other_code(argv[argv.index("--code") + 1])
        config = config_from_settings(settings | {"resume": "--resume" in argv})
        inputs = refuse_changed(text, config)
        run_finetune(config)
        refuse_changed_since(inputs, config)
    except (UserError, RunError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


def _refuse_other_code(planned: str) -> None:
    """Refuse to run a cell with other code than that which its address was made of, on another machine."""
    if code_version() != planned:
        raise UserError(
            f"{platform.node()} has {code_version()}, the bench was begun with {planned}; "
            "install the same on all nodes."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
