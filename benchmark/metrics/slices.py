"""Parts of queries, and two explainers on them; parts are many, so there are no tests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..records import Described, Query, Replied, Scored
from .bootstrap import check_same_queries, difference
from .verdicts import Table, of_part

MARGIN_ENDS = (0.1, 0.3)
# Parts of queries by the margin of their label, in logits; each holds its lower end
MARGINS = ("below 0.1", "from 0.1 to 0.3", "from 0.3")
NEAR = 0.5  # Cosine with a training feature from which a feature counts as near


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDifference:
    """A metric of one explainer minus that of another, on a part of their queries."""

    value: float | None  # The difference; None if one of the two has no value
    # Percentile interval over groups; None without a spread (one group) or value
    interval_95: tuple[float, float] | None
    n: int  # Queries of the part


def layers_of(query: Query) -> str:
    """Return a layer or block of layers as text that sorts by its first layer, or nothing."""
    if "layers" in query.fields:
        first, last = query.fields["layers"]
        return f"{first:02d}-{last:02d}"
    return f"{query.fields['layer']:02d}" if "layer" in query.fields else ""


def margin_of(one: Replied) -> str:
    """Return the part that the margin of a label is in, or nothing where labels have none."""
    if not isinstance(one, Scored):
        return ""
    return MARGINS[bisect_right(MARGIN_ENDS, one.truth.margin)]


def distance_of(one: Replied) -> str:
    """Return whether a feature is near to one of the training split, or nothing."""
    if not isinstance(one, Described):
        return ""
    return "near" if one.truth.nearest_train >= NEAR else "far"


# What queries are told apart by; a query without a name is in no part
PARTS: Mapping[str, Callable[[Query], str]] = {
    "layers": layers_of,
    "kind": lambda query: query.kind,
}


def differences(
    first: Table,
    second: Table,
    queries: Sequence[Query],
    name: str,
    rng: Callable[[], np.random.Generator],
) -> dict[str, dict[str, PartDifference]]:
    """Compare two explainers by one metric on each part of their queries: by `PARTS`, then by part.

    On a part another metric may stand for the named one (`of_part`). `rng` is called once a part;
    the same state each time makes parts independent of their order. Nothing where all are one part.
    """
    check_same_queries([first, second])
    if len(queries) != first.n:
        raise ValueError(f"{len(queries)} queries for a table of {first.n}")
    found = {}
    for title, part_of in PARTS.items():
        names = np.array([part_of(query) for query in queries])
        parts = sorted(set(names.tolist()) - {""})
        if len(parts) > 1:
            found[title] = {
                part: _on(take(first, names == part), take(second, names == part), name, rng())
                for part in parts
            }
    return found


def take(table: Table, chosen: npt.NDArray[np.bool_]) -> Table:
    """Return the chosen rows, (n_queries,), of a table, with its groups numbered anew."""
    kind: Any = type(table)
    columns = {column.name: getattr(table, column.name)[chosen] for column in fields(kind)}
    columns["group"] = np.unique(columns["group"], return_inverse=True)[1].astype(np.int64)
    found: Table = kind(**columns)
    return found


def _on(first: Table, second: Table, name: str, rng: np.random.Generator) -> PartDifference:
    metric = of_part(name, getattr(first, "kind", ()))
    value, _, interval = difference(first, second, metric, rng=rng)
    return PartDifference(value=value, interval_95=interval, n=first.n)
