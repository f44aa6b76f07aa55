"""Computes the values of predicates on windows, from names, token ids and the lexicon alone.

A predicate is 0 or 1 at every position of every window. One about a word (or number, mark, line
break) holds at all tokens of that word, the first one included, and a token of several units has
the values of all of them; a token of spaces has only those of tokens (``piece``, ``piece-place``
and positions). A relation is between units, in the window alone; see `names.RELATIONS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .context import unit_places
from .lexicon import Lexicon, shipped_lexicon
from .names import PLACE_FAMILIES, RELATIONS, Name, parse, split
from .phrases import wording
from .pieces import piece_tokens, token_places
from .predicate import Predicate, joined_values
from .properties import properties
from .relations import Frame, related, units_to_tokens
from .wordings import wordings
from .words import LENGTH, HasVocabulary, Units, annotate

CHUNK = 2_000
"""Windows computed at a time; bounds memory, changes no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Columns of a relation: properties, and where their values go."""

    bases: dict[str, int]
    """Column by name of the property."""
    places: list[int]
    """Place of each column in the result."""


def _by_relation(names: Sequence[Name]) -> dict[str, _Wanted]:
    """Columns of properties by relation ("" for none)."""
    found = {relation: _Wanted(bases={}, places=[]) for relation in ("", *RELATIONS)}
    for place, name in enumerate(names):
        if name.family not in (*PLACE_FAMILIES, "piece", "previous-piece"):
            wanted = found[name.relation]
            wanted.bases[name.base] = len(wanted.places)
            wanted.places.append(place)
    return found


def _incidence(held: Sequence[Iterable[str]], columns: dict[str, int]) -> sparse.csr_matrix:
    """Properties of distinct units, uint8 (n_types + 1, n_columns); the last row is empty."""
    rows, places = [], []
    for row, names in enumerate(held):
        found = [columns[name] for name in names if name in columns]
        rows += [row] * len(found)
        places += found
    values = np.ones(len(rows), dtype=np.uint8)
    return sparse.csr_matrix((values, (rows, places)), shape=(len(held) + 1, len(columns)))


def _direct(units: Units, names: Sequence[Name]) -> dict[int, NDArray[np.int64]]:
    """Tokens of pieces and of places on tokens, by place in the result."""
    arguments = {n.argument for n in names if n.family in ("piece", "previous-piece")}
    pieces = piece_tokens(units, sorted(arguments))
    places = token_places(units)
    found = {}
    for place, name in enumerate(names):
        if name.family == "piece":
            found[place] = pieces[name.argument]
        elif name.family == "previous-piece":
            after = pieces[name.argument] + 1
            found[place] = after[after % LENGTH != 0]
        elif name.base in places:
            found[place] = places[name.base]
    return found


def _columns(held: dict[int, NDArray[np.int64]], shape: tuple[int, int]) -> sparse.csr_matrix:
    """Matrix of 0 and 1 from the rows of some of its columns, uint8."""
    rows = np.concatenate([np.empty(0, dtype=np.int64), *held.values()])
    places = np.repeat(np.array(list(held), dtype=np.int64), [len(each) for each in held.values()])
    values = np.ones(len(rows), dtype=np.uint8)
    return sparse.csr_matrix((values, (rows, places)), shape=shape)


def _chunks(
    units: Units, names: Sequence[Name], lexicon: Lexicon
) -> Iterable[tuple[sparse.csr_matrix, list[int]]]:
    """Values of the predicates on units, by chunks of windows, and the place of each column."""
    held = [frozenset(properties(*each, lexicon)) for each in units.types]
    wanted = {relation: each for relation, each in _by_relation(names).items() if each.places}
    tables = {relation: _incidence(held, each.bases) for relation, each in wanted.items()}
    on_units, sentences = unit_places(units, held)
    places = [p for p, n in enumerate(names) if n.base in wordings("unit") and not n.relation]
    flags = _columns(
        {column: on_units[names[place].base] for column, place in enumerate(places)},
        (len(units.type_of), len(places)),
    )
    content = np.array(["pos:content-word" in each for each in held], dtype=bool)
    order = [place for each in wanted.values() for place in each.places] + places
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
        yield units_to_tokens(joined, units, part, windows), order


def _leaves(names: Sequence[str]) -> dict[str, int]:
    """Place of every name that is not joined, parts of joined ones included."""
    leaves: dict[str, int] = {}
    for name in names:
        joined = split(name)
        for leaf in joined[1:] if joined else (name,):
            leaves.setdefault(leaf, len(leaves))
    return leaves


def evaluate_named(
    names: Sequence[str],
    windows: NDArray[np.integer],
    tokenizer: HasVocabulary,
    lexicon: Lexicon | None = None,
) -> sparse.csc_matrix:
    """Values of predicates by name.

    Args:
        names: names, joined ones included, without duplicates.
        windows: token ids, (n_windows, 32).
        tokenizer: the tokenizer that made them.
        lexicon: what is known about words, the shipped one if not given.

    Returns:
        uint8 matrix of 0 and 1, (n_windows * 32, n_names); row = window * 32 + position.

    Raises:
        UsageError: if a name is not that of a predicate.
        ValueError: if the windows have another shape or ids outside the vocabulary.
    """
    lexicon = lexicon or shipped_lexicon()
    leaves = _leaves(names)
    for leaf in leaves:
        wording(leaf, lexicon)
    parsed = [parse(leaf) for leaf in leaves]
    units = annotate(windows, tokenizer)
    shape = (len(units.ids), len(parsed))
    parts = list(_chunks(units, parsed, lexicon))
    values = _columns(_direct(units, parsed), shape).tocsc()
    if parts:
        places = np.full(len(parsed), -1)
        places[parts[0][1]] = np.arange(len(parts[0][1]))
        on_units = sparse.vstack([part for part, _ in parts], format="csr").tocsc()
        blank = sparse.csc_matrix((shape[0], 1), dtype=np.uint8)
        both = sparse.hstack([on_units, blank], format="csc")[:, places]
        values = (both + values).tocsc()
    values.sort_indices()
    if len(leaves) == len(names) and all(name in leaves for name in names):
        return values
    columns = []
    for name in names:
        joined = split(name)
        if joined is None:
            columns.append(values[:, [leaves[name]]])
        else:
            kind, a, b = joined
            columns.append(joined_values(kind, values[:, [leaves[a]]], values[:, [leaves[b]]]))
    return sparse.hstack(columns, format="csc", dtype=np.uint8)


def evaluate(
    library: Sequence[Predicate],
    windows: NDArray[np.integer],
    tokenizer: HasVocabulary,
    lexicon: Lexicon | None = None,
) -> sparse.csc_matrix:
    """Values of the predicates of a library; see `evaluate_named`, columns in library order."""
    names = [predicate.name for predicate in library]
    return evaluate_named(names, windows, tokenizer, lexicon)
