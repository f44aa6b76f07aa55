"""Moves properties of units along the text: to the next unit, the rest of a sentence, the passage.

All functions take and give sparse matrices of 0 and 1, units by properties. `names.RELATIONS` says
what each relation means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ....benchmark.errors import UsageError
from .words import LENGTH, Units

TOPIC_WORDS = 2
"""Content words of a category that a passage needs so far to be about it."""

TOPIC_SHARE = 4
"""A passage is about a category if one in so many content words so far belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where units stand; all arrays (n_units,), in reading order."""

    type_of: NDArray[np.int64]
    """Row of each unit in tables of distinct units."""
    window_of: NDArray[np.int64]
    """Window of each unit."""
    sentence_of: NDArray[np.int64]
    """Sentence of each unit, ascending, never shared by windows."""
    content: NDArray[np.bool_]
    """Whether each unit is a content word."""


def _shifted(table: sparse.csr_matrix, frame: Frame, steps: int) -> sparse.csr_matrix:
    """Properties of the unit some steps before each (after it if negative)."""
    n_units = len(frame.type_of)
    other = np.arange(n_units) - steps
    inside = (other >= 0) & (other < n_units)
    other = np.where(inside, other, 0)
    if n_units:
        inside &= frame.window_of[other] == frame.window_of
    # the last row of the table is empty
    rows = np.where(inside, frame.type_of[other] if n_units else 0, table.shape[0] - 1)
    return table[rows]


def _ones(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same with every entry 1."""
    matrix.data[:] = 1
    return matrix


def _since(table: sparse.csr_matrix, frame: Frame, group: NDArray[np.int64]) -> sparse.csr_matrix:
    """Whether an earlier unit of the same group has the property; groups ascend."""
    held = table[frame.type_of].tocoo()
    n_columns = table.shape[1]
    order = np.lexsort((held.row, held.col, group[held.row]))
    rows, columns = held.row[order].astype(np.int64), held.col[order].astype(np.int64)
    key = group[rows] * n_columns + columns
    first = np.ones(len(key), dtype=bool)
    first[1:] = key[1:] != key[:-1]
    rows, columns = rows[first], columns[first]
    ends = np.searchsorted(group, group[rows], side="right")
    lengths = ends - rows - 1
    starts = np.repeat(rows + 1 - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    later = starts + np.arange(int(lengths.sum()))
    values = np.ones(len(later), dtype=np.uint8)
    shape = (len(frame.type_of), n_columns)
    return sparse.csr_matrix((values, (later, np.repeat(columns, lengths))), shape=shape)


def _topic(table: sparse.csr_matrix, frame: Frame) -> sparse.csr_matrix:
    """Whether enough of the content words so far have the property; content words alone count."""
    n_units, n_columns = len(frame.type_of), table.shape[1]
    starts = np.searchsorted(frame.window_of, frame.window_of)
    held = table[frame.type_of].tocsc()

    def so_far(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.concatenate([[0], np.cumsum(flags)])
        counts: NDArray[np.int64] = total[1:] - total[starts]
        return counts

    needed = np.maximum(TOPIC_WORDS * TOPIC_SHARE, so_far(frame.content))
    rows, lengths = [np.empty(0, dtype=np.int64)], []
    flags = np.zeros(n_units, dtype=bool)
    for column in range(n_columns):
        flags[:] = False
        flags[held.indices[held.indptr[column] : held.indptr[column + 1]]] = True
        found = np.flatnonzero(so_far(flags & frame.content) * TOPIC_SHARE >= needed)
        rows.append(found)
        lengths.append(len(found))
    columns = np.repeat(np.arange(n_columns), lengths)
    joined = np.concatenate(rows)
    values = np.ones(len(joined), dtype=np.uint8)
    return sparse.csr_matrix((values, (joined, columns)), shape=(n_units, n_columns))


def related(relation: str, table: sparse.csr_matrix, frame: Frame) -> sparse.csr_matrix:
    """For which units a relation to properties holds, uint8 (n_units, n_properties).

    Args:
        relation: one of `names.RELATIONS`, or empty for the properties themselves.
        table: properties of distinct units, (n_types + 1, n_properties), the last row empty.
        frame: where the units stand.

    Raises:
        UsageError: if the relation is unknown.
    """
    steps = {"": 0, "previous": 1, "next": -1, "second-previous": 2}
    if relation in steps:
        return _shifted(table, frame, steps[relation])
    if relation == "lately":
        return _ones(
            _shifted(table, frame, 1) + _shifted(table, frame, 2) + _shifted(table, frame, 3)
        )
    if relation == "sentence":
        return _since(table, frame, frame.sentence_of)
    if relation == "earlier":
        return _since(table, frame, frame.window_of)
    if relation == "topic":
        return _topic(table, frame)
    raise UsageError(f"{relation!r} is not a relation of predicates")


def units_to_tokens(
    values: sparse.csr_matrix, units: Units, part: slice, windows: tuple[int, int]
) -> sparse.csr_matrix:
    """Values of tokens from those of their units.

    Args:
        values: values of some of the units, (n_some, n_predicates).
        units: all units.
        part: which units these are.
        windows: first of their windows, and the one after their last.

    Returns:
        uint8 matrix of 0 and 1, (n_tokens of the windows, n_predicates).
    """
    first, last = units.first_token[part], units.last_token[part]
    lengths = last - first + 1
    begins = np.repeat(first - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    tokens = begins + np.arange(int(lengths.sum())) - windows[0] * LENGTH
    of = np.repeat(np.arange(len(first)), lengths)
    shape = ((windows[1] - windows[0]) * LENGTH, len(first))
    belongs = sparse.csr_matrix((np.ones(len(of), dtype=np.uint8), (tokens, of)), shape=shape)
    return _ones((belongs @ values).tocsr())
