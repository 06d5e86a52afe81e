"""Rows of a study's tables: measures, and rules that look at no score, over the targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from acnorm.bench.judging import Estimate, Judged, Table, best_elsewhere, of_rule, over_targets
from acnorm.bench.study_cells import Truth

ELSEWHERE, LARGEST, AT_RANDOM = "best on the other targets", "largest", "a random pick"


# Below six targets, all of them on one side are no more than chance (two-sided sign test: 2 / 2⁵ is above 0.05).
LEAST_TARGETS = 6


def side_of(value: Estimate) -> int:
    """Return 1 or −1 where a mean over targets is above or below 0 beyond chance, else 0.

    Examples:
        >>> side_of(Estimate(0.5, 0.25, 0.75, 6)), side_of(Estimate(0.5, 0.25, 0.75, 4))
        (1, 0)
    """
    if value.low is None or value.high is None or value.targets < LEAST_TARGETS or value.low <= 0 <= value.high:
        return 0
    return 1 if value.low > 0 else -1


@dataclass(frozen=True)
class Row:
    """One measure, variant or rule over the targets of one truth.

    by_target: judged on each. tau, spearman, regret, hits: over targets. less: its regret less that of the rule "best on
    the other targets". than_random: the same for a random pick, in expectation. positive, negative: targets in which
    higher scores went with better, and worse, results (Spearman).
    """  # noqa: E501

    name: str
    by_target: Mapping[str, Judged]
    tau: Estimate
    spearman: Estimate
    regret: Estimate
    hits: Estimate
    less: Estimate
    than_random: Estimate

    @property
    def positive(self) -> int:
        """Targets in which higher scores went with better results."""
        return sum(item.spearman > 0 for item in self.by_target.values())

    @property
    def negative(self) -> int:
        """Targets in which higher scores went with worse results."""
        return sum(item.spearman < 0 for item in self.by_target.values())

    @property
    def direction(self) -> str:
        """In which direction scores went with results: "higher is better", "lower is better", or "open".

        Open where the interval of the mean rank correlation holds 0, or targets are fewer than ``LEAST_TARGETS``.
        """
        side = side_of(self.spearman)
        return "open" if side == 0 else "higher is better" if side > 0 else "lower is better"


def rules_of(results: Table, everyone: Table, truth: Truth, sizes: Mapping[str, int]) -> dict[str, dict[str, Judged]]:
    """Return what rules that look at no score would have picked, by rule and target.

    Args:
        results: of the candidates; more is better.
        everyone: the same with random initialisation, which may be no candidate.
        truth: that they are of.
        sizes: parameters of each candidate.

    Examples:
        >>> results = {"x": {"a": 0.5, "b": 0.75}}
        >>> truth = Truth("vanilla", {"x": "dice"}, results, {}, {}, {}, ())
        >>> rules_of(results, results, truth, {"a": 1, "b": 2})["always a"]["x"].regret
        0.25
    """
    names = list(dict.fromkeys(name for values in results.values() for name in values))
    largest = {target: _largest(values, sizes) for target, values in results.items()}
    rules = {
        ELSEWHERE: {target: of_rule(results[target], best_elsewhere(results, target)) for target in results},
        LARGEST: {target: of_rule(results[target], largest[target]) for target in results},
        AT_RANDOM: {target: of_rule(results[target], list(results[target])) for target in results},
    }
    for name in names:
        rules[f"always {name}"] = {target: of_rule(results[target], [name]) for target in results}
    fresh = {item.source.name for each in truth.scorings.values() for item in each if item.source.weights is None}
    for name in sorted(fresh - set(names)):  # no candidate: its result against the best of these
        rules[f"always {name}"] = {target: _outside(results[target], everyone[target].get(name)) for target in results}
    return rules


def _largest(values: Mapping[str, float], sizes: Mapping[str, int]) -> list[str]:
    """The candidates with most parameters; none where all have as many."""
    most = max(sizes[name] for name in values)
    found = [name for name in values if sizes[name] == most]
    return [] if len(found) == len(values) else found


def _outside(results: Mapping[str, float], value: float | None) -> Judged:
    if value is None:
        return Judged(candidates=len(results))
    best = max(results.values())
    return Judged(regret=best - value, hit=float(value >= best), scored=1, candidates=len(results))


class Rows:
    """Rows over the targets of one truth, against two rules.

    Examples:
        >>> results = {"x": {"a": 0.5, "b": 0.75}}
        >>> rule = {"x": of_rule(results["x"], ["b"])}
        >>> Rows(results, rule, rule).row("always a", {"x": of_rule(results["x"], ["a"])}).less.mean
        0.25
    """

    def __init__(self, results: Table, elsewhere: Mapping[str, Judged], random: Mapping[str, Judged]) -> None:
        self.targets, self.elsewhere, self.random = list(results), elsewhere, random

    def row(self, name: str, by_target: Mapping[str, Judged]) -> Row:
        """Return the row of what was judged on each target."""

        def over(of: Callable[[str], float]) -> Estimate:
            return over_targets([of(target) for target in self.targets])

        return Row(
            name,
            by_target,
            tau=over(lambda target: by_target[target].tau),
            spearman=over(lambda target: by_target[target].spearman),
            regret=over(lambda target: by_target[target].regret),
            hits=over(lambda target: by_target[target].hit),
            less=over(lambda target: by_target[target].regret - self.elsewhere[target].regret),
            than_random=over(lambda target: by_target[target].regret - self.random[target].regret),
        )
