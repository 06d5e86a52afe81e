"""Short fine-tunes of the candidates that ``acnorm rank`` cannot tell apart, within a budget of time."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import Any

from acnorm.bench.durations import in_words, seconds_of
from acnorm.bench.halving import Halving, Train, Tried, as_plain, halve
from acnorm.bench.words import metric_in_words
from acnorm.data.atomic import replacing
from acnorm.errors import UserError, counted
from acnorm.ranking.result import Ranking
from acnorm.training.config import FinetuneConfig
from acnorm.training.finetune import command_of, run_finetune
from acnorm.training.run_folder import RunFolder
from acnorm.training.settings import NOTES_OF_A_RUN, config_from_settings

FILE = "halving.json"
METHOD = "vanilla"  # every candidate can be fine-tuned by it
EPOCHS = 20


@dataclass(frozen=True)
class ShortFinetunes:
    """What the short fine-tunes came to.

    Args:
        halving: all candidates, as far as they came; empty where there was nothing to tell apart.
        monitor: what they were judged by on the validation cases, the more the better.
        budget: seconds.
        epochs: of a whole fine-tuning.
        method: by which they were fine-tuned.
        command: that goes on with the best; None where there is none.
        note: why there was nothing to do.
    """

    halving: Halving
    monitor: str
    budget: float
    epochs: int
    method: str
    command: str | None = None
    note: str = ""

    @property
    def best(self) -> str | None:
        """The best candidate; None where fewer than two trained, or one of those that go on has not."""
        compared = [item for item in self.halving.tried if item.epochs and item.reason is None]
        begun = all(item.epochs for item in self.halving.alive)
        return self.halving.ordered[0].name if len(compared) > 1 and begun else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no NaN."""
        own = ("monitor", "budget", "epochs", "method", "command", "note", "best")
        found = {name: getattr(self, name) for name in own} | as_plain(self.halving)
        for item in found["tried"]:
            item["values"] = [None if isnan(value) else value for value in item["values"]]
        return found


def fine_tune_tied(
    ranking: Ranking,
    *,
    budget: str | float,
    runs: Path | str,
    method: str = METHOD,
    epochs: int = EPOCHS,
    clock: Callable[[], float] = time.monotonic,
    told: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> ShortFinetunes:
    """Fine-tune the candidates that a ranking cannot tell apart, the better half further and further.

    Each has a run folder of ``acnorm finetune`` in ``runs``, and is judged by its validation cases alone. The same
    call goes on where an earlier one ended; what that has spent counts.

    Args:
        ranking: of the candidates.
        budget: such as "90s", "30m" or "2h", or seconds.
        runs: folder of the runs.
        method: by which they are fine-tuned.
        epochs: of a whole fine-tuning, along whose learning rates the short ones go.
        clock: in seconds.
        told: called with a line after each step.
        settings: further settings of ``acnorm finetune``: data, splits, seed, …

    Raises:
        UserError: settings that cannot be, or a folder that holds something else, or runs of other settings.
        RunError: the user stopped it.

    Examples:
        >>> from acnorm.ranking.result import Candidate
        >>> sure = Ranking((Candidate("a.pth"), Candidate("b.pth")), "", ("a.pth",), by="knn")
        >>> fine_tune_tied(sure, budget="2h", runs="short", data="eyes.npz").note
        'a.pth is told from the others by knn'
    """
    seconds = seconds_of(budget) if isinstance(budget, str) else float(budget)
    if not 0 < seconds < inf:
        raise UserError(f"--budget is {budget!r}, must be seconds above 0, or a time such as 90s, 30m or 2h.")
    names = list(ranking.tied) or [item.weights for item in ranking.candidates]
    if len(names) < 2:
        note = f"{names[0]} is told from the others by {ranking.by}" if len(ranking.candidates) > 1 else "one candidate"
        return ShortFinetunes(Halving([]), "", seconds, epochs, method, note=note)
    models = {item.weights: item.model for item in ranking.candidates}
    folder = Path(runs)
    configs = {
        name: config_from_settings(
            {
                **settings,
                "model": models[name],
                "weights": name,
                "method": method,
                "epochs": epochs,
                "out": str(folder / _folder_of(name, models[name])),
            }
        )
        for name in names
    }
    check_runs(folder)
    _refuse_other_settings(folder, configs.values())
    state = _State(folder, names, told)
    halve(state.halving, state.train(configs), epochs=epochs, budget=seconds, clock=clock, told=state.keep)
    found = ShortFinetunes(state.halving, state.monitor, seconds, epochs, method)
    return found if found.best is None else ShortFinetunes(**vars(found) | {"command": _go_on(configs[found.best])})


def check_runs(folder: Path) -> None:
    """Refuse a folder for short fine-tunes that holds something else.

    Raises:
        UserError: in one line.

    Examples:
        >>> check_runs(Path("nowhere"))
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--runs {folder}: is a file; give a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).is_file():
        raise UserError(f"--runs {folder}: holds files but no short fine-tunes (no {FILE}); give another folder.")


def _refuse_other_settings(folder: Path, configs: Iterable[FinetuneConfig]) -> None:
    """Runs are resumed with the same settings; those that need no more epochs must have them as well."""
    for config in configs:
        run = RunFolder(Path(config.out))
        if not run.config.is_file():
            continue
        saved = {name: value for name, value in run.read_config().items() if name not in NOTES_OF_A_RUN}
        before = config_from_settings(saved)
        changed = [name for name in config.difference(before) if name != "out"]
        if changed:
            told = ", ".join(f"{name} was {getattr(before, name)!r}, is {getattr(config, name)!r}" for name in changed)
            raise UserError(
                f"--runs {folder}: holds short fine-tunes with other settings ({told}); use the same, or give another "
                "folder."
            )


class _State:
    """How far all have come, kept in the folder after each step."""

    def __init__(self, folder: Path, names: Sequence[str], told: Callable[[str], None]) -> None:
        self.file, self.told, self.monitor = folder / FILE, told, ""
        self.halving = Halving([Tried(name) for name in names])
        if self.file.is_file():
            self._read(names)
        self.keep(self.halving)

    def _read(self, names: Sequence[str]) -> None:
        try:
            saved = json.loads(self.file.read_text(encoding="utf-8"))
            # one that failed is tried again: its file or its memory may have been put right meanwhile
            tried = {item["name"]: Tried(**item | {"reason": None}) for item in saved["tried"]}
            self.monitor, spent = str(saved["monitor"]), float(saved["seconds"])
        except (ValueError, KeyError, TypeError, UnicodeDecodeError):
            raise UserError(f"{self.file}: is damaged; give another --runs.") from None
        if tried.keys() != set(names):
            raise UserError(
                f"--runs {self.file.parent}: holds short fine-tunes of other candidates ({', '.join(tried)}); give "
                "another folder."
            )
        self.halving = Halving([tried[name] for name in names], spent)

    def keep(self, halving: Halving) -> None:
        """Write it."""
        with replacing(self.file) as draft:
            content = {"monitor": self.monitor, **as_plain(halving)}
            draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def train(self, configs: dict[str, FinetuneConfig]) -> Train:
        """What trains a candidate up to some epochs in its run folder."""

        def train(name: str, until: int) -> tuple[list[float], list[float]]:
            config = configs[name]
            run = RunFolder(Path(config.out))
            resumed = config_from_settings(config.to_dict() | {"resume": run.config.is_file()})
            # a kill may have come after an epoch was finished, and before it was noted here
            finished = len(_rows(run.history)) if run.last.is_file() else 0
            self.monitor = run_finetune(resumed, until=max(until, finished)).metrics["monitor"]
            values, seconds = _history(run.history, self.monitor)
            self.told(f"{name}: {until} epochs, {metric_in_words(_plain(self.monitor))} {max(values):.3f}")
            return values, seconds

        return train


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as content:
        return list(csv.DictReader(content))


def _history(file: Path, monitor: str) -> tuple[list[float], list[float]]:
    rows = _rows(file)
    return [float(row[monitor] or "nan") for row in rows], [float(row["seconds"]) for row in rows]


def _folder_of(weights: str, model: str) -> str:
    """A name that no other candidate has."""
    return f"{Path(weights).stem}-{hashlib.sha256(f'{model} {weights}'.encode()).hexdigest()[:8]}"


def _go_on(config: FinetuneConfig) -> str:
    return f"{command_of(config)} --resume"


def _plain(monitor: str) -> str:
    return monitor.removeprefix("val_")


def as_text(found: ShortFinetunes) -> str:
    """Return the last lines of ``acnorm rank --budget``: what was found, and what it cost.

    Examples:
        >>> print(as_text(ShortFinetunes(Halving([]), "", 60.0, 20, "vanilla", note="one candidate")))
        No short fine-tunes: one candidate.
    """
    if found.note:
        return f"No short fine-tunes: {found.note}."
    metric = metric_in_words(_plain(found.monitor))
    lines = [f"Short fine-tunes ({found.method}, {metric} on validation cases, of {counted(found.epochs, 'epoch')}):"]
    lines += [f"  {_line(item, metric)}" for item in found.halving.ordered]
    lines.append(_verdict(found, metric))
    cost = f"Cost: {in_words(found.halving.seconds)} of {in_words(found.budget)}"
    if not found.halving.complete:
        cost += "; the next step would not have fitted, and a larger --budget goes on from here"
    lines.append(f"{cost}.")
    if found.command is not None:
        lines.append(f"Go on with it: {found.command}")
    return "\n".join(lines)


def _line(item: Tried, metric: str) -> str:
    if item.reason is not None:
        return f"{item.name}: failed: {item.reason}"
    if not item.epochs:
        return f"{item.name}: not begun"
    end = f", left after {item.left}" if item.left is not None else ""
    took = in_words(sum(item.seconds))
    best = item.best(item.epochs)
    return f"{item.name}: {metric} {'–' if best == -inf else f'{best:.3f}'}, {item.epochs} epochs{end}, {took}"


def _verdict(found: ShortFinetunes, metric: str) -> str:
    waiting = [item.name for item in found.halving.alive if not item.epochs]
    if waiting:
        return f"Nothing can be said yet: {', '.join(waiting)} {'has' if len(waiting) == 1 else 'have'} not begun."
    if found.best is None:
        return "Nothing can be said: fewer than two candidates were trained."
    first, second = found.halving.ordered[:2]
    rounds = min(item.epochs for item in (first, second))
    apart = first.best(rounds) - second.best(rounds)
    if not apart > 0:
        return f"{first.name} and {second.name} are alike after {rounds} epochs: take either."
    return (
        f"Fine-tune {first.name}: ahead of {second.name} by {apart:.3f} in {metric} after {rounds} epochs. "
        "One short run each: with another seed the order may differ."
    )
