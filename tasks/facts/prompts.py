"""One-shot prompts written from facts: a solved sentence of the same relation, then an open one.

A bare open sentence makes a small model go on with ` a`; after one solved sentence it answers with
an entity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .fact_phrases import BY_RELATION
from .facts import Fact, load_facts, split_of

MAX_SUBJECT_CHARACTERS = 48  # longer subjects make prompts unwieldy and are left out

GENERIC = frozenset(
    [
        "a",
        "an",
        "not",
        "also",
        "one",
        "still",
        "very",
        "now",
        "so",
        "such",
        "well",
        "known",
        "in",
        "on",
        "at",
        "to",
        "of",
        "it",
        "is",
        "was",
        "as",
        "that",
        "this",
        "used",
    ]
)
"""First words of an output that names nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """A prompt and the character spans that matter in it."""

    fact: Fact  # fact asked for by the open sentence
    shown: Fact  # fact of the solved sentence; same relation, same split
    text: str  # what the target reads
    spans: dict[str, tuple[int, int]]
    """Character spans [start, end) of `shown` (its answer), `subject` and `key` (relation word)."""


def rank(*parts: str) -> int:
    """A number that depends on its parts alone.

    It sorts things in an order that no seed and no machine changes.
    """
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
    """Facts in turn from each relation, one fact a subject.

    No relation dominates the front.
    """
    names = sorted(lists)
    taken: set[str] = set()
    order = []
    for turn in range(max((len(facts) for facts in lists.values()), default=0)):
        for name in names:
            if turn < len(lists[name]) and lists[name][turn].subject not in taken:
                taken.add(lists[name][turn].subject)
                order.append(lists[name][turn])
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


def token_spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """Character span [start, end) of each token of a text; special tokens get an empty span."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]


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
