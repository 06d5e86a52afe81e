"""``acnorm VERB …``: finds the verb, and tells bad input in one line."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from acnorm._version import __version__
from acnorm.errors import RunError, UserError, hint, printable

VERBS = {
    "check": "read every image of a data set and report what is wrong with it",
    "checkpoint": "say what is in a checkpoint file and what of it would load",
    "models": "list the networks by name, with their norm layers and sizes",
    "rank": "score which of several checkpoints to fine-tune",
    "pretrain": "make a source checkpoint from images, with or without labels",
    "measures": "list the transferability measures of rank: what each asks and needs",
    "tasks": "list the named tasks and the settings that each begins with",
    "methods": "list the fine-tuning methods: what each does, its paper, its cost, and when to use it",
    "finetune": "fine-tune a pretrained network; writes a run folder with a report",
    "compare": "compare methods on one data set and checkpoint over seeds and folds: differences with intervals",
    "bench": "run a grid of tasks, checkpoints, methods, seeds and folds; each run once, interrupted ones go on",
    "report": "write the report of one or several runs",
    "inspect": "what fine-tuning did to the affine of runs: movement, domains, matching channels",
    "predict": "run a finished run's network on new images",
    "export": "export a finished run's network to ONNX or torch.export, checked",
    "demo": "the whole job on generated images: rank, fine-tune with and without AC-Norm, report",
}


def usage() -> str:
    """Return what ``acnorm --help`` prints.

    Examples:
        >>> print(usage().splitlines()[0])
        usage: acnorm [--version] [--debug] VERB ...
    """
    lines = [
        "usage: acnorm [--version] [--debug] VERB ...",
        "",
        "Pick the right pretrained checkpoint and fine-tune it well.",
        "",
    ]
    width = max(map(len, VERBS))
    lines += [f"  {verb:<{width}}  {about}" for verb, about in VERBS.items()]
    lines += ["", "acnorm VERB --help tells the flags of a verb; --debug shows the traceback of an error."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 1 the run failed, 2 bad input, 130 interrupted.

    Args:
        argv: the arguments after ``acnorm``; those of the process where not given.

    Examples:
        >>> main(["--version"])
        acnorm 0.1.0
        0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"acnorm {__version__}")
        return 0
    logging.basicConfig(level=logging.INFO if debug else logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        return _run(arguments[0], arguments[1:])
    except (UserError, RunError) as error:
        if debug:
            traceback.print_exc()
        told = printable(" ".join(str(error).split()))
        sys.stderr.write(f"acnorm: {told}\n")  # in one piece: processes share the terminal
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("acnorm: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def _run(verb: str, arguments: list[str]) -> int:
    if verb not in VERBS:
        raise UserError(f"no verb {verb!r}; {hint(verb, VERBS)}")
    result: int = import_module(f"acnorm.cli.{verb}").main(arguments)
    return result


if __name__ == "__main__":
    sys.exit(main())
