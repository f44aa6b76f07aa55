"""Null models of activation patching: what scores a verdict and what guesses a content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from ...benchmark.records import RUNS_TARGET, WORDS
from ...benchmark.team import team
from .columns import (
    Columns,
    FloatArray,
    IntArray,
    beside,
    folds,
    ngrams,
    numbered,
    place,
    reduced,
    relation,
    texts,
    with_marks,
)
from .heads import (
    Head,
    boosted,
    by_vote,
    commonest,
    from_neighbours,
    gram,
    guesses,
    logistic,
)
from .null import (
    Null,
    Rule,
    Score,
    commonest_rules,
    copied_rule,
    expected,
    fit_null,
    fitted_score,
    pairs,
)
from .vectors import VectorViews, group_ranks

SOURCE_PROBE = "source's answer by a probe on the vector"
RANKED = (
    "vector norm",
    "distance to the training mean",
    "distance to the nearest training vector",
    "vote of the nearest training vectors",
    "distance to the original activation",
)
"""Numbers that are also compared within the group (transductive)."""


class Seen:
    """What several nulls look at; lists are train, then the others."""

    def __init__(self, parts: list[Columns]) -> None:
        """Take queries with vectors, train first."""
        self.parts, self.fold = parts, folds(parts[0])
        read = ngrams(parts)
        self.words, self.words_clean = (
            with_marks(read, parts, clean=clean) for clean in (False, True)
        )
        self.vectors = VectorViews(parts)
        groups = [part.group for part in parts]  # whose members share all words
        self.by_words, self.by_words_clean = (
            gram(self.words, groups),
            gram(self.words_clean, groups),
        )
        self.by_vector = gram(self.vectors.linear, [np.arange(len(part)) for part in parts])


def changed_rules(seen: Seen) -> Iterator[Rule]:
    """Guesses of the outcome of a query whose output changes."""
    yield from _guessed(seen)
    yield from _read_off(seen)


def _guessed(seen: Seen) -> Iterator[Rule]:
    """Guesses without the vector."""
    parts, fold, train = seen.parts, seen.fold, seen.parts[0]
    used, every = train.changed, np.ones(len(train), dtype=bool)
    about = [relation(part) for part in parts]
    clean = [
        texts([f"{r}/{c}" for r, c in zip(a, p.clean, strict=True)])
        for a, p in zip(about, parts, strict=True)
    ]
    probed = partial(guesses, contents=train.outcome, used=used, fold=fold)
    answers = commonest(about, train.clean, every, fold)
    known = commonest(clean, train.outcome, used, fold)
    yield from commonest_rules(parts, train.outcome, used, fold)
    for name, access, guessed in (
        ("commonest of relation and clean answer", RUNS_TARGET, known),
        ("text regression", WORDS, probed(seen.by_words)),
        ("text regression, clean answer known", RUNS_TARGET, probed(seen.by_words_clean)),
        ("commonest clean answer of the relation", WORDS, answers),
    ):
        yield Rule(name=name, access=access, guessed=guessed)


def _read_off(seen: Seen) -> Iterator[Rule]:
    """The same, with the vector."""
    train, fold, views = seen.parts[0], seen.fold, seen.vectors
    outcome, source = train.outcome, train.source
    probed = partial(guesses, contents=outcome, used=train.changed, fold=fold)
    for name, rule, near, content in (
        ("outcome of nearest training vector", from_neighbours, views.near_changed, outcome),
        ("outcome of the same in the relation", from_neighbours, views.near_relation, outcome),
        ("vote of the nearest training vectors", by_vote, views.near_changed, outcome),
        ("source's answer of the nearest training vector", from_neighbours, views.near, source),
        ("vote of the nearest training sources", by_vote, views.near, source),
    ):
        yield Rule(name=name, vector=True, guessed=[rule(rows, content) for rows in near])
    sources = guesses(seen.by_vector, source, np.ones(len(train), dtype=bool), fold)
    yield Rule(name=SOURCE_PROBE, vector=True, guessed=sources)
    yield Rule(name="outcome by a probe on the vector", vector=True, guessed=probed(seen.by_vector))
    for known, words, access in (
        ("words", seen.by_words, WORDS),
        ("words and clean answer", seen.by_words_clean, RUNS_TARGET),
    ):
        name = f"outcome by a probe on vector, {known}"
        both = [a + b for a, b in zip(seen.by_vector, words, strict=True)]
        yield Rule(name=name, vector=True, access=access, guessed=probed(both))


def unchanged_rules(seen: Seen) -> Iterator[Rule]:
    """Guesses of the clean answer from the words."""
    parts, fold = seen.parts, seen.fold
    train = parts[0]
    every = np.ones(len(train), dtype=bool)
    first = np.zeros(len(train), dtype=bool)  # a text's queries share the answer
    first[np.unique(train.text.astype(str), return_index=True)[1]] = True
    yield from commonest_rules(parts, train.clean, every, fold)
    regressed = guesses(seen.by_words, train.clean, first, fold)
    yield Rule(name="text regression", guessed=regressed)
    yield copied_rule("text", parts, "text", train.clean, regressed)
    yield Rule(
        name="nearest text of the relation",
        guessed=[from_neighbours(rows, train.clean) for rows in nearest_texts(seen)],
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


def fit_patching(train: Columns, others: Mapping[str, Columns]) -> list[Null]:
    """Fit every null on train and measure it on the other splits."""
    parts = {"train": train, **others}
    seen = Seen([*parts.values()])
    changed, unchanged = [*changed_rules(seen)], [*unchanged_rules(seen)]
    known = next(rule for rule in changed if rule.name == SOURCE_PROBE)
    said = pairs(seen.parts, changed, unchanged)

    def fitted(access: str) -> list[Null]:
        return [fit_null(score, parts, said) for score in verdict_scores(seen, known, access)]

    by_class = team().deal((WORDS, RUNS_TARGET), fitted)
    return [*(null for _, found in by_class for null in found), *_fixed(parts)]


def verdict_scores(seen: Seen, known: Rule, access: str) -> Iterator[Score]:
    """Scores of a change, of one class."""
    yield from _scores_without_vectors(seen, access)
    yield from _distances(seen, access)
    yield from _probes(seen, access, known)


def _scores_without_vectors(seen: Seen, access: str) -> Iterator[Score]:
    flat = [np.zeros(len(part)) for part in seen.parts]
    words = seen.words if access == WORDS else seen.words_clean
    yield Score(name="coin", access=access, values=flat, vector=False)
    yield _fitted("text regression", access, logistic, words, seen, vector=False)
    yield Score(name="coin, content from the vector", access=access, values=flat, vector=True)
    yield _fitted("text regression, content from the vector", access, logistic, words, seen)


def _distances(seen: Seen, access: str) -> Iterator[Score]:
    for name, values in seen.vectors.numbers(target=access == RUNS_TARGET).items():
        if access == RUNS_TARGET and name == "vector norm":
            continue
        yield Score(name=name, access=access, values=values, vector=True)
        if name in RANKED:
            ranks = [group_ranks(p, v) for p, v in zip(seen.parts, values, strict=True)]
            yield Score(name=f"{name}, rank in the group", access=access, values=ranks, vector=True)


def _probes(seen: Seen, access: str, known: Rule) -> Iterator[Score]:
    views, target = seen.vectors, access == RUNS_TARGET
    yield _fitted("linear probe", access, logistic, views.linear, seen)
    words = seen.words_clean if target else seen.words
    both = [_beside(a, b) for a, b in zip(views.linear, words, strict=True)]
    yield _fitted("linear probe on vector and words", access, logistic, both, seen)
    where = [numbered(*map(name, seen.parts)) for name in (place, relation)]
    more = [
        _against_clean(part, rows) if target else np.zeros((len(part), 0))
        for part, rows in zip(seen.parts, known.guessed, strict=True)
    ]
    own = beside(views.dense(target=target), *where, reduced(words, 16), more)
    yield _fitted("boosted trees", access, boosted, own, seen)
    group = beside(own, views.dense_group(target=target))
    score = _fitted("boosted trees, group in view", access, boosted, group, seen)
    yield score
    ranks = [group_ranks(p, v) for p, v in zip(seen.parts, score.values, strict=True)]
    yield Score(name=f"{score.name}, rank", access=access, values=ranks, vector=True)


def _against_clean(part: Columns, guessed: Any) -> FloatArray:
    """At which place the clean answer is among guesses of the source's, one behind if nowhere."""
    hit = guessed == part.clean[:, None]
    found = np.where(hit.any(1), hit.argmax(1), guessed.shape[1])
    return np.asarray(found[:, None], dtype=np.float64)


def _fitted(
    name: str, access: str, head: Head, rows: Sequence[Any], seen: Seen, *, vector: bool = True
) -> Score:
    changed = seen.parts[0].changed
    return fitted_score(name, access, head, rows, changed, seen.fold, vector=vector)


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
