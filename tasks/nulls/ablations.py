"""Null models of input ablations: regressions on the words, with and without the clean answer.

Each kind is fitted apart, on the training queries of that kind; the headline is their mean. Queries
of kind `which` are scored part by part: a head learns from train which of four parts matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from ...benchmark.metrics.verdicts import BALANCED_KINDS, WHICH, WHICH_CHANCE
from ...benchmark.records import RUNS_TARGET, WORDS
from ...benchmark.team import team
from .columns import (
    BoolArray,
    Columns,
    FloatArray,
    IntArray,
    Texts,
    beside,
    folds,
    ngrams,
    numbered,
    reduced,
    relation,
    view,
    with_marks,
)
from .heads import Head, boosted, gram, guesses, logistic, ranked, scores
from .null import (
    Null,
    Rule,
    Score,
    commonest_rules,
    copied_rule,
    fit_null,
    fitted_score,
    pairs,
)

VIEWS = ("text", "removed", "rest")
"""What is read: the shown text, the removable part, the text without it."""
LABELS = ("A", "B", "C", "D")  # names of the parts; which part has which is said by the query
N = len(LABELS)
COMPONENTS = 48  # singular components of n-grams that trees see

Embed = Callable[[Sequence[str]], Any]  # texts to unit vectors, (n, width)


def fit_ablations(
    train: Columns, others: Mapping[str, Columns], embed: Embed | None = None
) -> list[Null]:
    """Fit every null on train and measure it on the other splits."""
    everything = {"train": train, **others}
    by_kind = {
        kind: fit_kind({name: _of(part, kind) for name, part in everything.items()}, embed)
        for kind in BALANCED_KINDS
        if all(len(_of(part, kind)) for part in everything.values())
    }
    if not by_kind:
        return []
    parts = {name: _of(part, WHICH) for name, part in everything.items()}
    which = fit_which(parts, embed) if len(parts["train"]) else {}
    found = []
    for name, access in next(iter(by_kind.values())):
        kinds = {kind: fitted[name, access] for kind, fitted in by_kind.items()}
        accuracy = which.get(name.partition(",")[0], which.get("constant"))
        found.append(_join(name, access, kinds, accuracy, [*parts]))
    return found


def _of(columns: Columns, kind: str) -> Columns:
    return columns.take(columns.kind == kind)


def _join(
    name: str,
    access: str,
    kinds: Mapping[str, Null],
    which: Mapping[str, float | None] | None,
    splits: Sequence[str],
) -> Null:
    """One null of nulls for each kind."""
    metrics: dict[str, dict[str, float | None]] = {}
    for split in splits:
        own: dict[str, float | None] = {}
        for kind, null in kinds.items():
            for metric in ("balanced_exact_match", "verdict_auroc"):
                own[f"{kind}_{metric}"] = null.metrics[split][metric]
        accuracy = None if which is None else which[split]
        terms = [own.get(f"{kind}_balanced_exact_match") for kind in BALANCED_KINDS]
        terms.append(None if accuracy is None else (accuracy - WHICH_CHANCE) / (1 - WHICH_CHANCE))
        known = [term for term in terms if term is not None]
        mean = sum(known) / len(known) if len(known) == len(terms) else None
        metrics[split] = {"kind_mean": mean, **own, "which_accuracy": accuracy}
    rule = "; ".join(f"{kind}: {null.rule}" for kind, null in kinds.items())
    return Null(name=name, access=access, rule=rule, metrics=metrics)


def fit_kind(parts: Mapping[str, Columns], embed: Embed | None) -> dict[tuple[str, str], Null]:
    """Fit every null of one kind with verdict and content; returns them by name and class."""
    columns = [*parts.values()]
    train, fold = columns[0], folds(columns[0])
    every = np.ones(len(train), dtype=bool)
    read = ngrams(columns, VIEWS)

    def fitted(access: str) -> dict[tuple[str, str], Null]:
        words = with_marks(read, columns, clean=access == RUNS_TARGET)
        own = gram(words, [np.arange(len(part)) for part in columns])
        changed = [*_rules(columns, train.outcome, train.changed, fold, own)]
        on_all = guesses(own, train.outcome, every, fold)
        changed.append(Rule(name="text regression on all outcomes", guessed=on_all))
        if access == RUNS_TARGET and all(_has_siblings(part) for part in columns):
            answers = [siblings_answers(part) for part in columns]
            name = "siblings' clean answers"
            changed.append(Rule(name=name, access=access, vector=True, guessed=answers))
        unchanged = [*_rules(columns, train.clean, every, fold, own)] if access == WORDS else []
        said = pairs(columns, changed, unchanged)
        scores = _verdicts(columns, fold, words, access, embed)
        return {(score.name, access): fit_null(score, parts, said) for score in scores}

    found: dict[tuple[str, str], Null] = {}
    for _, nulls in team().deal((WORDS, RUNS_TARGET), fitted):
        found |= nulls
    return found


def _verdicts(
    columns: Sequence[Columns],
    fold: IntArray,
    words: Sequence[Any],
    access: str,
    embed: Embed | None,
) -> Iterator[Score]:
    def fitted(name: str, head: Head, rows: Sequence[Any]) -> Score:
        return fitted_score(name, access, head, rows, columns[0].changed, fold, vector=False)

    flat = [np.zeros(len(part)) for part in columns]
    yield Score(name="constant", access=access, values=flat, vector=False)
    yield fitted("text regression", logistic, words)
    own = beside(reduced(words, COMPONENTS), numbered(*map(relation, columns)))
    yield fitted("boosted trees", boosted, own)
    if access == RUNS_TARGET and all(_has_siblings(part) for part in columns):
        group = beside(own, [*map(_agreement, columns)])
        score = fitted("boosted trees, siblings' clean answers in view", boosted, group)
        yield replace(score, vector=True)
    if embed is not None:
        rows = [_embedded(part, embed, clean=access == RUNS_TARGET) for part in columns]
        yield fitted("sentence embeddings", logistic, rows)


def _has_siblings(columns: Columns) -> bool:
    return len(columns) > 0 and bool(np.bincount(columns.group)[columns.group].min() > 1)


def _siblings(columns: Columns) -> list[tuple[str, list[str]]]:
    """Each query's clean answer, and those of its group."""
    rows = list(zip(columns.group.tolist(), columns.clean, strict=True))
    members: dict[int, list[str]] = {}
    for group, clean in rows:
        members.setdefault(group, []).append(clean)
    return [(clean, members[group]) for group, clean in rows]


def siblings_answers(columns: Columns) -> Texts:
    """Guess the clean answers of the group's other queries, the commonest first."""
    return ranked(
        [
            [x for x, _ in Counter(group).most_common() if x != clean] or [clean]
            for clean, group in _siblings(columns)
        ]
    )


def _agreement(columns: Columns) -> FloatArray:
    """How many of the group have the query's clean answer, and how many answers the group has."""
    rows = [[group.count(clean), len(set(group))] for clean, group in _siblings(columns)]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _embedded(columns: Columns, embed: Embed, *, clean: bool) -> Any:
    """Embeddings of the shown text, of the removable part and, if it is known, of the answer."""
    rows = [embed([*columns.text]), embed([*view(columns, "removed")])]
    if clean:
        rows.append(embed([*columns.clean]))
    return np.concatenate(rows, axis=1)


def _rules(
    columns: Sequence[Columns], wanted: Texts, used: Any, fold: IntArray, own: Sequence[Any]
) -> Iterator[Rule]:
    yield from commonest_rules(columns, wanted, used, fold)
    regressed = guesses(own, wanted, used, fold)
    yield Rule(name="text regression", guessed=regressed)
    yield copied_rule("removed part", columns, "removed", wanted, regressed)
    yield copied_rule("rest", columns, "rest", wanted, regressed)


def fit_which(
    parts: Mapping[str, Columns], embed: Embed | None
) -> dict[str, dict[str, float | None]]:
    """Return the accuracy of each null by split: a head scores every part, the best is named."""
    columns = [*parts.values()]
    fold = np.repeat(folds(columns[0]), N)
    right = [_right(part) for part in columns]
    marks = [_labels(part) for part in columns]
    words = [
        sparse.hstack(rows, format="csr") for rows in zip(_part_ngrams(columns), marks, strict=True)
    ]
    heads: dict[str, tuple[Head, list[Any]]] = {
        "text regression": (logistic, words),
        "boosted trees": (boosted, beside(reduced(words, COMPONENTS), marks)),
    }
    if embed is not None:
        read = [
            np.column_stack([*map(embed, _views(part)), own])
            for part, own in zip(columns, marks, strict=True)
        ]
        heads["sentence embeddings"] = (logistic, read)
    # always the place or the label that is right most often in train
    best = int((marks[0] * right[0][:, None]).sum(0).argmax())
    values = {"constant": [own[:, best] for own in marks]}
    values |= {name: scores(head, rows, right[0], fold) for name, (head, rows) in heads.items()}
    return {
        name: dict(zip(parts, map(_accuracy, score, right), strict=True))
        for name, score in values.items()
    }


def _right(columns: Columns) -> BoolArray:
    """Whether each part of each query is the right one, (4 n,)."""
    pairs = zip(columns.fields, columns.part, strict=True)
    right = [part["label"] == label for fields, label in pairs for part in fields["parts"]]
    return np.array(right, dtype=bool)


def _labels(columns: Columns) -> FloatArray:
    """Place and label of each part as indicators, (4 n, 8)."""
    labels = [part["label"] for fields in columns.fields for part in fields["parts"]]
    own = np.array([[label == name for name in LABELS] for label in labels], dtype=np.float64)
    return np.concatenate([np.tile(np.eye(N), (len(columns), 1)), own.reshape(-1, N)], axis=1)


def _accuracy(score: FloatArray, right: BoolArray) -> float | None:
    if not len(right):
        return None
    best = score.reshape(-1, N).argmax(1)
    return float(right.reshape(-1, N)[np.arange(len(best)), best].mean())


def _views(columns: Columns) -> tuple[list[str], list[str]]:
    """The part, and the text without it, for each part of each query."""
    own, rest = [], []
    for fields in columns.fields:
        text = str(fields["text"])
        for part in fields["parts"]:
            start, end = part["span"]
            own.append(text[start:end])
            rest.append(text[:start] + " " + text[end:])
    return own, rest


def _part_ngrams(columns: Sequence[Columns]) -> list[Any]:
    blocks: list[list[Any]] = [[] for _ in columns]
    for read in zip(*map(_views, columns), strict=True):
        pattern = r"(?u)\b\w+\b|\S"
        reader = TfidfVectorizer(
            ngram_range=(1, 2), token_pattern=pattern, lowercase=False, sublinear_tf=True
        ).fit(read[0])
        for found, rows in zip(blocks, read, strict=True):
            found.append(reader.transform(rows))
    return [sparse.hstack(found, format="csr") for found in blocks]
