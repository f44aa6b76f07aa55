"""Null models of activation patching: what scores a verdict, and what guesses a content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from introspect_bench.tasks.nulls import contents
from introspect_bench.tasks.nulls.columns import Columns, FloatArray, IntArray, folds, texts
from introspect_bench.tasks.nulls.features import (
    ngrams,
    numbered,
    place,
    reduced,
    relation,
    with_marks,
)
from introspect_bench.tasks.nulls.heads import Grams, boosted, gram, guesses, logistic, scores
from introspect_bench.tasks.nulls.null import RUNS_TARGET, WORDS, Null, Rule, Score, fit_null, pairs
from introspect_bench.tasks.nulls.vectors import VectorViews, group_ranks
from introspect_bench.tasks.nulls.verdicts import expected

FOLDS = 5
"""Folds of train on which rules are chosen."""
SEED = 0
"""Of random projections."""
RANKED = (
    "vector norm",
    "distance to the training mean",
    "distance to the nearest training vector",
    "vote of the nearest training vectors",
    "distance to the original activation",
)
"""Numbers that are also compared within the group (transductive)."""


def fit_patching(train: Columns, others: Mapping[str, Columns]) -> list[Null]:
    """Fit every null on train and measure it on the other splits.

    Args:
        train: training queries, with vectors.
        others: queries of other splits by name, with vectors.
    """
    parts = {"train": train, **others}
    seen = _Seen.of([*parts.values()])
    changed, unchanged = [*changed_rules(seen)], [*unchanged_rules(seen)]
    known = next(rule for rule in changed if rule.name == SOURCE_PROBE)
    said = pairs(seen.parts, changed, unchanged)
    found = [fit_null(score, parts, said) for score in verdict_scores(seen, known)]
    return [*found, *_fixed(parts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
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
    def of(cls, parts: list[Columns]) -> _Seen:
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


SOURCE_PROBE = "source's answer by a probe on the vector"


def changed_rules(seen: _Seen) -> Iterator[Rule]:
    """Guesses of the outcome of a query whose output changes."""
    yield from _guessed(seen)
    yield from _read_off(seen)


def _guessed(seen: _Seen) -> Iterator[Rule]:
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


def _read_off(seen: _Seen) -> Iterator[Rule]:
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


def unchanged_rules(seen: _Seen) -> Iterator[Rule]:
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


def nearest_texts(seen: _Seen) -> list[IntArray]:
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


def verdict_scores(seen: _Seen, known: Rule) -> Iterator[Score]:
    """Scores of a change, class by class."""
    for access in (WORDS, RUNS_TARGET):
        yield from _scores_without_vectors(seen, access)
        yield from _distances(seen, access)
        yield from _probes(seen, access, known)


def _scores_without_vectors(seen: _Seen, access: str) -> Iterator[Score]:
    flat = [np.zeros(len(part)) for part in seen.parts]
    words = seen.words if access == WORDS else seen.words_clean
    yield Score(name="coin", access=access, values=flat, vector=False)
    yield _fitted("text regression", access, logistic, words, seen, vector=False)
    yield Score(name="coin, content from the vector", access=access, values=flat, vector=True)
    yield _fitted("text regression, content from the vector", access, logistic, words, seen)


def _distances(seen: _Seen, access: str) -> Iterator[Score]:
    for name, values in seen.vectors.numbers(target=access == RUNS_TARGET).items():
        if access == RUNS_TARGET and name == "vector norm":
            continue
        yield Score(name=name, access=access, values=values, vector=True)
        if name in RANKED:
            ranks = [group_ranks(p, v) for p, v in zip(seen.parts, values, strict=True)]
            yield Score(name=f"{name}, rank in the group", access=access, values=ranks, vector=True)


def _probes(seen: _Seen, access: str, known: Rule) -> Iterator[Score]:
    views, target = seen.vectors, access == RUNS_TARGET
    yield _fitted("linear probe", access, logistic, views.linear, seen)
    words = seen.words_clean if target else seen.words
    both = [_beside(a, b) for a, b in zip(views.linear, words, strict=True)]
    yield _fitted("linear probe on vector and words", access, logistic, both, seen)
    where = [
        np.stack(columns, axis=1)
        for columns in zip(
            numbered(*map(place, seen.parts)), numbered(*map(relation, seen.parts)), strict=True
        )
    ]
    latent = reduced(words, 16, SEED)
    more = [
        _against_clean(part, rows) if target else np.zeros((len(part), 0))
        for part, rows in zip(seen.parts, known.guessed, strict=True)
    ]
    own = [
        np.concatenate(rows, axis=1)
        for rows in zip(views.dense(target=target), where, latent, more, strict=True)
    ]
    yield _fitted("boosted trees", access, boosted, own, seen)
    group = [
        np.concatenate(rows, axis=1)
        for rows in zip(own, views.dense_group(target=target), strict=True)
    ]
    score = _fitted("boosted trees, group in view", access, boosted, group, seen)
    yield score
    ranks = [group_ranks(p, v) for p, v in zip(seen.parts, score.values, strict=True)]
    yield Score(name=f"{score.name}, rank", access=access, values=ranks, vector=True)


def _against_clean(part: Columns, guessed: Any) -> FloatArray:
    """At which place the clean answer is among guesses of the source's, one behind if nowhere."""
    hit = guessed == part.clean[:, None]
    return np.where(hit.any(1), hit.argmax(1), guessed.shape[1]).astype(np.float64)[:, None]


def _fitted(
    name: str, access: str, head: Any, rows: Sequence[Any], seen: _Seen, *, vector: bool = True
) -> Score:
    refit = partial(scores, head, rows, fold=seen.fold)
    return Score(
        name=name, access=access, values=refit(seen.parts[0].changed), vector=vector, refit=refit
    )


def _fixed(parts: Mapping[str, Columns]) -> Iterator[Null]:
    """The two verdicts that need no tuning."""
    for name, verdict in (("always unchanged", 0.0), ("always changed", 1.0)):
        metrics = {}
        for split, part in parts.items():
            no = np.zeros(len(part), dtype=bool)
            metrics[split] = expected(np.full(len(part), verdict), no, ~no, part.changed)
        yield Null(name=name, access=RUNS_TARGET, rule="clean answer", metrics=metrics)


def _beside(dense: FloatArray, words: Any) -> Any:
    return sparse.hstack([sparse.csr_matrix(dense), words], format="csr")
