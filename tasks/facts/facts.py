"""Loads the facts, removes near-duplicates, and gives every subject one split for all tasks.

A subject belongs to one split whatever the task or relation, so nothing about a test subject is
ever seen in training. The split is a hash of the subject's normalised name: it depends on no seed
and on no other subject.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from ...benchmark.errors import IntegrityError
from ...benchmark.files import read_jsonl
from .fact_phrases import BY_RELATION

FACTS_SHA256 = "7a2bf409b4bf2a932cfea69ed32cbb73626541ed33701d61aa5b3d2567bc7f12"
"""Hash of the facts file these suites were written from."""

SHARES = (("train", 0.50), ("validation", 0.08), ("test", 0.21), ("reserve", 0.21))
"""Share of subjects in each split; the reserve is for fresh test splits and never frozen."""

SIMILARITY = 0.75
"""Subjects whose character trigrams have at least this Jaccard similarity are near-duplicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One relation of one subject."""

    relation: str
    subject: str  # name of the subject, in its original script
    objects: tuple[str, ...]  # all accepted answers, first one preferred


def normalise(name: str) -> str:
    """Name without case, accents and punctuation, words sorted.

    Trivial variants of one name become equal.
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(sorted(letters.split())) or name


def split_of(subject: str) -> str:
    """Split of a subject, the same in every task."""
    digest = hashlib.sha256(f"introspect-bench/split/2:{normalise(subject)}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
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
    """All usable facts: phrased relations, near-duplicate subjects removed, in a fixed order.

    Raises IntegrityError: the facts file is not the one this version was written for.
    """
    with resources.as_file(resources.files(__package__) / "wikidata_facts.jsonl") as path:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != FACTS_SHA256:
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
