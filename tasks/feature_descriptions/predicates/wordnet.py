"""Reads the plain-text database of WordNet 3.0: senses of single words and their relations.

Format: wndb(5WN), senseidx(5WN) and cntlist(5WN) of WordNet 3.0. Only words of ASCII letters are
kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ....benchmark.errors import IntegrityError

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
"""Part of speech and the ending of its files."""

FILES = (
    *("adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact"),
    *("noun.attribute", "noun.body", "noun.cognition", "noun.communication", "noun.event"),
    *("noun.feeling", "noun.food", "noun.group", "noun.location", "noun.motive", "noun.object"),
    *("noun.person", "noun.phenomenon", "noun.plant", "noun.possession", "noun.process"),
    *("noun.quantity", "noun.relation", "noun.shape", "noun.state", "noun.substance", "noun.time"),
    *("verb.body", "verb.change", "verb.cognition", "verb.communication", "verb.competition"),
    *("verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion"),
    *("verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather"),
    "adj.ppl",
)
"""Lexicographer files by number. Source: lexnames(5WN)."""

_WORD = re.compile(r"[A-Za-z]+")
_SENSE_TYPES = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Synset:
    """One meaning."""

    file: str  # lexicographer file
    lemmas: tuple[str, ...]
    """All its words in original case, spaces for underscores; the first is the commonest."""
    pointers: tuple[tuple[str, str, int, int], ...]
    """(symbol, key of the other synset, number of the word here, number of the word there)."""
    satellite: bool  # whether it is an adjective grouped around another one


@dataclass(frozen=True, slots=True, kw_only=True)
class Sense:
    """One meaning of one word."""

    synset: str  # key of the synset
    number: int  # place among the senses of the lower-case word, from 1 (commonest)
    count: int  # times this sense was tagged in WordNet's concordances


@dataclass(frozen=True, slots=True, kw_only=True)
class WordNet:
    """What the database says about single words."""

    synsets: dict[str, Synset]  # all synsets by key
    senses: dict[str, dict[str, tuple[Sense, ...]]]
    """Senses by part of speech and word in original case, commonest first."""
    exceptions: dict[str, dict[str, str]]  # base form of irregular forms by part of speech


def _synset(line: str) -> Synset:
    fields = line.split(" | ", 1)[0].split()
    n_words = int(fields[3], 16)
    lemmas = tuple(
        word.split("(", 1)[0].replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2]
    )
    at = 4 + 2 * n_words
    pointers = []
    for n in range(int(fields[at])):
        symbol, offset, kind, ends = fields[at + 1 + 4 * n : at + 5 + 4 * n]
        kind = "a" if kind == "s" else kind
        pointers.append((symbol, kind + offset, int(ends[:2], 16), int(ends[2:], 16)))
    return Synset(
        file=FILES[int(fields[1])],
        lemmas=lemmas,
        pointers=tuple(pointers),
        satellite=fields[2] == "s",
    )


def _lines(path: Path) -> list[str]:
    """Lines of a database file without its licence, which is indented."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise IntegrityError(f"{path}: missing; the folder must hold WordNet 3.0") from error
    return [line for line in text.splitlines() if line and not line.startswith(" ")]


def _counts(folder: Path) -> dict[tuple[str, str, int], int]:
    """Tags by (part of speech, lower-case word, sense number)."""
    counts: dict[tuple[str, str, int], int] = defaultdict(int)
    for line in _lines(folder / "cntlist.rev"):
        key, number, count = line.split()
        word, rest = key.split("%", 1)
        counts[_SENSE_TYPES[rest[0]], word, int(number)] += int(count)
    return counts


def read_wordnet(folder: Path) -> WordNet:
    """The database in a folder such as Debian's `/usr/share/wordnet`."""
    counts = _counts(folder)
    synsets: dict[str, Synset] = {}
    senses: dict[str, dict[str, tuple[Sense, ...]]] = {}
    exceptions: dict[str, dict[str, str]] = {}
    for part, ending in PARTS.items():
        for line in _lines(folder / f"data.{ending}"):
            synsets[part + line.split()[0]] = _synset(line)
        found: dict[str, list[Sense]] = defaultdict(list)
        for line in _lines(folder / f"index.{ending}"):
            fields = line.split()
            if not _WORD.fullmatch(fields[0]):
                continue
            offsets = fields[len(fields) - int(fields[2]) :]
            for number, offset in enumerate(offsets, 1):
                key, count = part + offset, counts.get((part, fields[0], number), 0)
                for word in sorted({w for w in synsets[key].lemmas if w.lower() == fields[0]}):
                    found[word].append(Sense(synset=key, number=number, count=count))
        senses[part] = {word: tuple(found[word]) for word in sorted(found)}
        exceptions[part] = {}
        for line in _lines(folder / f"{ending}.exc"):
            form, base = line.split()[:2]
            if _WORD.fullmatch(form) and _WORD.fullmatch(base) and form != base:
                exceptions[part][form] = base
    return WordNet(synsets=synsets, senses=senses, exceptions=exceptions)
