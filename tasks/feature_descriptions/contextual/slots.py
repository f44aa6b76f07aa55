"""Which predicates describe features of context, and where each stands in a description.

Owns the slots: a conjunction has at most one part in each, so that it can be said as one thing with
its contexts, such as "the word 'to' right after a question word, inside a quotation". Names of
conjunctions are `all(A;B;C)`, parts in the order of their slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.tasks.feature_descriptions.predicates.names import parse

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
