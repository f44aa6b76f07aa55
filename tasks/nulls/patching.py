"""Null models of activation patching: what scores a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from .columns import Columns, FloatArray
from .heads import boosted, logistic, scores
from .null import RUNS_TARGET, WORDS, Null, Rule, Score, fit_null, pairs
from .patching_contents import SOURCE_PROBE, Seen, changed_rules, unchanged_rules
from .text_features import numbered, place, reduced, relation
from .thresholds import expected
from .vectors import group_ranks

SEED = 0  # of random projections
RANKED = (
    "vector norm",
    "distance to the training mean",
    "distance to the nearest training vector",
    "vote of the nearest training vectors",
    "distance to the original activation",
)
"""Numbers that are also compared within the group (transductive)."""


def fit_patching(train: Columns, others: Mapping[str, Columns]) -> list[Null]:
    """Fit every null on train and measure it on the other splits."""
    parts = {"train": train, **others}
    seen = Seen.of([*parts.values()])
    changed, unchanged = [*changed_rules(seen)], [*unchanged_rules(seen)]
    known = next(rule for rule in changed if rule.name == SOURCE_PROBE)
    said = pairs(seen.parts, changed, unchanged)
    found = [fit_null(score, parts, said) for score in verdict_scores(seen, known)]
    return [*found, *_fixed(parts)]


def verdict_scores(seen: Seen, known: Rule) -> Iterator[Score]:
    """Scores of a change, class by class."""
    for access in (WORDS, RUNS_TARGET):
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
    found = np.where(hit.any(1), hit.argmax(1), guessed.shape[1])
    return np.asarray(found[:, None], dtype=np.float64)


def _fitted(
    name: str, access: str, head: Any, rows: Sequence[Any], seen: Seen, *, vector: bool = True
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
