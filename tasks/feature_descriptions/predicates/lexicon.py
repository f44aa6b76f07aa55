"""Loads the lexicon: what is known about words, from WordNet, empath and hand-made lists.

The file is made by `build_lexicon`, the hand-made lists are `lists.toml`. A capital in a word of
the lexicon means something: ``Turkey`` is a country, ``turkey`` a bird. Owns no predicate.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import Any

from ....benchmark.errors import IntegrityError
from .build_lexicon import SCHEMA

LEXICON_SHA256 = "daa83731873d1b1579d0fc35c9d64f6288af520c7ed53d42dcc057109aa55489"
"""Hash of the lexicon file that is shipped."""

_COUNT = re.compile(r"([nvar])(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A named set of words."""

    name: str
    """Name as phrases show it."""
    proper: bool
    """Whether most of its words are proper names."""
    n_words: int
    """Number of words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    """A hand-made list."""

    one: str
    """Noun phrase for one of its words."""
    many: tuple[str, str]
    """Two noun phrases for its words."""
    words: frozenset[str]
    """Its words in lower case."""
    capital: bool
    """Whether only words with a capital count."""
    closed: bool
    """Whether it is a closed class of grammar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """What is known about words."""

    counts: Mapping[str, Mapping[str, int]]
    """Tags in WordNet's concordances by word and part of speech (n, v, a, r)."""
    exceptions: Mapping[str, Mapping[str, str]]
    """Base form of irregular forms by part of speech."""
    derived: Mapping[str, tuple[str, ...]]
    """Words that WordNet links as derived from or to a word, in order."""
    categories: Mapping[str, Mapping[str, Category]]
    """Categories by family and name."""
    members: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Names of a word's categories by family and word."""
    lists: Mapping[str, WordList]
    """Hand-made lists by name."""
    lists_of: Mapping[str, tuple[str, ...]]
    """Names of a word's hand-made lists."""
    closed: frozenset[str]
    """Words of all closed classes."""


def read_lists(text: str) -> dict[str, WordList]:
    """Hand-made lists from their file.

    Raises:
        IntegrityError: if an entry lacks a field or has an unknown one.
    """
    lists = {}
    for name, entry in tomllib.loads(text).items():
        unknown = set(entry) - {"one", "many", "words", "case", "class"}
        if unknown or not {"one", "many", "words"} <= set(entry) or len(entry["many"]) != 2:
            raise IntegrityError(f"word list {name!r}: needs one, many (two of them) and words")
        lists[name] = WordList(
            one=entry["one"],
            many=(entry["many"][0], entry["many"][1]),
            words=frozenset(entry["words"].split()),
            capital=entry.get("case", False),
            closed=entry.get("class", False),
        )
    return lists


def _inverse(sets: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Names of the sets that every word is in, in the order of the sets."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, words in sets.items():
        for word in words:
            found[word].append(name)
    return {word: tuple(names) for word, names in found.items()}


def _lexicon(stored: Mapping[str, Any], lists: Mapping[str, WordList]) -> Lexicon:
    """The lexicon of a stored file."""
    words: list[str] = stored["words"]
    derived: dict[str, list[str]] = defaultdict(list)
    for a, b in stored["derived"]:
        derived[words[a]].append(words[b])
        derived[words[b]].append(words[a])
    categories: dict[str, dict[str, Category]] = {}
    members = {}
    for family, sets in stored["sets"].items():
        held = {n: [words[at] for at in accumulate(entry["words"])] for n, entry in sets.items()}
        members[family] = _inverse(held)
        categories[family] = {
            n: Category(name=entry["name"], proper=entry["proper"], n_words=len(held[n]))
            for n, entry in sets.items()
        }
    return Lexicon(
        counts={
            word: {part: int(n) for part, n in _COUNT.findall(text)}
            for word, text in zip(words, stored["counts"], strict=True)
        },
        exceptions=stored["exceptions"],
        derived={word: tuple(sorted(others)) for word, others in derived.items()},
        categories=categories,
        members=members,
        lists=lists,
        lists_of=_inverse({name: sorted(entry.words) for name, entry in lists.items()}),
        closed=frozenset().union(*(entry.words for entry in lists.values() if entry.closed)),
    )


def read_lexicon(raw: bytes, lists: str) -> Lexicon:
    """A lexicon from the bytes of its file and the text of the hand-made lists.

    Raises:
        IntegrityError: if the file is of another schema.
    """
    stored = json.loads(gzip.decompress(raw))
    if stored.get("schema") != SCHEMA:
        raise IntegrityError(f"lexicon: schema must be {SCHEMA}, not {stored.get('schema')!r}")
    return _lexicon(stored, read_lists(lists))


def load_lexicon(path: Path) -> Lexicon:
    """A lexicon from a file made by `build_lexicon`, with the shipped hand-made lists.

    Raises:
        IntegrityError: if the file is of another schema.
    """
    return read_lexicon(path.read_bytes(), _shipped("lists.toml").decode())


def _shipped(name: str) -> bytes:
    """Bytes of a file beside this module."""
    package = "introspect_bench.tasks.feature_descriptions.predicates"
    return resources.files(package).joinpath(name).read_bytes()


@cache
def shipped_lexicon() -> Lexicon:
    """The lexicon of this package.

    Raises:
        IntegrityError: if its file is not the one this code was written for.
    """
    raw = _shipped("lexicon.json.gz")
    found = hashlib.sha256(raw).hexdigest()
    if found != LEXICON_SHA256:
        raise IntegrityError(f"lexicon.json.gz: sha256 must be {LEXICON_SHA256}, not {found}")
    return read_lexicon(raw, _shipped("lists.toml").decode())
