"""The library of predicates: which ones there are, in order of simplicity, and which are worth it.

Families that depend on a vocabulary take their members from what is frequent in given windows;
the others from the lexicon. The order is from simple to less simple, so that of two predicates with
the same values the first is the one to keep.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ....benchmark.errors import CheckFailedError
from .lexicon import shipped_lexicon
from .names import PLACE_FAMILIES, PROPERTY_FAMILIES, parse, phrases, wordings
from .properties import properties
from .words import HasVocabulary, annotate, encode

LIMITS = {
    "": 3_000,
    "previous": 500,
    "second-previous": 150,
    "lately": 150,
    "sentence": 100,
    "earlier": 400,
}
"""How many of the most frequent members of a counted family enter, by relation."""

AFFIX_LIMITS = {"prefix": 400, "suffix": 400, "lemma": 800}
"""The same for families that are many and alike."""
_SMALL = ("kind", "clitic", "mark", "break", "mark-kind", "number", "case", "list", "pos")
_RELATED = {
    "previous": ("word", *_SMALL, "noun-file", "verb-file", "script"),
    "second-previous": ("word", *_SMALL),
    "lately": ("word", "mark", "mark-kind", "list", "noun-file", "verb-file"),
    "sentence": ("word", "mark", "list", "noun-file", "verb-file"),
    "earlier": ("word", "list", "about", "noun-file", "mark"),
}
"""Families of properties that relations are applied to."""
_COUNTED = ("word", "numeral", "lemma", "suffix", "prefix", "mark")
"""Families whose members are those that are frequent in the windows."""
_YEARS = (
    *(f"year-{century}xx" for century in range(10, 21)),
    *(f"year-{decade}x" for decade in range(170, 210)),
)
_DISTINCT = {"lemma": 2, "suffix": 4, "prefix": 4}
"""Distinct frequent words that a member of these families needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """What is frequent in some windows, most frequent first, ties in order of the alphabet."""

    members: dict[str, tuple[str, ...]]
    """Arguments by family: words, numerals, lemmas, affixes, marks."""
    pieces: tuple[str, ...]
    """Tokens that are less than a whole word or number, or more than one mark."""


def _ranked(counts: Counter[str], at_least: int) -> tuple[str, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(key for key, count in ordered if count >= at_least)


def count_frequent(
    windows: NDArray[np.integer], tokenizer: HasVocabulary, *, at_least: int
) -> Frequent:
    """What occurs at least so many times in windows of token ids, (n_windows, 32).

    An affix or lemma also needs several frequent words.
    """
    units = annotate(windows, tokenizer)
    totals = np.bincount(units.type_of, minlength=len(units.types)).tolist()
    counts: dict[str, Counter[str]] = {family: Counter() for family in _COUNTED}
    words: dict[str, set[str]] = {}
    for (kind, text), total in zip(units.types, totals, strict=True):
        names = set(properties(kind, text, shipped_lexicon()))
        for name in names:
            family, _, argument = name.partition(":")
            if family in counts:
                counts[family][argument] += total
            if family in _DISTINCT and total >= max(1, at_least // 10):
                words.setdefault(name, set()).add(text.lower())
    members = {}
    for family, counter in counts.items():
        needed = _DISTINCT.get(family, 0)
        found = _ranked(counter, at_least)
        members[family] = tuple(
            each for each in found if len(words.get(f"{family}:{each}", ())) >= needed
        )
    whole = units.first_token[units.first_token == units.last_token]
    single = np.bincount(whole, minlength=len(units.ids)) == 1
    parts = [units.pieces[index] for index in units.ids[~single].tolist()]
    pieces = Counter(encode(piece) for piece in parts if piece)
    return Frequent(members=members, pieces=_ranked(pieces, at_least))


def _arguments(family: str, relation: str, frequent: Frequent) -> Iterator[str]:
    lexicon = shipped_lexicon()
    if family in frequent.members:
        found = frequent.members[family]
        if relation == "earlier" and family == "word":
            found = tuple(word for word in found if word not in lexicon.closed)
        yield from found[: AFFIX_LIMITS.get(family, LIMITS[relation])]
    elif family == "list":
        yield from lexicon.lists
    elif family in lexicon.categories:
        yield from lexicon.categories[family]
    else:
        fixed = (name.partition(":") for name in wordings("property"))
        yield from (argument for other, _, argument in fixed if other == family)
    if family == "number":
        yield from _YEARS


def _names(frequent: Frequent) -> Iterator[str]:
    for family in PROPERTY_FAMILIES:
        for argument in _arguments(family, "", frequent):
            yield f"{family}:{argument}"
    for piece in frequent.pieces[: LIMITS[""]]:
        yield f"piece:{piece}"
    for level in ("token", "unit"):
        yield from sorted(
            wordings(level), key=lambda name: PLACE_FAMILIES.index(parse(name).family)
        )
    for relation, families in _RELATED.items():
        for family in families:
            for argument in _arguments(family, relation, frequent):
                yield f"{relation}-{family}:{argument}"
    for piece in frequent.pieces[: LIMITS["previous"]]:
        yield f"previous-piece:{piece}"
    for argument in shipped_lexicon().categories["about"]:
        yield f"topic-about:{argument}"


def build_library(frequent: Frequent) -> dict[str, tuple[str, ...]]:
    """Wordings of all predicates by name, simple ones first; no two share one."""
    library: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for name in _names(frequent):
        if name in library:
            raise CheckFailedError(f"two predicates of the library are called {name!r}")
        library[name] = phrases(name)
        for phrase in library[name]:
            if owner.setdefault(phrase, name) != name:
                raise CheckFailedError(f"{owner[phrase]!r} and {name!r} are both {phrase!r}")
    return library


def prune(values: sparse.csc_matrix, *, at_least: int, share: float = 0.5) -> list[int]:
    """Columns to keep, ascending: neither too rare nor too common, and of equal ones the first.

    Values are uint8 (n_positions, n_predicates), simple predicates first. One is kept if it holds
    at so many positions `at_least` and at no larger `share` of them.
    """
    values.sort_indices()
    counts = np.diff(values.indptr)
    seen: set[bytes] = set()
    kept = []
    for place in np.flatnonzero((counts >= at_least) & (counts <= share * values.shape[0])):
        rows = values.indices[values.indptr[place] : values.indptr[place + 1]]
        digest = hashlib.sha256(rows.astype(np.int64).tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            kept.append(int(place))
    return kept
