"""Says conjunctions in English: a thing, then its contexts.

Owns the three wordings of a description, and the same with its contexts denied. No part is said as
"anything that is both": what the token is comes first, as one noun phrase, and the contexts follow
it as a reader would put them: "the word 'to' right after a question word".
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from ..predicates.lexicon import Lexicon
from ..predicates.names import parse
from ..predicates.phrases import wording
from .slots import parts_of, slot

_PACKAGE = "introspect_bench.tasks.feature_descriptions.judge"
Forms = tuple[str, str, str]
"""A context after a noun, after "with" or as it is, and as a verb phrase."""


@cache
def clause_table(table: str) -> Mapping[str, Forms]:
    """Forms of contexts: templates of relations (`relation`), or places by name (`place`)."""
    text = resources.files(_PACKAGE).joinpath("clauses.toml").read_text("utf-8")
    return {name: (a, b, c) for name, (a, b, c) in tomllib.loads(text)[table].items()}


def clause(part: str, lexicon: Lexicon) -> Forms:
    """Forms of a context.

    Raises:
        UsageError: there is no such predicate.
    """
    places = clause_table("place")
    if part in places:
        return places[part]
    name = parse(part)
    relation = "previous" if name.family == "previous-piece" else name.relation
    a, b, c = (form.format(inner(part, lexicon)) for form in clause_table("relation")[relation])
    return a, b, c


def inner(part: str, lexicon: Lexicon) -> str:
    """Return what stands in the relation of a context: one thing, or a topic."""
    name = parse(part)
    if name.relation == "topic":
        return wording(part, lexicon)[0].removeprefix("text about ")
    if name.family == "previous-piece":
        return wording(f"piece:{name.argument}", lexicon)[0]
    return wording(name.base, lexicon)[0]


def thing(part: str, lexicon: Lexicon) -> str:
    """One thing that the token is, such as "the word 'to'"."""
    return wording(part, lexicon)[0]


def wordings_of(name: str, lexicon: Lexicon) -> tuple[str, str, str]:
    """Three wordings of a conjunction or a single predicate."""
    head, contexts = _split(name, lexicon)
    if not contexts:
        one, many, also = wording(parts_of(name)[0], lexicon)
        return (
            one,
            many if many != one else f"every {one.removeprefix('the ')}",
            f"fires on {also}",
        )
    first = f"{head or 'whatever stands'} {_listed([form[0] for form in contexts])}"
    second = f"{head or 'anything'} {_listed([form[1] for form in contexts])}"
    subject = f"{head} when it" if head else "whatever"
    third = f"activates on {subject} {' and '.join(form[2] for form in contexts)}"
    return first, second, third


def denied(name: str, lexicon: Lexicon) -> str:
    """The same thing outside its contexts; of a thing alone, everything else."""
    head, contexts = _split(name, lexicon)
    if not contexts:
        return f"anything except {head}"
    return f"{head or 'anything'}, but not {_listed([form[0] for form in contexts])}"


def _split(name: str, lexicon: Lexicon) -> tuple[str | None, Sequence[Forms]]:
    """What the token is, None if that is open, and its contexts."""
    parts = parts_of(name)
    heads = [part for part in parts if slot(part) == "thing"]
    contexts = [clause(part, lexicon) for part in parts if part not in heads]
    return (thing(heads[0], lexicon) if heads else None), contexts


def _listed(phrases: Sequence[str]) -> str:
    """Contexts one after the other, parted so that the last noun does not swallow the next."""
    return ", ".join(phrases[:-1]) + (" and " if len(phrases) > 1 else "") + phrases[-1]
