"""Nulls of feature descriptions: who says something without reading the vector for its context.

Descriptions go through the suite's judge, as an explainer's do. The readers of tokens say nothing:
what they would predict is scored, which no words of theirs could better. The exact predicate and
the reference description are told what no contestant has; the latter is the ceiling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.metrics.descriptions import METRICS
from ...benchmark.records import ORACLE, WORDS
from ...benchmark.scoring.scale import CALCULATOR
from ...benchmark.suite.suite import Suite
from ..feature_descriptions.judge.exact import ExactJudge, exact_meaning
from ..feature_descriptions.judge.judges import shuffled
from ..feature_descriptions.judge.quality import Reader, Split, read_split
from ..feature_descriptions.task import HEADLINE

COMMONEST = 50  # commonest training descriptions among which the best constant is chosen
DIGITS = 4  # metrics are stored with so many digits

Row = dict[str, Any]
Floats = npt.NDArray[np.float32]


def description_nulls(
    suite: Suite,
    judge: ExactJudge,
    readers: Mapping[str, Reader],
    *,
    splits: Sequence[str],
    seed: int,
) -> dict[str, list[Row]]:
    """Return what every null scores on the headline's kinds: by split, rows as manifests hold them.

    Raises IntegrityError: a file is not what the manifest says.
    """
    train = read_split(suite, "train").of(HEADLINE)
    vectors = {split: _vectors(suite, split) for split in ("train", *splits)}
    constant = _best_constant(train, judge)
    pooled = _best_neighbour(train, vectors["train"], judge)
    among = f"training feature of {'any layer' if pooled else 'the same layer'}"
    found = {}
    for split in splits:
        own = read_split(suite, split).of(HEADLINE)
        texts = [one.descriptions[0] for one in own.truth]
        others = shuffled([one.predicate for one in own.truth], np.random.default_rng(seed))
        near = nearest(vectors[split], own, vectors["train"], train, pooled=pooled)
        neighbours = [train.truth[place].descriptions[0] for place in near]
        said = {
            "constant": ([constant] * len(texts), f"always: {constant}"),
            "nearest-neighbour": (neighbours, f"description of the nearest {among}"),
            "shuffled": ([texts[place] for place in others], "another feature's description"),
        }
        rows = [
            _row(name, WORDS, rule, own, judge.predict(replies, own.own["ids"]))
            for name, (replies, rule) in said.items()
        ]
        rows += [
            # a table of the feature's own activations is what no contestant has
            _row(name, ORACLE, "mean activation at the same tokens elsewhere", own, reader(own))
            for name, reader in readers.items()
        ]
        exact = [exact_meaning(one.predicate) for one in own.truth]
        predicted = judge.predict_meanings(exact, own.own["ids"])
        rows.append(_row("exact-predicate", ORACLE, "values of the predicate", own, predicted))
        predicted = judge.predict(texts, own.own["ids"])
        rows.append(_row(CALCULATOR, ORACLE, "the reference description", own, predicted))
        found[split] = rows
    return found


def nearest(
    vectors: Mapping[str, Floats],
    features: Split,
    known: Mapping[str, Floats],
    train: Split,
    *,
    pooled: bool,
) -> list[int]:
    """Place of the training feature with the largest cosine, never the feature itself."""
    one = np.stack([vectors[query.id] for query in features.queries])
    other = np.stack([known[query.id] for query in train.queries])
    layers = [np.array([q.fields["layer"] for q in part.queries]) for part in (features, train)]
    ids = [np.array([q.id for q in part.queries]) for part in (features, train)]
    cosines = one @ other.T
    cosines[ids[0][:, None] == ids[1]] = -np.inf
    if not pooled:
        cosines[layers[0][:, None] != layers[1]] -= 4  # behind all of the same layer
    places: list[int] = cosines.argmax(axis=1).tolist()
    return places


def _best_constant(train: Split, judge: ExactJudge) -> str:
    """Return the description that scores best on train if it is given to every feature."""
    names = Counter(one.predicate for one in train.truth)
    texts = {one.predicate: one.descriptions[0] for one in reversed(train.truth)}
    tried = sorted(names, key=lambda name: (-names[name], name))[:COMMONEST]
    values = [_on_train(train, judge, [texts[name]] * len(train.truth)) for name in tried]
    return texts[tried[int(np.argmax(values))]]


def _best_neighbour(train: Split, vectors: Mapping[str, Floats], judge: ExactJudge) -> bool:
    """Whether the nearest one of all layers is better on train than that of the same layer."""
    values = []
    for pooled in (False, True):
        near = nearest(vectors, train, vectors, train, pooled=pooled)
        replies = [train.truth[place].descriptions[0] for place in near]
        values.append(_on_train(train, judge, replies))
    return values[1] > values[0]


def _on_train(train: Split, judge: ExactJudge, replies: Sequence[str]) -> float:
    predicted = judge.predict(replies, train.own["ids"])
    return _metrics(train, predicted)["matched_auroc"]


def _vectors(suite: Suite, split: str) -> dict[str, Floats]:
    """Unit vectors of a split by query id."""
    rows = suite.vectors(split).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = suite.queries(split)
    return {query.id: rows[query.vector] for query in queries if query.vector is not None}


def _row(name: str, access: str, rule: str, own: Split, predicted: Floats) -> Row:
    metrics = {key: round(value, DIGITS) for key, value in _metrics(own, predicted).items()}
    return {"name": name, "access": access, "rule": rule, "metrics": metrics}


def _metrics(own: Split, predicted: Floats) -> dict[str, float]:
    found = own.score(predicted)
    # every feature of the headline's kinds has matched tokens
    means = {
        "matched_auroc": np.mean([one.matched_auroc for one in found]),
        "weighted_r": np.mean([one.weighted_r for one in found]),
    }
    assert means.keys() == METRICS.keys()
    return {name: float(value) for name, value in means.items()}
