"""Scores of a study as means over the divisions of the runs that they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from acnorm.bench.judging import Table
from acnorm.bench.study_cells import Truth
from acnorm.bench.study_scores import PROBED, Asked, Scored
from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES, Measure
from acnorm.ranking.placing import incomparable
from acnorm.ranking.trajectory import Reading

Key = tuple[str, str, str]  # target, candidate, splits
FORMS: dict[str, Callable[[Reading], float]] = {
    "ac-corr": lambda reading: reading.paper,
    "ac-corr a channel": lambda reading: reading.per_channel,
    "affine-drift": lambda reading: reading.drift,
}


def in_words(length: str) -> str:
    """Return a length of the probe in words.

    Examples:
        >>> in_words("1"), in_words("5"), in_words("epoch"), in_words("3epochs")
        ('1 step', '5 steps', '1 epoch', '3 epochs')
    """
    if length.isdigit():
        return "1 step" if length == "1" else f"{length} steps"
    count = length.removesuffix("s").removesuffix("epoch") or "1"
    return "1 epoch" if count == "1" else f"{count} epochs"


class Means:
    """Scores of one truth, as means over the divisions of its runs.

    reasons: why a measure has none, found as scores are asked for.

    Examples:
        >>> truth = Truth("vanilla", {}, {}, {}, {}, {}, ())
        >>> from pathlib import Path
        >>> Means(truth, {}, Asked(("ac-corr",), ("1",), 1, Path("bench"))).names
        ['ac-corr, 1 step', 'ac-corr a channel, 1 step']
    """

    def __init__(self, truth: Truth, scored: Mapping[Key, Scored], asked: Asked) -> None:
        self.truth, self.asked = truth, asked
        self.found = {
            key: [scored[key[0], key[1], item.splits] for item in each] for key, each in truth.scorings.items()
        }
        self.reasons: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Measures, then the variants of those that are read off a probe."""
        plain = [name for name in self.asked.measures if name not in PROBED]
        known = {name for each in self.found.values() for item in each for name in item.measures}
        forms = [form for form in FORMS if form.partition(" ")[0] in self.asked.measures]
        return [
            *(name for name in plain if name in known),
            *(f"{form}, {in_words(length)}" for length in self.asked.lengths for form in forms),
        ]

    def scores(self, name: str, target: str) -> dict[str, float | None]:
        """Of each candidate on a target, where they may be compared."""
        form, _, length = name.rpartition(", ")
        probed = bool(form)
        if probed:
            chosen = next(each for each in self.asked.lengths if in_words(each) == length)
        keys = [key for key in self.found if key[0] == target]
        found = {key[1]: self._probed(key, form, chosen, name) if probed else self._plain(key, name) for key in keys}
        base = form.partition(" ")[0] if probed else name
        measure = {**MEASURES, **LABEL_MAP_MEASURES}[base]
        with_score = [key for key in keys if found[key[1]] is not None]
        reason = None if measure.comparable else incomparable({key[1]: self._size(key, measure) for key in with_score})
        if reason is not None:
            self.reasons[name] = f"scores cannot be compared over {reason}"
            return dict.fromkeys(found)
        return found

    def _size(self, key: tuple[str, str], measure: Measure) -> int | str:
        return self.truth.scorings[key][0].source.model if measure.of_network else self.found[key][0].size or 0

    def _plain(self, key: tuple[str, str], name: str) -> float | None:
        values = [item.measures[name] for item in self.found[key] if name in item.measures]
        return self._mean(name, key, [item.value for item in values], [item.reason for item in values])

    def _probed(self, key: tuple[str, str], form: str, length: str, name: str) -> float | None:
        found = [item.readings.get(length) for item in self.found[key]]
        values = [None if reading is None else FORMS[form](reading) for reading in found]
        return self._mean(name, key, values, [item.reason for item in self.found[key]])

    def _mean(
        self, name: str, key: tuple[str, str], values: Sequence[float | None], reasons: Sequence[str | None]
    ) -> float | None:
        defined = [value for value in values if value is not None]
        if defined:
            return float(np.mean(defined))
        reason = next((text for text in reasons if text), None)
        if reason is not None and self.truth.scorings[key][0].source.weights is not None:
            self.reasons.setdefault(name, f"none for {key[1]} on {key[0]}: {reason}")
        return None

    def layers(self, length: str, results: Table) -> dict[str, dict[str, dict[str, float | None]]]:
        """Σ C of each layer that all candidates have, by layer, target and candidate."""
        readings = {key: [item.readings.get(length) for item in each] for key, each in self.found.items()}
        names = [list(item.sums) for each in readings.values() for item in each if item is not None]
        if not names or any(set(found) != set(names[0]) for found in names):
            return {}
        return {
            layer: {
                target: {key[1]: _mean_sum(each, layer) for key, each in readings.items() if key[0] == target}
                for target in results
            }
            for layer in names[0]
        }


def _mean_sum(readings: Sequence[Reading | None], layer: str) -> float | None:
    values = [reading.sums[layer] for reading in readings if reading is not None]
    return float(np.mean(values)) if values else None
