"""Loads the facts, removes near-duplicates, and gives every subject one split for all tasks.

A subject belongs to one split whatever the task or relation, so nothing about a test subject is
ever seen in training. The split is a hash of the subject's normalised name: it depends on no seed
and on no other subject.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import zip_longest

import numpy as np

from ...benchmark.errors import IntegrityError
from ...benchmark.files import read_jsonl, sha256_file

FACTS_SHA256 = "7a2bf409b4bf2a932cfea69ed32cbb73626541ed33701d61aa5b3d2567bc7f12"
"""Hash of the facts file these suites were written from."""

SHARES = (("train", 0.50), ("validation", 0.08), ("test", 0.21), ("reserve", 0.21))
"""Share of subjects in each split; the reserve is for fresh test splits and never frozen."""
SIMILARITY = 0.75  # Jaccard index of character trigrams from which on subjects are near-duplicates
MAX_SUBJECT_CHARACTERS = 48  # longer subjects make prompts unwieldy and are left out

GENERIC = frozenset(
    {"a", "an", "one", "that", "this", "it", "is", "was"}
    | {"not", "also", "still", "very", "now", "so", "such", "well", "known", "used"}
    | {"in", "on", "at", "to", "of", "as"}
)
"""First words of an output that names nothing."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """How one relation is said: an open sentence that the object completes, and a question."""

    relation: str  # name in the facts file
    cloze: str  # open sentence with `{s}` for the subject; the object follows after a space
    key: str  # the word of `cloze` that names the relation; it is a patched position
    question: str

    def open(self, subject: str) -> str:
        """Open sentence about a subject."""
        return self.cloze.replace("{s}", subject)

    def closed(self, subject: str, answer: str) -> str:
        """Complete sentence, with a full stop."""
        return f"{self.open(subject)} {answer}."

    def ask(self, subject: str) -> str:
        """Question about a subject."""
        return self.question.replace("{s}", subject)


PHRASES = tuple(
    Phrase(*row.split("|"))
    for row in """
capital|The capital of {s} is|capital|What is the capital of {s}?
color|The color of {s} is|color|What is the color of {s}?
continent|The continent of {s} is|continent|Which continent is {s} on?
country|{s} is in the country of|country|Which country is {s} in?
country of citizenship|{s} is a citizen of|citizen|Which country is {s} a citizen of?
currency|The currency of {s} is the|currency|What is the currency of {s}?
genre|The genre of {s} is|genre|What is the genre of {s}?
headquarters location|The headquarters of {s} is in|headquarters|Where is the headquarters of {s}?
health specialty|The medical specialty for {s} is|specialty|What is the medical specialty for {s}?
historic county|The historic county of {s} is|county|What is the historic county of {s}?
indigenous to|The {s} people are indigenous to|indigenous|Where are the {s} people indigenous to?
instrument|{s} plays the|plays|Which instrument does {s} play?
language|The language of {s} is|language|What is the language of {s}?
language used|The language used in {s} is|language|Which language is used in {s}?
languages spoken|The language spoken by {s} is|language|Which language does {s} speak?
located in|{s} is located in|located|Where is {s} located?
main subject|The main subject of {s} is|subject|What is the main subject of {s}?
military rank|The military rank of {s} is|rank|What is the military rank of {s}?
native language|The native language of {s} is|language|What is the native language of {s}?
official language|The official language of {s} is|language|What is the official language of {s}?
official religion|The official religion of {s} is|religion|What is the official religion of {s}?
original country|{s} comes from the country of|country|Which country does {s} come from?
record label|The record label of {s} is|label|What is the record label of {s}?
religion|The religion of {s} is|religion|What is the religion of {s}?
residence|{s} lived in|lived|Where did {s} live?
shares border with|{s} shares a border with|border|What does {s} share a border with?
sport|{s} plays the sport of|sport|Which sport does {s} play?
team position|The position played by {s} is|position|Which position does {s} play?
voice type|The voice type of {s} is|voice|What is the voice type of {s}?
""".strip().splitlines()
)
"""All relations in use, by name: those that a small language model answers with an entity."""

BY_RELATION = {phrase.relation: phrase for phrase in PHRASES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One relation of one subject."""

    relation: str
    subject: str  # name of the subject, in its original script
    objects: tuple[str, ...]  # all accepted answers, first one preferred


def normalise(name: str) -> str:
    """Name without case, accents and punctuation, words sorted: trivial variants are equal."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(sorted(letters.split())) or name


def split_of(subject: str) -> str:
    """Split of a subject, the same in every task."""
    place = rank(f"introspect-bench/split/2:{normalise(subject)}") / 2**64
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    return SHARES[-1][0]


def near_duplicates(names: Collection[str]) -> set[str]:
    """Names to drop so that no two of those left are near-duplicates of each other.

    Similarity is the Jaccard index of character trigrams of the normalised names; of each alike
    pair the later name in sorted order goes.
    """
    from scipy import sparse

    order = sorted(names)
    keys = [f"  {normalise(name)} " for name in order]
    grams = [{key[i : i + 3] for i in range(len(key) - 2)} for key in keys]
    index = {gram: i for i, gram in enumerate(sorted(set().union(*grams)))}
    rows = np.repeat(np.arange(len(grams)), [len(g) for g in grams])
    columns = np.array([index[gram] for g in grams for gram in sorted(g)])
    ones = np.ones(len(rows), dtype=np.float32)
    table = sparse.csr_matrix((ones, (rows, columns)), shape=(len(grams), len(index)))
    shared = sparse.triu(table @ table.T, k=1).tocoo()
    sizes = np.array([len(g) for g in grams])
    union = sizes[shared.row] + sizes[shared.col] - shared.data
    alike = shared.data / union >= SIMILARITY
    dropped: set[str] = set()
    pairs = sorted(zip(shared.row[alike].tolist(), shared.col[alike].tolist(), strict=True))
    for first, second in pairs:
        if order[first] not in dropped:
            dropped.add(order[second])
    return dropped


@cache
def load_facts() -> tuple[Fact, ...]:
    """All usable facts: phrased relations, near-duplicate subjects removed, in a fixed order."""
    with resources.as_file(resources.files(__package__) / "wikidata_facts.jsonl") as path:
        if (digest := sha256_file(path)) != FACTS_SHA256:
            raise IntegrityError(f"{path.name}: sha256 {digest}, expected {FACTS_SHA256}")
        rows = [row for _, row in read_jsonl(path)]
    facts = [
        Fact(relation=row["relation"], subject=row["subject"], objects=tuple(row["objects"]))
        for row in rows
        if row["relation"] in BY_RELATION
    ]
    dropped = near_duplicates({fact.subject for fact in facts})
    kept = [fact for fact in facts if fact.subject not in dropped and fact.objects]
    return tuple(sorted(kept, key=lambda fact: (fact.relation, fact.subject)))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """A prompt and the character spans that matter in it."""

    fact: Fact  # fact asked for by the open sentence
    shown: Fact  # fact of the solved sentence; same relation, same split
    text: str  # what the target reads
    spans: dict[str, tuple[int, int]]
    """Character spans [start, end) of `shown` (its answer), `subject` and `key` (relation word)."""


def rank(*parts: str) -> int:
    """A number that depends on its parts alone, to sort in an order that no machine changes."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def facts_of(split: str, seed: int) -> dict[str, list[Fact]]:
    """Facts of one split by relation, each list in a seeded hash order."""
    found: dict[str, list[Fact]] = {}
    for fact in load_facts():
        if split_of(fact.subject) == split and len(fact.subject) <= MAX_SUBJECT_CHARACTERS:
            found.setdefault(fact.relation, []).append(fact)
    for relation, facts in found.items():
        facts.sort(key=lambda fact: rank(str(seed), relation, fact.subject))
    return found


def interleave(lists: dict[str, list[Fact]]) -> list[Fact]:
    """Facts in turn from each relation, one fact a subject."""
    taken: set[str] = set()
    order = []
    for turn in zip_longest(*(lists[name] for name in sorted(lists))):
        for fact in turn:
            if fact is not None and fact.subject not in taken:
                taken.add(fact.subject)
                order.append(fact)
    return order


def other_fact(fact: Fact, among: Sequence[Fact], salt: str) -> Fact | None:
    """Another subject's fact, chosen by hash; None if there is none."""
    rest = [other for other in among if other.subject != fact.subject]
    if not rest:
        return None
    return rest[rank(salt, fact.relation, fact.subject) % len(rest)]


def one_shot(fact: Fact, shown: Fact) -> OneShot:
    """The prompt that shows one fact and asks for another."""
    phrase = BY_RELATION[fact.relation]
    solved = phrase.closed(shown.subject, shown.objects[0])
    text = f"{solved} {phrase.open(fact.subject)}"
    start = len(solved) + 1
    before = phrase.cloze.index("{s}")
    key = phrase.cloze.index(phrase.key)
    if key > before:
        key += len(fact.subject) - len("{s}")
    answer_end = len(solved) - 1
    return OneShot(
        fact=fact,
        shown=shown,
        text=text,
        spans={
            "shown": (answer_end - len(shown.objects[0]), answer_end),
            "subject": (start + before, start + before + len(fact.subject)),
            "key": (start + key, start + key + len(phrase.key)),
        },
    )


def tokens_in(spans: Sequence[tuple[int, int]], where: tuple[int, int]) -> list[int]:
    """Indices of the tokens that share a character with a span."""
    return [
        index
        for index, (start, end) in enumerate(spans)
        if start < where[1] and end > where[0] and end > start
    ]


def names_something(text: str, ended: bool) -> bool:
    """Whether an output is usable as an entity.

    It must be complete, short, and not a phrase such as `a type of`.
    """
    words = text.split()
    if not ended or not words or len(words) > 4 or "\ufffd" in text:
        return False
    first, rest = words[0].lower(), words[1:]
    if first in GENERIC or not any(c.isalnum() for c in text):
        return False
    return not (first == "the" and (not rest or not rest[0][:1].isupper()))
