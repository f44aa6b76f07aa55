"""Which predicates describe features of context, their values, and where each stands in one.

Owns the slots: a conjunction has at most one part in each, so that it can be said as one thing with
its contexts, such as "the word 'to' right after a question word, inside a quotation". Names of
conjunctions are `all(A;B;C)`, parts in the order of their slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ....benchmark.errors import UsageError
from ..predicates.evaluate import evaluate_named
from ..predicates.lexicon import Lexicon
from ..predicates.library import build_library, count_frequent, prune
from ..predicates.names import parse
from ..predicates.words import HasVocabulary
from ..windows import WINDOW

SLOTS = (
    *("thing", "previous", "second-previous", "lately", "sentence", "earlier", "topic"),
    *("piece", "place", "inside", "line", "repeat", "name", "genre"),
)
"""Where a part stands: what the token is, a relation to what precedes, or a kind of place."""

_THINGS = frozenset(
    (
        *("kind", "word", "clitic", "numeral", "mark", "break", "mark-kind", "number", "case"),
        *("list", "pos", "suffix", "prefix", "lemma", "script", "noun-file", "verb-file", "about"),
        "piece",
    )
)
_PLACES = {
    "piece-place": "piece",
    "place": "place",
    "inside": "inside",
    "line": "line",
    "repeat": "repeat",
    "name": "name",
    "genre": "genre",
    "language": "genre",
}
_CUT = ("place:token-", "place:tokens-")
"""Places that are an artefact of where a window was cut."""
_AHEAD = (
    *("place:line-end", "place:sentence-last-word", "inside:question", "inside:exclamation"),
    *("name:first", "name:part", "name:single", "piece-place:last", "piece-place:whole"),
    *("piece-place:first", "piece-place:middle", "piece-place:split", "piece-place:number-first"),
)
"""Places that depend on what follows, which a model cannot know."""
_RELATED = frozenset(
    (
        *("word", "kind", "clitic", "mark", "break", "mark-kind", "number", "case", "list"),
        *("pos", "noun-file", "verb-file", "script", "about"),
    )
)


def slot(name: str) -> str | None:
    """Return the slot of a predicate that is not joined, or None if it describes no feature here.

    Raises:
        UsageError: there is no such predicate.
    """
    parts = parse(name)
    if name.startswith(_CUT) or name in _AHEAD or parts.relation == "next":
        return None
    if parts.family == "previous-piece":
        return "previous"
    if parts.relation == "topic":
        return "topic" if parts.family == "about" else None
    if parts.relation:
        return parts.relation if parts.family in _RELATED else None
    if parts.family in _PLACES:
        return _PLACES[parts.family]
    return "thing" if parts.family in _THINGS else None


def join(parts: Iterable[str]) -> str:
    """Name of the conjunction of some predicates; of one, its own name.

    Raises:
        UsageError: two stand in the same slot, one in none, or there is none.
    """
    by_slot: dict[str, str] = {}
    for part in parts:
        where = slot(part)
        if where is None or where in by_slot:
            raise UsageError(f"{part!r} cannot be a part of this description")
        by_slot[where] = part
    ordered = [by_slot[where] for where in SLOTS if where in by_slot]
    if not ordered:
        raise UsageError("a description needs a predicate")
    return ordered[0] if len(ordered) == 1 else f"all({';'.join(ordered)})"


def is_conjunction(name: str) -> bool:
    """Whether a name is of several predicates."""
    return name.startswith("all(") and name.endswith(")")


def parts_of(name: str) -> Sequence[str]:
    """Parts of a conjunction by its name, in the order of their slots."""
    if is_conjunction(name):
        return name[4:-1].split(";")
    return [name]


AT_LEAST = 25
"""Tokens of the searched half on which a predicate must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Predicates that descriptions are made of."""

    names: tuple[str, ...]
    """Names, simple ones first."""
    slots: npt.NDArray[np.int64]
    """Place of each one's slot in `SLOTS`, (n_predicates,)."""
    values: sparse.csc_matrix
    """uint8 (n_windows * 32, n_predicates), 0 or 1."""


def make_parts(
    ids: npt.NDArray[np.int32],
    searched: npt.NDArray[np.bool_],
    tokenizer: HasVocabulary,
    lexicon: Lexicon,
) -> Parts:
    """Make the library for a text.

    Args:
        ids: windows, (n_windows, 32).
        searched: windows of the half that is searched, (n_windows,).
        tokenizer: the target's.
        lexicon: what is known about words.
    """
    frequent = count_frequent(ids[searched], tokenizer, lexicon, at_least=AT_LEAST)
    library = [each for each in build_library(lexicon, frequent) if slot(each.name) is not None]
    names = [each.name for each in library]
    values = evaluate_named(names, ids, tokenizer, lexicon)
    rows = np.flatnonzero(np.repeat(searched, WINDOW))
    kept = list(prune(library, sparse.csc_matrix(values.tocsr()[rows]), at_least=AT_LEAST))
    chosen = tuple(names[place] for place in kept)
    return Parts(
        names=chosen,
        slots=np.array([SLOTS.index(str(slot(name))) for name in chosen], dtype=np.int64),
        values=sparse.csc_matrix(values[:, kept]),
    )
