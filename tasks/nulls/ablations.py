"""Null models of input ablations: regressions on the words, with and without the clean answer.

Each kind is fitted apart, on the training queries of that kind; the headline is their mean. Queries
of kind `which` are scored part by part: a head learns from train which of four parts matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...benchmark.metrics.verdicts import BALANCED_KINDS, WHICH, WHICH_CHANCE
from .columns import (
    Columns,
    FloatArray,
    IntArray,
    Texts,
    folds,
    ngrams,
    numbered,
    reduced,
    relation,
    texts,
    with_marks,
)
from .heads import (
    Head,
    boosted,
    commonest,
    copied,
    gram,
    guesses,
    joined,
    logistic,
    ranked,
    shown,
)
from .null import RUNS_TARGET, WORDS, Null, Rule, Score, fit_null, fitted_score, pairs
from .which import COMPONENTS, Embed, fit_which

VIEWS = ("text", "removed", "rest")
"""What is read: the shown text, the removable part, the text without it."""


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
    found: dict[tuple[str, str], Null] = {}
    read = ngrams(columns, VIEWS)
    for access in (WORDS, RUNS_TARGET):
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
        for score in _verdicts(columns, fold, words, access, embed):
            found[score.name, access] = fit_null(score, parts, said)
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
    latent = reduced(words, COMPONENTS)
    about = numbered(*map(relation, columns))
    own = [np.column_stack([a, b]) for a, b in zip(latent, about, strict=True)]
    yield fitted("boosted trees", boosted, own)
    if access == RUNS_TARGET and all(_has_siblings(part) for part in columns):
        group = [
            np.column_stack([a, _agreement(part)]) for a, part in zip(own, columns, strict=True)
        ]
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
    removed = [str(fields["removed"]) for fields in columns.fields]
    rows = [embed([*columns.text]), embed(removed)]
    if clean:
        rows.append(embed([*columns.clean]))
    return np.concatenate(rows, axis=1)


def _rules(
    columns: Sequence[Columns], wanted: Texts, used: Any, fold: IntArray, own: Sequence[Any]
) -> Iterator[Rule]:
    same = [texts([""] * len(part)) for part in columns]
    about = [relation(part) for part in columns]
    count = partial(commonest, columns, contents=wanted, used=used, fold=fold)
    yield Rule(name="commonest", guessed=count(same))
    yield Rule(name="commonest of the relation", guessed=count(about))
    regressed = guesses(own, wanted, used, fold)
    yield Rule(name="text regression", guessed=regressed)
    removed = [texts([str(f["removed"]) for f in part.fields]) for part in columns]
    for name, views in (("removed part", removed), ("rest", [shown(p) for p in columns])):
        found = copied(wanted, views)
        yield Rule(
            name=f"copied from the {name}",
            guessed=[joined(a, b) for a, b in zip(found, regressed, strict=True)],
        )
