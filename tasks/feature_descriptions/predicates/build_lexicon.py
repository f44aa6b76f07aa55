"""Makes the lexicon file from WordNet 3.0 and the word lists of empath 0.89.

    python -m introspect_bench.tasks.feature_descriptions.predicates.build_lexicon \
        WORDNET_DIR EMPATH_FILE -o FILE

`WORDNET_DIR` is the folder of the plain-text database (Debian's package `wordnet-base` puts it in
`/usr/share/wordnet`); `EMPATH_FILE` is `empath/data/categories.tsv` of the package `empath`. Format
of the database: wndb(5WN), senseidx(5WN) and cntlist(5WN). Only words of ASCII letters are kept.

Which words belong to a category: a word counts by its commonest sense of the part of speech, and by
every sense that has at least a quarter of that part's tags in WordNet's concordances. A category of
nouns or verbs is a synset; its members are the words that have such a sense at or below it by
hypernyms. Of categories with the same members one is kept, the one with the shortest name.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ....benchmark.errors import IntegrityError
from .lexicon import SCHEMA

SHARE = 0.25  # share of a word's tags from which a sense that is not the commonest one counts
SMALLEST = {
    "noun-category": 12,
    "verb-category": 8,
    "adjective-kind": 5,
    "attribute": 5,
    "domain": 12,
}
"""Members that a category of each family needs at least."""
BY_FILE = ("noun-file", "verb-file")  # families of the words of a lexicographer file
TOO_BROAD = frozenset({"entity", "physical entity", "abstraction", "thing", "object", "whole"})
"""Categories that say nothing."""
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


class Pointer(NamedTuple):
    """A relation of a synset to another one."""

    symbol: str
    other: str  # key of the other synset
    here: int  # number of the word here, 0 if it is of all
    there: int  # number of the word there


@dataclass(frozen=True, slots=True, kw_only=True)
class Synset:
    """One meaning."""

    file: str  # lexicographer file
    lemmas: tuple[str, ...]
    """All its words in original case, spaces for underscores; the first is the commonest."""
    pointers: tuple[Pointer, ...]
    satellite: bool  # whether it is an adjective grouped around another one

    def linked(self, *symbols: str) -> list[str]:
        """Keys of the synsets that it points to in some way."""
        return [pointer.other for pointer in self.pointers if pointer.symbol in symbols]


class Sense(NamedTuple):
    """One meaning of one word."""

    synset: str  # key of the synset
    number: int  # place among the senses of the lower-case word, from 1 (commonest)
    tags: int  # times this sense was tagged in WordNet's concordances


@dataclass(frozen=True, slots=True, kw_only=True)
class WordNet:
    """What the database says about single words."""

    synsets: dict[str, Synset]  # all synsets by key
    senses: dict[str, dict[str, list[Sense]]]
    """Senses by part of speech and word in original case, commonest first."""
    exceptions: dict[str, dict[str, str]]  # base form of irregular forms by part of speech


def _synset(line: str) -> Synset:
    fields = line.split(" | ", 1)[0].split()
    at = 4 + 2 * int(fields[3], 16)
    pointers = []
    for start in range(at + 1, at + 1 + 4 * int(fields[at]), 4):
        symbol, offset, kind, ends = fields[start : start + 4]
        other = kind.replace("s", "a") + offset
        pointers.append(Pointer(symbol, other, int(ends[:2], 16), int(ends[2:], 16)))
    return Synset(
        file=FILES[int(fields[1])],
        lemmas=tuple(word.split("(", 1)[0].replace("_", " ") for word in fields[4:at:2]),
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


def read_wordnet(folder: Path) -> WordNet:
    """The database in a folder such as Debian's `/usr/share/wordnet`."""
    counts: dict[tuple[str, str, int], int] = defaultdict(int)  # by part, word and sense number
    for line in _lines(folder / "cntlist.rev"):
        key, number, count = line.split()
        word, rest = key.split("%", 1)
        counts[_SENSE_TYPES[rest[0]], word, int(number)] += int(count)
    net = WordNet(synsets={}, senses={}, exceptions={})
    for part, ending in PARTS.items():
        for line in _lines(folder / f"data.{ending}"):
            net.synsets[part + line.split()[0]] = _synset(line)
        found: dict[str, list[Sense]] = defaultdict(list)
        for line in _lines(folder / f"index.{ending}"):
            fields = line.split()
            if not _WORD.fullmatch(fields[0]):
                continue
            for place, offset in enumerate(fields[len(fields) - int(fields[2]) :], 1):
                key = part + offset
                sense = Sense(key, place, counts.get((part, fields[0], place), 0))
                for word in {w for w in net.synsets[key].lemmas if w.lower() == fields[0]}:
                    found[word].append(sense)
        net.senses[part] = dict(sorted(found.items()))
        pairs = (line.split()[:2] for line in _lines(folder / f"{ending}.exc"))
        net.exceptions[part] = {
            form: base
            for form, base in pairs
            if _WORD.fullmatch(form) and _WORD.fullmatch(base) and form != base
        }
    return net


def chosen(senses: Sequence[Sense]) -> list[Sense]:
    """Of senses of a word, commonest first, those that it counts by."""
    total = sum(sense.tags for sense in senses)
    more = [one for one in senses[1:] if total > 0 and one.tags >= SHARE * total]
    return [*senses[:1], *more]


def _ancestors(net: WordNet, key: str, memo: dict[str, frozenset[str]]) -> frozenset[str]:
    """A synset and everything above it, through kinds and instances."""
    if key not in memo:
        memo[key] = frozenset({key})  # a cycle would otherwise never end
        above = net.synsets[key].linked("@", "@i")
        memo[key] = memo[key].union(*(_ancestors(net, parent, memo) for parent in above))
    return memo[key]


def _shown(net: WordNet, key: str) -> str:
    """Name of a synset, with its parent's where the plain word would mean something else."""
    synset = net.synsets[key]
    lemma, parents = synset.lemmas[0], synset.linked("@", "@i")
    first = next((s.number for s in net.senses[key[0]].get(lemma, ()) if s.synset == key), 1)
    if first == 1 or not parents:
        return lemma
    return f"{lemma} ({net.synsets[parents[0]].lemmas[0]})"


def _groups(net: WordNet) -> dict[str, dict[str, set[str]]]:
    """Candidate members of every category, by family and key of a synset, or lexicographer file."""
    memo: dict[str, frozenset[str]] = {}
    found: dict[str, dict[str, set[str]]] = {n: defaultdict(set) for n in (*SMALLEST, *BY_FILE)}
    for part, words in net.senses.items():
        for word, senses in words.items():
            for sense in chosen(senses):
                synset = net.synsets[sense.synset]
                for key in synset.linked(";c"):
                    if key[0] == "n":
                        found["domain"][key].add(word)
                if part == "a":
                    heads = synset.linked("&") if synset.satellite else []
                    for key in [sense.synset, *heads]:
                        found["adjective-kind"][key].add(word)
                        for attribute in net.synsets[key].linked("="):
                            found["attribute"][attribute].add(word)
                elif part in ("n", "v"):
                    kind, name = synset.file.split(".")
                    if name != "Tops":
                        found[f"{kind}-file"][name].add(word)
                    for key in _ancestors(net, sense.synset, memo):
                        found[f"{kind}-category"][key].add(word)
    return found


def _category(shown: str, words: Iterable[str], index: Mapping[str, int]) -> dict[str, Any]:
    """One category as it is stored: places of its words, as differences."""
    places = sorted(index[word] for word in words)
    proper = 2 * sum(word[0].isupper() for word in words) > len(places)
    steps = [b - a for a, b in pairwise([0, *places])]
    return {"name": shown, "proper": proper, "words": steps}


def _categories(net: WordNet, index: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Categories as they are stored, by family and name."""
    sets: dict[str, dict[str, Any]] = {}
    for family, groups in _groups(net).items():
        if family in BY_FILE:
            sets[family] = {name: _category(name, words, index) for name, words in groups.items()}
            continue
        kept: dict[frozenset[str], tuple[int, int, str, str]] = {}
        for key, words in groups.items():
            shown = _shown(net, key)
            if len(words) < SMALLEST[family] or shown in TOO_BROAD:
                continue
            rank = (-len(words), len(shown), shown, key)
            kept[frozenset(words)] = min(rank, kept.get(frozenset(words), rank))
        named: dict[str, dict[str, Any]] = {}
        for held, (_, _, shown, _) in sorted(kept.items(), key=lambda item: item[1]):
            # two synsets of one name could not be told apart, so the larger one has it
            named.setdefault(shown, _category(shown, held, index))
        sets[family] = named
    return sets


def _derivations(net: WordNet, index: Mapping[str, int]) -> list[list[int]]:
    """Pairs of words that WordNet links as derived, beginning with the same four letters."""
    pairs: set[tuple[int, int]] = set()
    for synset in net.synsets.values():
        for symbol, other, here, there in synset.pointers:
            if symbol not in ("+", "\\") or not here or not there:
                continue
            a, b = synset.lemmas[here - 1], net.synsets[other].lemmas[there - 1]
            if a in index and b in index and a[:4] == b[:4] and len(a) > 3 and a != b:
                pairs.add((min(index[a], index[b]), max(index[a], index[b])))
    return [list(pair) for pair in sorted(pairs)]


def build(wordnet: Path, empath: Path) -> dict[str, Any]:
    """The lexicon as it is stored; lines of empath are a name and its words, parted by tabs."""
    net = read_wordnet(wordnet)
    lines = [line.split("\t") for line in empath.read_text(encoding="utf-8").splitlines()]
    lists = {name: {word.lower() for word in words if word} for name, *words in lines}
    in_wordnet = {word for words in net.senses.values() for word in words}
    words = sorted(in_wordnet.union(*lists.values()))
    index = {word: place for place, word in enumerate(words)}
    counts = [
        "".join(
            f"{part}{sum(s.tags for s in found[word])}"
            for part, found in net.senses.items()
            if word in found
        )
        for word in words
    ]
    about = {name: _category(name, members, index) for name, members in lists.items()}
    return {
        "schema": SCHEMA,
        "words": words,
        "counts": counts,
        "exceptions": net.exceptions,
        "derived": _derivations(net, index),
        "sets": {**_categories(net, index), "about": about},
    }


def pack(lexicon: Mapping[str, Any]) -> bytes:
    """Bytes of a lexicon file: compressed canonical JSON, without a time stamp."""
    text = json.dumps(lexicon, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Makes the lexicon of the predicate library.")
    parser.add_argument("wordnet", type=Path, help="folder of the WordNet 3.0 database")
    parser.add_argument("empath", type=Path, help="categories.tsv of empath 0.89")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to be written")
    arguments = parser.parse_args()
    arguments.out.write_bytes(pack(build(arguments.wordnet, arguments.empath)))


if __name__ == "__main__":
    main()
