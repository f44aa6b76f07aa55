"""Computes the values of predicates on windows, from names, token ids and the lexicon alone.

A predicate is 0 or 1 at every position of every window. One about a word (or number, mark, line
break) holds at all tokens of that word, the first one included, and a token of several units has
the values of all of them; a token of spaces has only those of tokens (`piece`, `piece-place` and
positions). A relation is between units, in the window alone; see `names.RELATIONS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ....benchmark.errors import UsageError
from ..windows import WINDOW
from .context import unit_places
from .lexicon import shipped_lexicon
from .names import PIECE_FAMILIES, PROPERTY_FAMILIES, RELATIONS, Name, parse, wording
from .properties import properties
from .words import HasVocabulary, Ints, Units, annotate, piece_tokens, ranges, token_places

CHUNK = 2_000  # windows computed at a time; bounds memory, changes no value
TOPIC_WORDS = 2  # content words of a category that a passage needs so far to be about it
TOPIC_SHARE = 4
"""A passage is about a category if one in so many content words so far belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where units stand; all arrays (n_units,), in reading order."""

    type_of: Ints  # row in tables of distinct units
    window_of: Ints
    sentence_of: Ints  # ascending, never shared by windows
    content: NDArray[np.bool_]  # whether it is a content word


def _flags(rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_matrix:
    ones = np.ones(len(rows), dtype=np.uint8)
    return sparse.csr_matrix((ones, (rows, columns)), shape=shape)


def _columns(held: Sequence[Ints], n_rows: int) -> sparse.csr_matrix:
    """Matrix of 0 and 1 from the rows of each of its columns, uint8."""
    rows = np.concatenate([np.empty(0, dtype=np.int64), *held])
    columns = np.repeat(np.arange(len(held)), [len(each) for each in held])
    return _flags(rows, columns, (n_rows, len(held)))


def _incidence(held: Sequence[Iterable[str]], names: Sequence[str]) -> sparse.csr_matrix:
    """Properties of distinct units, uint8 (n_types + 1, n_names); the last row is empty."""
    columns = {name: column for column, name in enumerate(names)}
    found = [[columns[name] for name in each if name in columns] for each in held]
    rows = np.repeat(np.arange(len(held)), [len(each) for each in found])
    places = np.array([column for each in found for column in each], dtype=np.int64)
    return _flags(rows, places, (len(held) + 1, len(names)))


def _shifted(table: sparse.csr_matrix, frame: Frame, steps: int) -> sparse.csr_matrix:
    """Properties of the unit some steps before each."""
    places = np.arange(len(frame.type_of))
    other = np.maximum(places - steps, 0)
    inside = (places >= steps) & (frame.window_of[other] == frame.window_of)
    # the last row of the table is empty
    return table[np.where(inside, frame.type_of[other], table.shape[0] - 1)]


def _ones(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix.data[:] = 1
    return matrix


def _since(table: sparse.csr_matrix, frame: Frame, group: Ints) -> sparse.csr_matrix:
    """Whether an earlier unit of the same group has the property; groups ascend."""
    held, n_columns = table[frame.type_of].tocoo(), table.shape[1]
    order = np.argsort(held.row, kind="stable")
    rows, columns = held.row[order].astype(np.int64), held.col[order].astype(np.int64)
    _, first = np.unique(group[rows] * n_columns + columns, return_index=True)
    rows, columns = rows[first], columns[first]
    ends = np.searchsorted(group, group[rows], side="right")
    later = ranges(rows + 1, ends)
    return _flags(later, np.repeat(columns, ends - rows - 1), (len(frame.type_of), n_columns))


def _topic(table: sparse.csr_matrix, frame: Frame) -> sparse.csr_matrix:
    """Whether enough of the content words so far have the property; content words alone count."""
    starts = np.searchsorted(frame.window_of, frame.window_of)
    held = table[frame.type_of].tocsc()

    def so_far(flags: NDArray[np.bool_]) -> Ints:
        total: Ints = np.concatenate([[0], np.cumsum(flags)])
        counts: Ints = total[1:] - total[starts]
        return counts

    needed = np.maximum(TOPIC_WORDS * TOPIC_SHARE, so_far(frame.content))
    found = []
    flags = np.zeros(len(frame.type_of), dtype=bool)
    for column in range(table.shape[1]):
        flags[:] = False
        flags[held.indices[held.indptr[column] : held.indptr[column + 1]]] = True
        found.append(np.flatnonzero(so_far(flags & frame.content) * TOPIC_SHARE >= needed))
    return _columns(found, len(frame.type_of))


def related(relation: str, table: sparse.csr_matrix, frame: Frame) -> sparse.csr_matrix:
    """For which units a relation ("" for none) to properties holds, uint8 (n_units, n_properties).

    `table` holds properties of distinct units, (n_types + 1, n_properties), the last row empty.
    """
    steps = {"": 0, "previous": 1, "second-previous": 2}
    if relation in steps:
        return _shifted(table, frame, steps[relation])
    if relation == "lately":
        first, second, third = (_shifted(table, frame, back) for back in (1, 2, 3))
        return _ones(first + second + third)
    if relation == "sentence":
        return _since(table, frame, frame.sentence_of)
    if relation == "earlier":
        return _since(table, frame, frame.window_of)
    if relation == "topic":
        return _topic(table, frame)
    raise UsageError(f"{relation!r} is not a relation of predicates")


def _to_tokens(
    values: sparse.csr_matrix, units: Units, part: slice, windows: tuple[int, int]
) -> sparse.csr_matrix:
    """Values of the tokens of windows, from the first to before the last, by those of units."""
    first, last = units.first_token[part], units.last_token[part]
    tokens = ranges(first, last + 1) - windows[0] * WINDOW
    of = np.repeat(np.arange(len(first)), last - first + 1)
    belongs = _flags(tokens, of, ((windows[1] - windows[0]) * WINDOW, len(first)))
    return _ones((belongs @ values).tocsr())


def _of_units(units: Units, names: Sequence[Name]) -> tuple[sparse.csr_matrix, list[int]]:
    """Values of predicates about units, on tokens, and which of the names each column is."""
    held = [frozenset(properties(*each, shipped_lexicon())) for each in units.types]
    wanted: dict[str, list[int]] = {relation: [] for relation in ("", *RELATIONS)}
    for number, name in enumerate(names):
        if name.family in PROPERTY_FAMILIES:
            wanted[name.relation].append(number)
    tables = {
        relation: _incidence(held, [names[number].base for number in numbers])
        for relation, numbers in wanted.items()
        if numbers
    }
    on_units, sentences = unit_places(units, held)
    places = [number for number, name in enumerate(names) if name.base in on_units]
    flags = _columns([on_units[names[number].base] for number in places], len(units.type_of))
    content = np.array(["pos:content-word" in each for each in held], dtype=bool)
    order = [number for numbers in wanted.values() for number in numbers] + places
    chunks = [sparse.csr_matrix((0, len(order)), dtype=np.uint8)]
    for start in range(0, units.n_windows, CHUNK):
        windows = (start, min(start + CHUNK, units.n_windows))
        low, high = np.searchsorted(units.window_of, windows)
        part = slice(int(low), int(high))
        frame = Frame(
            type_of=units.type_of[part],
            window_of=units.window_of[part],
            sentence_of=sentences[part],
            content=content[units.type_of[part]],
        )
        values = [related(relation, table, frame) for relation, table in tables.items()]
        joined = sparse.hstack([*values, flags[part]], format="csr", dtype=np.uint8)
        chunks.append(_to_tokens(joined, units, part, windows))
    return sparse.vstack(chunks, format="csr"), order


def _of_tokens(units: Units, names: Sequence[Name]) -> Mapping[int, Ints]:
    """Tokens of pieces and of places on tokens, by which of the names it is."""
    pieces = piece_tokens(units, sorted({n.argument for n in names if n.family in PIECE_FAMILIES}))
    places = token_places(units)
    found = {}
    for number, name in enumerate(names):
        if name.family == "piece":
            found[number] = pieces[name.argument]
        elif name.family == "previous-piece":
            after = pieces[name.argument] + 1
            found[number] = after[after % WINDOW != 0]
        elif name.base in places:
            found[number] = places[name.base]
    return found


def evaluate_named(
    names: Sequence[str], windows: NDArray[np.integer], tokenizer: HasVocabulary
) -> sparse.csc_matrix:
    """Values of predicates by their names, each named once, on windows of ids, (n_windows, 32).

    Returns uint8 of 0 and 1, (n_windows * 32, n_names); row = window * 32 + position. Refuses names
    of no predicate with `UsageError`, other shapes and ids outside the vocabulary with
    `ValueError`.
    """
    for name in names:
        wording(name)  # refuses what is none
    parsed = [parse(name) for name in names]
    units = annotate(windows, tokenizer)
    on_units, order = _of_units(units, parsed)
    tokens = _of_tokens(units, parsed)
    on_tokens = _columns(list(tokens.values()), len(units.ids))
    both = sparse.hstack([on_units, on_tokens], format="csc", dtype=np.uint8)
    values = both[:, np.argsort([*order, *tokens])]
    values.sort_indices()
    return values
