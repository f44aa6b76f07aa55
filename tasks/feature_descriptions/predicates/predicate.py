"""The record of a predicate, and how two are joined."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import sparse

from .lexicon import Lexicon
from .names import join
from .phrases import phrases


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """A statement that is true or false of every token."""

    name: str
    """Stable name, which carries all parameters."""
    family: str
    """Family with its relation, such as ``previous-word``; ``and`` or ``or`` if joined."""
    phrases: tuple[str, ...]
    """English wordings, at least three."""


def joined_values(kind: str, a: sparse.csc_matrix, b: sparse.csc_matrix) -> sparse.csc_matrix:
    """Values of two predicates joined by ``and`` or ``or``, each uint8 (n_positions, n)."""
    values = a.multiply(b) if kind == "and" else a.maximum(b)
    return values.tocsc()


def combine(
    kind: str,
    a: Predicate,
    b: Predicate,
    values: tuple[sparse.csc_matrix, sparse.csc_matrix],
    lexicon: Lexicon,
) -> tuple[Predicate, sparse.csc_matrix]:
    """Two predicates joined by ``and`` or ``or``, and the values of the result.

    Args:
        kind: ``and`` or ``or``.
        a: a predicate that is not joined.
        b: another one.
        values: values of both, uint8 (n_positions, 1) each.
        lexicon: what is known about words.

    Raises:
        UsageError: if the two cannot be joined.
    """
    name = join(kind, a.name, b.name)
    made = Predicate(name=name, family=kind, phrases=phrases(name, lexicon))
    return made, joined_values(kind, *values)
