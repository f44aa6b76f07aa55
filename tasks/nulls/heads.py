"""What null models fit: scores for the verdict, and rules that rank guesses of a content.

Each gives out-of-fold values on train, on which rules are chosen, and values on other splits from
all of train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from .columns import BoolArray, FloatArray, IntArray, Texts, texts

TOP = 4  # guesses kept of a content, the likeliest first
RIDGE = 1.0  # penalty of the regression on contents

Grams = npt.NDArray[np.float32]

Head = Callable[[Any, npt.NDArray[Any], Any], FloatArray]
"""`(rows, labels, other rows) -> score of the other rows`, labels are 0 and 1."""


def logistic(rows: Any, labels: npt.NDArray[Any], others: Any) -> FloatArray:
    """Logistic regression; returns log odds."""
    return _odds(
        LogisticRegression(C=0.3, solver="liblinear", random_state=0), rows, labels, others
    )


def boosted(rows: Any, labels: npt.NDArray[Any], others: Any) -> FloatArray:
    """Gradient-boosted trees; returns log odds."""
    model = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    return _odds(model, rows, labels, others)


def _odds(model: Any, rows: Any, labels: npt.NDArray[Any], others: Any) -> FloatArray:
    if len(set(labels.tolist())) < 2:
        return np.zeros(others.shape[0])
    return np.asarray(model.fit(rows, labels).decision_function(others), dtype=np.float64)


def out_of_fold(
    fold: IntArray,
    parts: Sequence[Any],
    fitted: Callable[[BoolArray, Sequence[Any]], Sequence[npt.NDArray[Any]]],
) -> list[npt.NDArray[Any]]:
    """Return values of train, each from its other folds, and of the other parts from all of train.

    `fitted(known, rows)` fits on the rows of train that `known` marks and gives values of `rows`.
    """
    train: Any = None
    for one in np.unique(fold):
        out = fold == one
        (values,) = fitted(~out, [parts[0][out]])
        if train is None:
            train = np.empty((len(fold), *values.shape[1:]), dtype=values.dtype)
        train[out] = values
    return [train, *fitted(np.ones(len(fold), dtype=bool), parts[1:])]


def scores(
    head: Head, rows: Sequence[Any], labels: npt.NDArray[Any], fold: IntArray
) -> list[FloatArray]:
    """Return scores of train, out of fold, and of the other parts."""

    def fitted(known: BoolArray, others: Sequence[Any]) -> list[FloatArray]:
        return [head(rows[0][known], labels[known], other) for other in others]

    return out_of_fold(fold, rows, fitted)


def gram(rows: Sequence[Any], keys: Sequence[npt.NDArray[Any]]) -> list[Grams]:
    """Return inner products with the rows of train, float32 (n, n_train) for each part."""
    firsts, places = zip(
        *(np.unique(key, return_index=True, return_inverse=True)[1:] for key in keys), strict=True
    )
    known = rows[0][firsts[0]]
    found = []
    for part, first, where in zip(rows, firsts, places, strict=True):
        few = part[first] @ known.T
        few = np.asarray(few.toarray() if hasattr(few, "toarray") else few, dtype=np.float32)
        found.append(few[where][:, places[0]])
    return found


def guesses(
    grams: Sequence[Grams], contents: Texts, used: BoolArray, fold: IntArray
) -> list[Texts]:
    """Return the likeliest contents by ridge regression on indicators, (n, TOP) each."""
    return out_of_fold(
        fold, grams, lambda known, others: _ridge(grams[0], contents, known & used, others)
    )


def _ridge(own: Grams, contents: Texts, used: BoolArray, others: Sequence[Grams]) -> list[Texts]:
    names = texts(sorted(set(contents[used])))
    if not len(names):
        return [_empty(len(other)) for other in others]
    targets = (contents[used][:, None] == names[None, :]).astype(np.float64)
    centre = targets.mean(0)
    kernel = own[np.ix_(used, used)].astype(np.float64)
    kernel[np.diag_indices_from(kernel)] += RIDGE
    weights = cho_solve(cho_factor(kernel, overwrite_a=True, check_finite=False), targets - centre)
    return [_top(other[:, used] @ weights + centre, names) for other in others]


def _top(values: FloatArray, names: Texts) -> Texts:
    found = _empty(len(values))
    order = np.argsort(-values, axis=1, kind="stable")[:, :TOP]
    found[:, : order.shape[1]] = names[order]
    return found


def _empty(n: int) -> Texts:
    found = np.empty((n, TOP), dtype=object)
    found[:] = ""
    return found


def ranked(values: Sequence[Sequence[str]]) -> Texts:
    """Return lists of guesses as rows of TOP, without repetition, empty where there are fewer."""
    found = _empty(len(values))
    for row, given in enumerate(values):
        kept = list(dict.fromkeys(x for x in given if x))[:TOP]
        found[row, : len(kept)] = kept
    return found


def first_other(guessed: Texts, known: Texts) -> Texts:
    """Return the first guess that is not the known answer, empty if there is none, (n,)."""
    fits = np.asarray((guessed != known[:, None]) & (guessed != ""), dtype=bool)
    found = guessed[np.arange(len(guessed)), fits.argmax(1)]
    return np.where(fits.any(1), found, "").astype(object)


def commonest(
    keys: Sequence[Texts], contents: Texts, used: BoolArray, fold: IntArray
) -> list[Texts]:
    """Guess the commonest contents of train under the same key, then of all."""

    def fitted(known: BoolArray, others: Sequence[Texts]) -> list[Texts]:
        own = known & used
        return [_commonest(keys[0][own], contents[own], other) for other in others]

    return out_of_fold(fold, keys, fitted)


def _commonest(names: Texts, contents: Texts, asked: Texts) -> Texts:
    overall = [name for name, _ in Counter(contents).most_common(TOP)]
    tables: dict[str, Counter[str]] = {}
    for name, content in zip(names, contents, strict=True):
        tables.setdefault(name, Counter())[content] += 1
    best = {k: [x for x, _ in table.most_common(TOP)] + overall for k, table in tables.items()}
    return ranked([best.get(name, overall) for name in asked])


def from_neighbours(index: IntArray, contents: Texts) -> Texts:
    """Guess the contents of neighbours, the nearest first; -1 is none."""
    return ranked([[contents[i] for i in row if i >= 0] for row in index])


def by_vote(index: IntArray, contents: Texts) -> Texts:
    """Guess the commonest contents among neighbours, the nearest of equals first."""
    return ranked(
        [
            [x for x, _ in Counter(contents[i] for i in row if i >= 0).most_common(TOP)]
            for row in index
        ]
    )


def copied(contents: Texts, views: Sequence[Texts]) -> list[Texts]:
    """Guess contents of train that stand in a text as whole words, the last one first."""
    known = sorted(set(contents))
    found = []
    for view in views:
        inside = {text: _inside(text, known) for text in set(view)}
        found.append(ranked([inside[text] for text in view]))
    return found


def _inside(text: str, known: Sequence[str]) -> list[str]:
    places = []
    for name in known:
        start = text.rfind(name)
        if start < 0:
            continue
        end = start + len(name)
        whole = not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
        if whole:
            places.append((-end, -len(name), name))
    return [name for *_, name in sorted(places)]


def joined(*guessed: Texts) -> Texts:
    """Return the guesses of the first rule, then those of the next where there is room."""
    return ranked([[x for part in rows for x in part] for rows in zip(*guessed, strict=True)])
