"""A part of a split that grows with its size: whole contrast groups in an order by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..records import Query

Amount = int | float  # How many: a number of queries, or below 1 the part of all of them


def draw_groups(queries: Sequence[Query], n: Amount | None, *, seed: int) -> list[Query]:
    """Return the first `n` queries in an order of contrast groups by hash.

    Groups stay whole but one. A smaller draw is part of every larger one.
    """
    if isinstance(n, float):
        n = count(n, len(queries))
    if n is not None and not 1 <= n <= len(queries):
        raise UsageError(f"{n} training queries: there are {len(queries)}")

    def order(query: Query) -> tuple[str, str]:
        return hashlib.sha256(f"{seed}:{query.group}".encode()).hexdigest(), query.id

    return sorted(queries, key=order)[:n]


def count(part: float, total: int) -> int:
    """Return how many a part of all, above 0 and at most 1, is; at least 1."""
    if not 0 < part <= 1:
        raise UsageError(f"a part of {part:g} of the training queries: give above 0 and at most 1")
    return max(1, round(part * total))


def read_amount(word: str) -> Amount:
    """Read such as `512` or `12%`."""
    number, percent, rest = word.partition("%")
    try:
        found = float(number) / 100 if percent else int(number)
    except ValueError:
        found = 0
    if rest or not (0 < found <= 1 if percent else found >= 1):
        raise UsageError(f"{word!r} training queries: expected such as 512 or 12%")
    return found


def show_amount(amount: Amount) -> str:
    """Write what `read_amount` reads, with `pc` for `%`, which file names are better without."""
    return f"{100 * amount:g}pc" if isinstance(amount, float) else str(amount)
