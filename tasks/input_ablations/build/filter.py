"""Adversarial filtering: queries whose verdict a regression on the text cannot tell. Pure.

A logistic regression on the text, fitted on other questions, gives every candidate a probability of
*changed*. Within narrow bins of it equally many changed and unchanged candidates are kept: matching
on the propensity score (Rosenbaum and Rubin 1983). A new regression is fitted to what is left and
what it still tells goes too, the iteration of AFLite (arXiv:2002.04108). A second regression ranks
the answers that a reader might guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.metrics.activations import auroc as pair_auroc
from ...facts.facts import rank

FOLDS = 5
"""Parts that questions are cut into; a candidate's probability is fitted on the other parts."""
ROUNDS = 4  # regressions fitted one after the other, at most
BINS = 16  # bins of the probability in the first round; later rounds have a quarter
CHANCE = 0.03  # distance of AUROC from 0.5 at which nothing is left to tell

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A measured query that might be frozen."""

    split: str
    question: str  # base text; candidates of one question are never in two folds
    changed: bool  # whether the answer changes
    outcome: str  # the answer after the removal
    text: str  # what regressions read: the text with the removable part marked
    part: str  # the removable part alone
    fields: tuple[str, ...]
    """Categories, such as `relation=capital`; a reader of the text may know them or not."""
    guesses: tuple[tuple[str, str], ...]  # (role, answer) of answers that a reader might guess
    payload: Any = field(compare=False)  # whatever the caller needs to write the query


def folds_of(questions: Sequence[str]) -> npt.NDArray[np.int64]:
    """Fold of each question, by a hash of it, (n,)."""
    return np.array([rank("fold", question) % FOLDS for question in questions], dtype=np.int64)


def text_features(candidates: Sequence[Candidate]) -> Any:
    """Word and character n-grams of text and part, and fields: sparse (n, n_features)."""
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    def grams(texts: Sequence[str], analyzer: str, low: int, high: int) -> Any:
        made = TfidfVectorizer(
            analyzer=analyzer, ngram_range=(low, high), min_df=2, sublinear_tf=True
        )
        return made.fit_transform(texts)

    fields = TfidfVectorizer(analyzer=lambda c: c.fields, use_idf=False, norm=None, min_df=2)
    return sparse.hstack(
        [
            grams([c.text for c in candidates], "word", 1, 2),
            grams([c.part for c in candidates], "word", 1, 2),
            grams([c.text for c in candidates], "char_wb", 2, 4),
            fields.fit_transform(candidates),
        ]
    ).tocsr()


def fitted(features: Any, labels: Bools, others: Any) -> Floats:
    """Probability of a label for other rows, (n_others,)."""
    from sklearn.linear_model import LogisticRegression

    if len(set(labels.tolist())) < 2 or not others.shape[0]:
        return np.full(others.shape[0], 0.5)
    model = LogisticRegression(C=1.0, solver="liblinear", random_state=0).fit(features, labels)
    return np.asarray(model.predict_proba(others)[:, 1], dtype=np.float64)


def cross_fitted(features: Any, labels: Bools, folds: npt.NDArray[np.int64]) -> Floats:
    """Probability of a label for each row, from the rows of other folds, (n,)."""
    found = np.full(len(labels), 0.5)
    for fold in range(FOLDS):
        own, rest = folds == fold, folds != fold
        if own.any() and rest.any():
            found[own] = fitted(features[rest], labels[rest], features[own])
    return found


def guessed(candidates: Sequence[Candidate]) -> Bools:
    """Whether the likeliest guess of each candidate's content, given its verdict, is right, (n,).

    Guesses are the answers a candidate names and the commonest outcomes of its fields; their
    likelihood is a logistic regression over role, answer and verdict, fitted on other questions.
    """
    from sklearn.feature_extraction import FeatureHasher

    folds = folds_of([c.question for c in candidates])
    common = _common_outcomes(candidates)
    owner: list[int] = []
    rows: list[list[str]] = []
    right: list[bool] = []
    for index, one in enumerate(candidates):
        roles: dict[str, set[str]] = {}
        for role, answer in (*one.guesses, *common.get(one.fields[0], ())):
            roles.setdefault(answer, set()).add(role)
        verdict = str(one.changed)
        for answer, own in roles.items():
            named = [f"{verdict}:{role}" for role in own]
            named += [f"{name}:{one.fields[0]}" for name in named]
            rows.append([*named, "+".join(sorted(named[: len(own)])), f"{verdict}:={answer}"])
            owner.append(index)
            right.append(answer == one.outcome)
    features = FeatureHasher(n_features=2**16, input_type="string").transform(rows)
    places = np.array(owner)
    likely = cross_fitted(features, np.array(right), folds[places])
    hits = np.zeros(len(candidates), dtype=np.bool_)
    best = np.full(len(candidates), -1.0)
    for place, score, hit in zip(owner, likely.tolist(), right, strict=True):
        if score > best[place]:
            best[place], hits[place] = score, hit
    return hits


def _common_outcomes(candidates: Sequence[Candidate]) -> dict[str, list[tuple[str, str]]]:
    """The four commonest outcomes under the first field (the relation)."""
    tables: dict[str, Counter[str]] = {}
    for one in candidates:
        tables.setdefault(one.fields[0], Counter())[one.outcome] += 1
    return {
        name: [(f"common{i}", text) for i, (text, _) in enumerate(table.most_common(4))]
        for name, table in tables.items()
    }


def auroc(scores: Floats, labels: Bools) -> float:
    """Chance that a true row scores above a false one, ties half; 0.5 without both."""
    return 0.5 if labels.all() or not labels.any() else pair_auroc(scores[labels], scores[~labels])


def nothing_known(candidates: Sequence[Candidate]) -> tuple[Floats, Bools]:
    """Probabilities and hits of a reader who knows nothing: for kinds that are not filtered."""
    return np.full(len(candidates), 0.5), np.zeros(len(candidates), dtype=np.bool_)


def undecidable(candidates: Sequence[Candidate], fitted_on: str) -> tuple[list[int], Floats]:
    """Candidates left when the text no longer tells changed from unchanged, in any split.

    The split that regressions are fitted on is scored in folds, once: within a set that is already
    matched, what is left out is the mirror image of what is fitted on.

    Return their indices, and the probability of *changed* by the last regression that counted for
    each.
    """
    features = text_features(candidates)
    changed = np.array([c.changed for c in candidates], dtype=np.bool_)
    splits = np.array([c.split for c in candidates])
    fit = splits == fitted_on
    likely = np.full(len(candidates), 0.5)
    folds = folds_of([c.question for c in candidates])
    likely[fit] = cross_fitted(features[fit], changed[fit], folds[fit])
    first: Floats = likely
    left = np.ones(len(candidates), dtype=np.bool_)
    again: set[str] = set()
    for turn in range(ROUNDS):
        if not fit.all():
            likely[~fit] = fitted(features[fit & left], changed[fit & left], features[~fit])
        first = likely.copy() if turn == 0 else first
        parts = {str(split): left & (splits == split) for split in np.unique(splits)}
        told = {split: auroc(likely[own], changed[own]) for split, own in parts.items()}
        wrong = {s for s, value in told.items() if s != fitted_on and abs(value - 0.5) > CHANCE}
        if turn:
            again |= wrong
        for split in wrong if turn else told:
            own = parts[split]
            n_bins = BINS // 4 if turn else BINS
            kept = matched(likely[own], changed[own], n_bins, np.flatnonzero(own))
            left[own] = False
            left[kept] = True
        if turn and not wrong:
            break
    # where one matching was enough, pairs are drawn within its bins and nothing need be thinned
    thinned = np.isin(splits, sorted(again))
    left |= ~thinned
    return np.flatnonzero(left).tolist(), np.where(thinned, likely, first)[left]


def told_by(known: Sequence[Candidate], others: Sequence[Candidate]) -> Floats:
    """Probability of *changed* of other candidates by a regression on known ones, (n_others,)."""
    features = text_features([*known, *others])
    labels = np.array([c.changed for c in known], dtype=np.bool_)
    return fitted(features[: len(known)], labels, features[len(known) :])


def matched(
    likely: Floats, changed: Bools, n_bins: int, names: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Names of equally many changed and unchanged rows of each bin of the probability."""
    order = np.argsort(likely, kind="stable")
    kept = []
    for part in np.array_split(order, n_bins):
        yes, no = part[changed[part]], part[~changed[part]]
        n = min(len(yes), len(no))
        # evenly over the bin, so that the two do not drift apart within it
        for own in (yes, no):
            kept += [own[i] for i in np.linspace(0, len(own) - 1, n).astype(int)] if n else []
    return names[np.array(sorted(kept), dtype=np.int64)]
