"""What the text alone tells of a frozen suite, by regressors other than the one that filtered.

Boosted trees on word n-grams, and a linear head on sentence embeddings, both fitted on train. They
see the text with what may be removed marked, and the removable part once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.freeze import Measured
from introspect_bench.tasks.input_ablations.filtering import auroc
from introspect_bench.tasks.input_ablations.task import mark

KINDS = ("hint", "context")
"""Kinds that ask for a verdict and are filtered."""
AUROC = (0.40, 0.60)
"""What AUROC of the verdict may be."""
WHICH = 0.35
"""What the accuracy on four parts may be; a guess has 0.25."""
WORDS = 400
"""N-grams that trees see, those that tell most by chi squared."""

Floats = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Sentences to rows of equal length."""
Views = Sequence[tuple[str, str]]
"""(text with a part marked, the part)."""


def text_scores(
    splits: Mapping[str, Sequence[Measured]], embed: Embed
) -> dict[str, dict[str, float]]:
    """What regressors fitted on train score on the other splits.

    Args:
        splits: queries by split, `train` among them.
        embed: sentence embeddings.

    Returns:
        By split, `hint boosted`, `hint embedded`, the same of `context` (AUROC of the verdict) and
        of `which` (accuracy).
    """
    found: dict[str, dict[str, float]] = {name: {} for name in splits if name != "train"}
    for kind in (*KINDS, "which"):
        train = [one for one in splits["train"] if one.kind == kind]
        for name, scores in found.items():
            own = [one for one in splits[name] if one.kind == kind]
            if not train or not own:
                continue
            for title, scorer in (("boosted", _boosted), ("embedded", _embedded)):
                likely = scorer(_views(train), _labels(train), _views(own), embed)
                scores[f"{kind} {title}"] = _value(kind, likely, _labels(own))
    return found


def missed_text_bars(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One sentence for each score outside its bar."""
    misses = []
    for split, own in scores.items():
        for name, value in own.items():
            low, high = (0.0, WHICH) if name.startswith("which") else AUROC
            if not low <= value <= high:
                misses.append(
                    f"{split}: text alone, {name}: {value:.3f}, allowed {low:g} to {high:g}"
                )
    return misses


def _value(kind: str, likely: Floats, labels: npt.NDArray[np.bool_]) -> float:
    if kind != "which":
        return auroc(likely, labels)
    # equal scores share the point, so that a regressor that sees nothing scores a guess
    rows, true = likely.reshape(-1, 4), labels.reshape(-1, 4)
    best = rows == rows.max(1, keepdims=True)
    return float(((best & true).sum(1) / best.sum(1)).mean())


def _views(queries: Sequence[Measured]) -> list[tuple[str, str]]:
    views = []
    for one in queries:
        text = one.fields["text"]
        spans = [p["span"] for p in one.fields["parts"]] if one.part else [one.fields["span"]]
        views += [(mark(text, (start, end)), text[start:end]) for start, end in spans]
    return views


def _labels(queries: Sequence[Measured]) -> npt.NDArray[np.bool_]:
    labels = []
    for one in queries:
        if one.part:
            labels += [part["label"] == one.part for part in one.fields["parts"]]
        else:
            labels.append(one.clean != one.outcome)
    return np.array(labels, dtype=np.bool_)


def _boosted(train: Views, labels: npt.NDArray[np.bool_], others: Views, _embed: Embed) -> Floats:
    from scipy import sparse
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.feature_selection import SelectKBest, chi2

    counters = [CountVectorizer(ngram_range=(1, 2), min_df=2, binary=True) for _ in range(3)]

    def rows(views: Views, *, fit: bool) -> Any:
        before = [text[: text.index("[[")] for text, _ in views]
        columns = ([text for text, _ in views], [part for _, part in views], before)
        made = [
            counter.fit_transform(column) if fit else counter.transform(column)
            for counter, column in zip(counters, columns, strict=True)
        ]
        length = sparse.csr_matrix([[len(text)] for text in before], dtype=np.float64)
        return sparse.hstack([*made, length]).tocsr()

    own = rows(train, fit=True)
    best = SelectKBest(chi2, k=min(WORDS, own.shape[1])).fit(own, labels)
    model = HistGradientBoostingClassifier(
        max_iter=120, learning_rate=0.08, max_leaf_nodes=15, early_stopping=False, random_state=0
    ).fit(best.transform(own).toarray(), labels)
    likely = model.predict_proba(best.transform(rows(others, fit=False)).toarray())
    return np.asarray(likely[:, 1], dtype=np.float64)


def _embedded(train: Views, labels: npt.NDArray[np.bool_], others: Views, embed: Embed) -> Floats:
    from sklearn.linear_model import LogisticRegression

    def rows(views: Views) -> Any:
        return np.hstack([embed([text for text, _ in views]), embed([part for _, part in views])])

    model = LogisticRegression(C=10.0, max_iter=500).fit(rows(train), labels)
    return np.asarray(model.predict_proba(rows(others))[:, 1], dtype=np.float64)
