"""What a frozen split looks like in numbers, and the bars it must clear. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...benchmark.errors import CheckFailedError
from ...benchmark.records import Answer
from ...benchmark.suite.freeze import Measured
from ..verdicts import expressible

NEAR = 0.99  # centred cosine from which on a vector counts as a training vector
TOP = 5  # commonest outcomes listed


def ceiling(groups: Sequence[Sequence[Measured]]) -> dict[str, float]:
    """Best score of a reader who gives one answer per group: mean share of its commonest truth.

    For exact match (verdict and content), content and verdict. Nobody who does not look at what
    differs within a group can be above it.
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

    Raises CheckFailedError: there is no group.
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
        **_where(queries),
        **_margins(queries),
        **_nearness(queries),
        **_matching(groups),
    }


def describe_kinds(
    groups: Sequence[Sequence[Measured]], headline: Sequence[str] | None
) -> dict[str, Any]:
    """Return `describe` of the headline's kinds, and of each kind under `by_kind`.

    Raises CheckFailedError: no group is of a headline kind.
    """
    kinds = sorted({group[0].kind for group in groups})
    main = [group for group in groups if headline is None or group[0].kind in headline]
    by_kind = {kind: describe([g for g in groups if g[0].kind == kind]) for kind in kinds}
    return {**describe(main), "by_kind": by_kind}


def _margins(queries: Sequence[Measured]) -> dict[str, Any]:
    ordered = sorted(m.margin for m in queries if m.margin is not None)
    if not ordered:
        return {}
    quantiles = {str(q): ordered[int(q * (len(ordered) - 1))] for q in (0.01, 0.05, 0.1, 0.5)}
    return {"margin_quantiles_logits": quantiles, "least_margin_logits": ordered[0]}


def _nearness(queries: Sequence[Measured]) -> dict[str, Any]:
    """Share of queries whose vector is nearly a training vector, of those where it is known."""
    known = [m.nearest_train for m in queries if m.nearest_train is not None]
    if not known:
        return {}
    return {
        "known_nearest_train": len(known) / len(queries),
        "share_near_train": sum(value >= NEAR for value in known) / len(known),
    }


def _matching(groups: Sequence[Sequence[Measured]]) -> dict[str, Any]:
    """How well each distance tells changed from unchanged within groups; overall and by place."""
    if any(m.distances is None for group in groups for m in group):
        return {}
    found: dict[str, Any] = {"auroc_within_groups": aurocs(groups)}
    for by, name in (("block", _block), ("cell", _cell)):
        parts: dict[str, list[Sequence[Measured]]] = {}
        for group in groups:
            parts.setdefault(name(group[0]), []).append(group)
        found[f"auroc_within_groups_by_{by}"] = {k: aurocs(own) for k, own in sorted(parts.items())}
    return found


def aurocs(groups: Sequence[Sequence[Measured]]) -> dict[str, float | None]:
    """AUROC of each distance for "changed", over pairs of members of one group.

    It is the share of pairs whose changed member is the farther one, a tie half; None if no group
    has both.
    """
    pairs = [
        (one.distances or {}, other.distances or {})
        for group in groups
        for one in group
        for other in group
        if one.clean != one.outcome and other.clean == other.outcome
    ]
    won = {
        name: sum((far[name] > near[name]) + (far[name] == near[name]) / 2 for far, near in pairs)
        for name in groups[0][0].distances or {}
    }
    return {name: n / len(pairs) if pairs else None for name, n in won.items()}


def _where(queries: Sequence[Measured]) -> dict[str, Any]:
    """Shares that only patches have: by block, by kind and block, and by whose answer comes out."""
    if any("layers" not in m.fields for m in queries):
        return {}
    blocks = _shares([_block(m) for m in queries])
    cells = [_cell(m) for m in queries]
    origins = [_origin(m) for m in queries]
    return {
        "share_of_block": blocks,
        "least_share_of_block": min(blocks.values()),
        "share_of_cell": _shares(cells),
        "share_of_origin": _shares(origins),
        "share_of_neither_by_cell": {
            cell: sum(o == "neither" for o, c in zip(origins, cells, strict=True) if c == cell)
            / cells.count(cell)
            for cell in sorted(set(cells))
        },
    }


def _block(query: Measured) -> str:
    return "{:02d}-{:02d}".format(*query.fields["layers"])


def _cell(query: Measured) -> str:
    return f"{query.kind} {_block(query)}"


def _origin(query: Measured) -> str:
    """Whose own answer the outcome is: the base prompt's, the source prompt's, both, neither."""
    clean, source = query.outcome == query.clean, query.outcome == query.source
    if clean and source:
        return "both"
    return "clean" if clean else "source" if source else "neither"


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: count / len(names) for name, count in sorted(Counter(names).items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One requirement on a number of the statistics."""

    name: str  # key in the statistics of a split
    low: float = float("-inf")  # smallest value allowed
    high: float = float("inf")  # largest value allowed


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


def check_expressible(split: str, groups: Sequence[Sequence[Measured]]) -> None:
    """Refuse to freeze outcomes that no reply can say.

    Raises CheckFailedError: there are some, such as an outcome without a letter or digit.
    """
    queries = [member for group in groups for member in group]
    answers = [Answer(changed=m.clean != m.outcome, content=m.outcome) for m in queries]
    if unsaid := [answer.content for answer in answers if not expressible(answer)]:
        raise CheckFailedError(
            f"{split}: no reply can say {len(unsaid)} of {len(answers)} outcomes, such as "
            f"{unsaid[0]!r}; a builder has to leave them out"
        )
