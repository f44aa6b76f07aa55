"""Makes the lexicon file from WordNet 3.0 and the word lists of empath 0.89.

    python -m introspect_bench.tasks.feature_descriptions.predicates.build_lexicon \
        WORDNET_DIR EMPATH_FILE -o FILE

`WORDNET_DIR` is the folder of the plain-text database (Debian's package `wordnet-base` puts it in
`/usr/share/wordnet`); `EMPATH_FILE` is `empath/data/categories.tsv` of the package `empath`.

Which words belong to a category: a word counts by its commonest sense of the part of speech, and by
every sense that has at least a quarter of that part's tags in WordNet's concordances. A category of
nouns or verbs is a synset; its members are the words that have such a sense at or below it by
hypernyms. Of categories with the same members one is kept, the one with the shortest name.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .wordnet import Sense, WordNet, read_wordnet

SCHEMA = "introspect-bench/lexicon/1"  # schema of the lexicon file

SHARE = 0.25  # share of a word's tags from which a sense that is not the commonest one counts

SMALLEST = {
    "noun-category": 12,
    "verb-category": 8,
    "adjective-kind": 5,
    "attribute": 5,
    "domain": 12,
}
"""Members that a category of each family needs at least."""

TOO_BROAD = frozenset({"entity", "physical entity", "abstraction", "thing", "object", "whole"})
"""Categories that say nothing."""


def chosen(senses: Sequence[Sense]) -> list[Sense]:
    """Of senses of a word, commonest first, those that it counts by."""
    total = sum(sense.count for sense in senses)
    more = [one for one in senses[1:] if total > 0 and one.count >= SHARE * total]
    return [*senses[:1], *more]


def _ancestors(net: WordNet, key: str, memo: dict[str, frozenset[str]]) -> frozenset[str]:
    """A synset and everything above it, through kinds and instances."""
    if key not in memo:
        memo[key] = frozenset({key})  # a cycle would otherwise never end
        above = (p[1] for p in net.synsets[key].pointers if p[0] in ("@", "@i"))
        memo[key] = memo[key].union(*(_ancestors(net, parent, memo) for parent in above))
    return memo[key]


def _shown(net: WordNet, key: str) -> str:
    """Name of a synset, with its parent's where the plain word would mean something else."""
    synset = net.synsets[key]
    lemma = synset.lemmas[0]
    parents = [p[1] for p in synset.pointers if p[0] in ("@", "@i")]
    first = next((s.number for s in net.senses[key[0]].get(lemma, ()) if s.synset == key), 1)
    if first == 1 or not parents:
        return lemma
    return f"{lemma} ({net.synsets[parents[0]].lemmas[0]})"


def _groups(net: WordNet) -> dict[str, dict[str, set[str]]]:
    """Candidate members of every category, by family and key of a synset."""
    memo: dict[str, frozenset[str]] = {}
    found: dict[str, dict[str, set[str]]] = {family: defaultdict(set) for family in SMALLEST}
    for part, words in net.senses.items():
        for word, senses in words.items():
            for sense in chosen(senses):
                synset = net.synsets[sense.synset]
                for key in [p[1] for p in synset.pointers if p[0] == ";c" and p[1][0] == "n"]:
                    found["domain"][key].add(word)
                if part == "a":
                    heads = [p[1] for p in synset.pointers if p[0] == "&" and synset.satellite]
                    for key in [sense.synset, *heads]:
                        found["adjective-kind"][key].add(word)
                        for pointer in net.synsets[key].pointers:
                            if pointer[0] == "=":
                                found["attribute"][pointer[1]].add(word)
                elif part in ("n", "v"):
                    family = "noun-category" if part == "n" else "verb-category"
                    for key in _ancestors(net, sense.synset, memo):
                        found[family][key].add(word)
    return found


def _category(shown: str, words: Iterable[str], index: Mapping[str, int]) -> dict[str, Any]:
    """One category as it is stored: places of its words, as differences."""
    places = sorted(index[word] for word in words)
    proper = 2 * sum(word[0].isupper() for word in words) > len(places)
    steps = [b - a for a, b in pairwise([0, *places])]
    return {"name": shown, "proper": proper, "words": steps}


def _categories(net: WordNet, index: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    sets: dict[str, dict[str, Any]] = {}
    for family, groups in _groups(net).items():
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
        sets[family] = dict(sorted(named.items()))
    return sets


def _files(net: WordNet, index: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Words by lexicographer file: `noun-file`, `verb-file`."""
    groups: dict[str, dict[str, set[str]]] = {"noun-file": {}, "verb-file": {}}
    for part in ("n", "v"):
        for word, senses in net.senses[part].items():
            for sense in chosen(senses):
                kind, name = net.synsets[sense.synset].file.split(".")
                if name != "Tops":
                    groups[f"{kind}-file"].setdefault(name, set()).add(word)
    return {
        family: {name: _category(name, words, index) for name, words in sorted(files.items())}
        for family, files in groups.items()
    }


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


def read_empath(path: Path) -> dict[str, tuple[str, ...]]:
    """Lists of empath by name: a name and its words on each line, parted by tabs."""
    lists = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *words = line.split("\t")
        lists[name] = tuple(sorted({word.lower() for word in words if word}))
    return lists


def build(wordnet: Path, empath: Path) -> dict[str, Any]:
    """The lexicon as it is stored."""
    net = read_wordnet(wordnet)
    lists = read_empath(empath)
    in_wordnet = {word for words in net.senses.values() for word in words}
    words = sorted(in_wordnet.union(*lists.values()))
    index = {word: place for place, word in enumerate(words)}
    counts = [
        "".join(
            f"{part}{sum(s.count for s in found[word])}"
            for part, found in net.senses.items()
            if word in found
        )
        for word in words
    ]
    about = {name: _category(name, members, index) for name, members in sorted(lists.items())}
    return {
        "schema": SCHEMA,
        "words": words,
        "counts": counts,
        "exceptions": net.exceptions,
        "derived": _derivations(net, index),
        "sets": {**_categories(net, index), **_files(net, index), "about": about},
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
