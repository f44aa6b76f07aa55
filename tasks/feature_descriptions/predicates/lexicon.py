"""What is known about words: WordNet, empath and hand-made lists, and what a word form can be.

The lexicon's file is made by `build_lexicon`, the hand-made lists are `lists.toml`. A capital in a
word of the lexicon means something: `Turkey` is a country, `turkey` a bird.

A word form has analyses, by the lexicon and regular endings, each with a weight: tags of the base
form in WordNet's concordances plus one half, times what share of a base form's uses the ending has,
roughly. The dominant part of speech is the one of the largest summed weight; a part counts as
possible from a quarter of the total.
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
from itertools import accumulate
from pathlib import Path
from typing import Any

from ....benchmark.errors import IntegrityError

SCHEMA = "introspect-bench/lexicon/1"  # schema of the lexicon file
FAMILIES = ("noun-file", "verb-file", "about")  # categories of the file that are read
LEXICON_SHA256 = "daa83731873d1b1579d0fc35c9d64f6288af520c7ed53d42dcc057109aa55489"
"""Hash of the lexicon file that is shipped, which is a part of the judge's id."""

_COUNT = re.compile(r"([nvar])(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    """A hand-made list."""

    one: str  # noun phrase for one of its words
    many: tuple[str, str]  # two noun phrases for its words
    words: frozenset[str]  # its words in lower case
    capital: bool  # whether only words with a capital count
    closed: bool  # whether it is a closed class of grammar


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """What is known about words."""

    counts: Mapping[str, Mapping[str, int]]
    """Tags in WordNet's concordances by word and part of speech (n, v, a, r)."""
    exceptions: Mapping[str, Mapping[str, str]]  # base form of irregular forms by part of speech
    categories: Mapping[str, Sequence[str]]  # names by family, in order
    members: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Names of a word's categories by family and word."""
    lists: Mapping[str, WordList]  # hand-made lists by name
    lists_of: Mapping[str, tuple[str, ...]]  # names of a word's hand-made lists
    closed: frozenset[str]  # words of all closed classes


def read_lists(text: str) -> dict[str, WordList]:
    """Hand-made lists from the text of their file."""
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
    words: list[str] = stored["words"]
    members = {
        family: _inverse(
            {
                name: [words[place] for place in accumulate(entry["words"])]
                for name, entry in stored["sets"][family].items()
            }
        )
        for family in FAMILIES
    }
    return Lexicon(
        counts={
            word: {part: int(n) for part, n in _COUNT.findall(text)}
            for word, text in zip(words, stored["counts"], strict=True)
        },
        exceptions=stored["exceptions"],
        categories={family: tuple(stored["sets"][family]) for family in FAMILIES},
        members=members,
        lists=lists,
        lists_of=_inverse({name: sorted(entry.words) for name, entry in lists.items()}),
        closed=frozenset().union(*(entry.words for entry in lists.values() if entry.closed)),
    )


def read_lexicon(raw: bytes) -> Lexicon:
    """A lexicon from the bytes of its file, with the shipped hand-made lists."""
    stored = json.loads(gzip.decompress(raw))
    if stored.get("schema") != SCHEMA:
        raise IntegrityError(f"lexicon: schema must be {SCHEMA}, not {stored.get('schema')!r}")
    lists = Path(__file__).with_name("lists.toml").read_text("utf-8")
    return _lexicon(stored, read_lists(lists))


@cache
def shipped_lexicon() -> Lexicon:
    """The lexicon of this package; refuses a file other than the one this code was written for."""
    raw = Path(__file__).with_name("lexicon.json.gz").read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != LEXICON_SHA256:
        raise IntegrityError(f"lexicon.json.gz: sha256 must be {LEXICON_SHA256}, not {found}")
    return read_lexicon(raw)


_ENDINGS = {
    "n": "s: ses:s xes:x zes:z ches:ch shes:sh men:man ies:y",
    "v": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "a": "er: est: er:e est:e",
}
"""Regular endings and what they replace. Source: morphy(7WN) of WordNet 3.0."""

_WEIGHTS = {"base": 1.0, "s": 0.25, "ing": 0.15, "past": 0.3, "er": 0.1, "est": 0.1}
"""Rough share of a base form's uses that an inflected form has; not fitted to anything."""

POSSIBLE = 0.25  # share of the weight from which a part of speech counts as possible


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a word form can be."""

    key: str | None  # entry of the lexicon of the form itself, None if there is none
    parts: dict[str, float]
    """Share of each part of speech (n, v, a, r), empty if unknown or a closed-class word."""
    lemmas: dict[str, str]  # base form by part of speech, of the heaviest analysis
    forms: dict[str, str]
    """How that base form is inflected, by part of speech: base, s, ing, past, er, est."""

    @property
    def dominant(self) -> str | None:
        """Part of speech of the largest share, None if unknown."""
        return max(self.parts, key=lambda part: self.parts[part]) if self.parts else None

    def can_be(self, part: str) -> bool:
        """Whether the word is a given part of speech often enough."""
        return self.parts.get(part, 0.0) >= POSSIBLE


def key_of(text: str, lexicon: Lexicon) -> str | None:
    """Entry of a word form: as it is written, else in lower case, else with a capital only."""
    spellings = [text, text.lower()]
    if text.isupper() and len(text) > 1:
        spellings.append(text.capitalize())
    return next((spelling for spelling in spellings if spelling in lexicon.counts), None)


def _form(part: str, ending: str) -> str:
    """Name of the inflection that an irregular form or an ending is."""
    if part == "n":
        return "s"
    if part == "v":
        return next((tail for tail in ("ing", "s") if ending.endswith(tail)), "past")
    return "est" if ending.endswith("st") else "er"


def _bases(form: str, lexicon: Lexicon) -> list[tuple[str, str, str]]:
    """(part of speech, base form, inflection) of an inflected form in lower case."""
    found = []
    for part, irregular in lexicon.exceptions.items():
        if form in irregular:
            found.append((part, irregular[form], _form(part, form)))
    for part, endings in _ENDINGS.items():
        for ending, _, replaced in (rule.partition(":") for rule in endings.split()):
            base = form[: -len(ending)] + replaced
            if form.endswith(ending) and len(base) > 2 and not form.endswith("ss"):
                found.append((part, base, _form(part, ending)))
    return [each for each in found if each[0] in lexicon.counts.get(each[1], {})]


def analyse(text: str, lexicon: Lexicon) -> Analysis:
    """What a word form can be; closed-class words are nothing here."""
    lower = text.lower()
    if lower in lexicon.closed:
        return Analysis(key=None, parts={}, lemmas={}, forms={})
    key = key_of(text, lexicon)
    found = [(part, key, "base") for part in lexicon.counts.get(key, {})] if key else []
    if key is None or key == lower:
        found += _bases(lower, lexicon)
    weights: dict[str, float] = defaultdict(float)
    best: dict[str, tuple[float, str, str]] = {}
    for part, base, form in found:
        weight = _WEIGHTS[form] * (lexicon.counts[base][part] + 0.5)
        weights[part] += weight
        best[part] = max(best.get(part, (0.0, "", "")), (weight, form, base))
    total = sum(weights.values())
    return Analysis(
        key=key,
        parts={part: weight / total for part, weight in weights.items()},
        lemmas={part: base for part, (_, _, base) in best.items()},
        forms={part: form for part, (_, form, _) in best.items()},
    )
