"""What a frozen split looks like in numbers, and the bars it must clear. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.freeze import Measured

TOP = 5
"""Commonest outcomes listed."""


def ceiling(groups: Sequence[Sequence[Measured]]) -> dict[str, float]:
    """Best score of a reader who gives one answer per group, exactly.

    Returns:
        For exact match (verdict and content), content and verdict: mean over groups of the share of
        the commonest truth in the group. Nobody who does not look at what differs within a group
        can be above it.
    """
    keys = {
        "exact_match": lambda m: (m.clean != m.outcome, m.outcome),
        "content_match": lambda m: m.outcome,
        "verdict_accuracy": lambda m: m.clean != m.outcome,
    }
    return {
        name: sum(max(Counter(map(key, group)).values()) / len(group) for group in groups)
        / len(groups)
        for name, key in keys.items()
    }


def describe(groups: Sequence[Sequence[Measured]]) -> dict[str, Any]:
    """Counts and shares of one split, JSON-ready.

    Raises:
        CheckFailedError: there is no group.
    """
    if not groups:
        raise CheckFailedError("a split has no group: more facts or a larger pool are needed")
    queries = [member for group in groups for member in group]
    n = len(queries)
    outcomes = Counter(m.outcome for m in queries)
    answers = Counter((m.clean != m.outcome, m.outcome) for m in queries)
    return {
        "queries": n,
        "groups": len(groups),
        "share_changed": sum(m.clean != m.outcome for m in queries) / n,
        "distinct_outcomes": len(outcomes),
        "commonest_outcomes": {text: count / n for text, count in outcomes.most_common(TOP)},
        "share_commonest_outcome": outcomes.most_common(1)[0][1] / n,
        "prior_exact_match": answers.most_common(1)[0][1] / n,
        "input_only_ceiling": ceiling(groups),
        "share_of_kind": _shares([m.kind for m in queries]),
        "share_of_relation": _shares([str(m.fields["relation"]) for m in queries]),
        "margin_quantiles_logits": _quantiles([m.margin for m in queries]),
    }


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: count / len(names) for name, count in sorted(Counter(names).items())}


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {str(q): round(ordered[int(q * (len(ordered) - 1))], 6) for q in (0.01, 0.05, 0.1, 0.5)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One requirement on a number of the statistics."""

    name: str
    """Key in the statistics of a split."""
    low: float = float("-inf")
    """Smallest value allowed."""
    high: float = float("inf")
    """Largest value allowed."""


def missed(statistics: dict[str, Any], bars: Sequence[Bar]) -> list[str]:
    """One sentence for each bar that a split misses."""
    found = []
    for bar in bars:
        value: Any = statistics
        for part in bar.name.split("."):
            value = value[part]
        if not bar.low <= value <= bar.high:
            found.append(f"{bar.name} is {value:.4g}, allowed {bar.low:g} to {bar.high:g}")
    return found


def require(misses: Sequence[str]) -> None:
    """Refuse to freeze.

    Raises:
        CheckFailedError: naming every missed bar.
    """
    if misses:
        raise CheckFailedError("not frozen, bars missed: " + "; ".join(misses))
