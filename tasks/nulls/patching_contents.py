"""Null models of activation patching: what guesses a content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import contents
from .columns import Columns, IntArray, folds, texts
from .heads import Grams, gram, guesses
from .null import RUNS_TARGET, WORDS, Rule
from .text_features import ngrams, relation, with_marks
from .vectors import VectorViews

FOLDS = 5  # folds of train on which rules are chosen
SOURCE_PROBE = "source's answer by a probe on the vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What several nulls look at; lists are train, then the others."""

    parts: list[Columns]
    fold: IntArray
    words: list[Any]
    words_clean: list[Any]
    vectors: VectorViews
    by_words: list[Grams]
    by_words_clean: list[Grams]
    by_vector: list[Grams]

    @classmethod
    def of(cls, parts: list[Columns]) -> Seen:
        """Return the views of splits, train first."""
        read = ngrams(parts)
        words, words_clean = (with_marks(read, parts, clean=clean) for clean in (False, True))
        views = VectorViews(parts)
        groups = [part.group for part in parts]  # whose members share all words
        return cls(
            parts=parts,
            fold=folds(parts[0], FOLDS),
            words=words,
            words_clean=words_clean,
            vectors=views,
            by_words=gram(words, groups),
            by_words_clean=gram(words_clean, groups),
            by_vector=gram(views.linear, [np.arange(len(part)) for part in parts]),
        )


def changed_rules(seen: Seen) -> Iterator[Rule]:
    """Guesses of the outcome of a query whose output changes."""
    yield from _guessed(seen)
    yield from _read_off(seen)


def _guessed(seen: Seen) -> Iterator[Rule]:
    """Guesses without the vector."""
    parts, fold = seen.parts, seen.fold
    train = parts[0]
    used, every = train.changed, np.ones(len(train), dtype=bool)
    same = [texts([""] * len(part)) for part in parts]
    about = [relation(part) for part in parts]
    clean = [
        texts([f"{r}/{c}" for r, c in zip(a, p.clean, strict=True)])
        for a, p in zip(about, parts, strict=True)
    ]
    count = partial(contents.commonest, parts, contents=train.outcome, used=used, fold=fold)
    yield Rule(name="commonest", guessed=count(same))
    yield Rule(name="commonest of the relation", guessed=count(about))
    yield Rule(
        name="commonest of relation and clean answer", guessed=count(clean), access=RUNS_TARGET
    )
    yield Rule(name="text regression", guessed=guesses(seen.by_words, train.outcome, used, fold))
    yield Rule(
        name="text regression, clean answer known",
        access=RUNS_TARGET,
        guessed=guesses(seen.by_words_clean, train.outcome, used, fold),
    )
    yield Rule(
        name="commonest clean answer of the relation",
        guessed=contents.commonest(parts, about, train.clean, every, fold),
    )


def _read_off(seen: Seen) -> Iterator[Rule]:
    """The same, with the vector."""
    parts, fold, views = seen.parts, seen.fold, seen.vectors
    train = parts[0]
    used, every = train.changed, np.ones(len(train), dtype=bool)
    near = views.near_changed
    seen_by = {"nearest training vector": near, "the same in the relation": views.near_relation}
    for name, index in seen_by.items():
        yield Rule(
            name=f"outcome of {name}",
            vector=True,
            guessed=[contents.from_neighbours(rows, train.outcome) for rows in index],
        )
    yield Rule(
        name="vote of the nearest training vectors",
        vector=True,
        guessed=[contents.by_vote(rows, train.outcome) for rows in near],
    )
    yield Rule(
        name="source's answer of the nearest training vector",
        vector=True,
        guessed=[contents.from_neighbours(rows, train.source) for rows in views.near],
    )
    yield Rule(
        name="vote of the nearest training sources",
        vector=True,
        guessed=[contents.by_vote(rows, train.source) for rows in views.near],
    )
    yield Rule(
        name=SOURCE_PROBE, vector=True, guessed=guesses(seen.by_vector, train.source, every, fold)
    )
    yield Rule(
        name="outcome by a probe on the vector",
        vector=True,
        guessed=guesses(seen.by_vector, train.outcome, used, fold),
    )
    for name, words, access in (
        ("words", seen.by_words, WORDS),
        ("words and clean answer", seen.by_words_clean, RUNS_TARGET),
    ):
        both = [a + b for a, b in zip(seen.by_vector, words, strict=True)]
        yield Rule(
            name=f"outcome by a probe on vector, {name}",
            vector=True,
            access=access,
            guessed=guesses(both, train.outcome, used, fold),
        )


def unchanged_rules(seen: Seen) -> Iterator[Rule]:
    """Guesses of the clean answer from the words."""
    parts, fold = seen.parts, seen.fold
    train = parts[0]
    every = np.ones(len(train), dtype=bool)
    first = np.zeros(len(train), dtype=bool)  # a text's queries share the answer
    first[np.unique(train.text.astype(str), return_index=True)[1]] = True
    about = [relation(part) for part in parts]
    same = [texts([""] * len(part)) for part in parts]
    count = partial(contents.commonest, parts, contents=train.clean, used=every, fold=fold)
    yield Rule(name="commonest", guessed=count(same))
    yield Rule(name="commonest of the relation", guessed=count(about))
    regressed = guesses(seen.by_words, train.clean, first, fold)
    yield Rule(name="text regression", guessed=regressed)
    copied = contents.copied(train.clean, [part.text for part in parts])
    yield Rule(
        name="copied from the text",
        guessed=[contents.joined(a, b) for a, b in zip(copied, regressed, strict=True)],
    )
    yield Rule(
        name="nearest text of the relation",
        guessed=[contents.from_neighbours(rows, train.clean) for rows in nearest_texts(seen)],
    )


def nearest_texts(seen: Seen) -> list[IntArray]:
    """Return the nearest training texts by n-grams, the nearest first, (n, 3)."""
    train = seen.words[0]
    known = seen.parts[0].text
    found = []
    for part, rows in zip(seen.parts, seen.words, strict=True):
        distinct, where = np.unique(part.text.astype(str), return_inverse=True)
        one = [int(np.flatnonzero(where == i)[0]) for i in range(len(distinct))]
        index = np.zeros((len(distinct), 3), dtype=np.int64)
        for i, row in enumerate(one):
            cosine = (rows[row] @ train.T).toarray()[0]
            cosine[known == part.text[row]] = -1.0
            index[i] = np.argsort(-cosine, kind="stable")[:3]
        found.append(index[where])
    return found
