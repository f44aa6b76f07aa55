"""Conjunctions of predicates that describe features of context: their parts, values and wordings.

A conjunction has at most one part in each *slot*, so that it can be said as one thing with its
contexts, as a reader would put them: "the word 'to' right after a question word, inside a
quotation". Names of conjunctions are `all(A;B;C)`, parts in the order of their slots.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ....benchmark.errors import UsageError
from ..predicates.evaluate import evaluate_named
from ..predicates.library import build_library, count_frequent, prune
from ..predicates.names import parse, wording
from ..predicates.words import HasVocabulary
from ..windows import WINDOW

SLOTS = (
    *("thing", "previous", "second-previous", "lately", "sentence", "earlier", "topic"),
    *("piece", "place", "inside", "line", "repeat", "name", "genre"),
)
"""Where a part stands: what the token is, a relation to what precedes, or a kind of place."""
AT_LEAST = 25  # tokens of the searched half on which a predicate must hold

_PLACES = {name: name for name in ("place", "inside", "line", "repeat", "name", "genre")}
_PLACES |= {"piece-place": "piece", "language": "genre"}
Forms = tuple[str, str, str]
"""A context after a noun, after "with" or as it is, and as a verb phrase."""


def slot(name: str) -> str:
    """Slot of a single predicate."""
    parts = parse(name)
    if parts.family == "previous-piece":
        return "previous"
    return parts.relation or _PLACES.get(parts.family, "thing")


def join(parts: Iterable[str]) -> str:
    """Name of the conjunction of some predicates; of one, its own name.

    `UsageError`: two stand in the same slot, or there is none.
    """
    by_slot: dict[str, str] = {}
    for part in parts:
        where = slot(part)
        if where in by_slot:
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
    return name[4:-1].split(";") if is_conjunction(name) else [name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Predicates that descriptions are made of."""

    names: tuple[str, ...]  # simple ones first
    slots: npt.NDArray[np.int64]  # place of each one's slot in `SLOTS`, (n_predicates,)
    values: sparse.csc_matrix  # uint8 (n_windows * 32, n_predicates), 0 or 1


def make_parts(
    ids: npt.NDArray[np.int32], searched: npt.NDArray[np.bool_], tokenizer: HasVocabulary
) -> Parts:
    """Make the library for windows (n_windows, 32), of which some are searched, (n_windows,)."""
    frequent = count_frequent(ids[searched], tokenizer, at_least=AT_LEAST)
    names = list(build_library(frequent))
    values = evaluate_named(names, ids, tokenizer)
    rows = np.flatnonzero(np.repeat(searched, WINDOW))
    kept = prune(sparse.csc_matrix(values.tocsr()[rows]), at_least=AT_LEAST)
    chosen = tuple(names[place] for place in kept)
    return Parts(
        names=chosen,
        slots=np.array([SLOTS.index(slot(name)) for name in chosen], dtype=np.int64),
        values=sparse.csc_matrix(values[:, kept]),
    )


@cache
def clause_table(table: str) -> Mapping[str, Forms]:
    """Forms of contexts: templates of relations (`relation`), or places by name (`place`)."""
    text = Path(__file__).with_name("clauses.toml").read_text("utf-8")
    return {name: (a, b, c) for name, (a, b, c) in tomllib.loads(text)[table].items()}


def clause(part: str) -> Forms:
    """Forms of a context."""
    places = clause_table("place")
    if part in places:
        return places[part]
    name = parse(part)
    relation = "previous" if name.family == "previous-piece" else name.relation
    a, b, c = (form.format(inner(part)) for form in clause_table("relation")[relation])
    return a, b, c


def inner(part: str) -> str:
    """What stands in the relation of a context: one thing, or a topic."""
    name = parse(part)
    if name.relation == "topic":
        return wording(part)[0].removeprefix("text about ")
    if name.family == "previous-piece":
        return wording(f"piece:{name.argument}")[0]
    return wording(name.base)[0]


def wordings_of(name: str) -> tuple[str, str, str]:
    """Three wordings of a conjunction or a single predicate."""
    head, contexts = _split(name)
    if not contexts:
        one, many, also = wording(parts_of(name)[0])
        other = many if many != one else f"every {one.removeprefix('the ')}"
        return one, other, f"fires on {also}"
    first = f"{head or 'whatever stands'} {_listed([form[0] for form in contexts])}"
    second = f"{head or 'anything'} {_listed([form[1] for form in contexts])}"
    subject = f"{head} when it" if head else "whatever"
    third = f"activates on {subject} {' and '.join(form[2] for form in contexts)}"
    return first, second, third


def denied(name: str) -> str:
    """The same thing outside its contexts; of a thing alone, everything else."""
    head, contexts = _split(name)
    if not contexts:
        return f"anything except {head}"
    return f"{head or 'anything'}, but not {_listed([form[0] for form in contexts])}"


def _split(name: str) -> tuple[str | None, Sequence[Forms]]:
    """What the token is, None if that is open, and its contexts."""
    parts = parts_of(name)
    heads = [part for part in parts if slot(part) == "thing"]
    contexts = [clause(part) for part in parts if part not in heads]
    return (wording(heads[0])[0] if heads else None), contexts


def _listed(phrases: Sequence[str]) -> str:
    """Contexts one after the other, parted so that the last noun does not swallow the next."""
    return ", ".join(phrases[:-1]) + (" and " if len(phrases) > 1 else "") + phrases[-1]
