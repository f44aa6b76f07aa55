"""What a split of features of context is worth, and what its judge makes of known texts.

The numbers that the bars are about: the exact predicate, its wordings, another feature's, an empty
text, the context denied, and readers of one and of two tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.records import FeatureTruth, Predicted, Query
from ....benchmark.scoring.judged import score_feature
from ....benchmark.suite.features import Arrays, arrays
from ....benchmark.suite.suite import Suite
from ...build.statistics import Bar
from ..task import HEADLINE
from ..windows import Floats, pair_keys
from .conjunctions import denied
from .exact import ExactJudge, Meaning, exact_meaning
from .judges import shuffled

BARS = (
    Bar(name="train.queries", low=1500),
    Bar(name="validation.nearest_means_the_same", high=0),
    Bar(name="test.nearest_means_the_same", high=0),
    Bar(name="test.bigram.distinct", low=150),
    Bar(name="test.bigram.commonest", high=0.03),
    Bar(name="test.context-token.commonest", high=0.03),
    Bar(name="readers.test.bigram.exact.auroc", low=0.80),
    Bar(name="readers.test.context-token.exact.auroc", low=0.80),
    Bar(name="readers.test.context-token.token_reader.auroc", low=0.48, high=0.52),
    Bar(name="judge.test.headline.wording.auroc", low=0.68),
    Bar(name="judge.test.headline.shuffled.auroc", low=0.48, high=0.52),
    Bar(name="judge.test.headline.empty.auroc", low=0.5, high=0.5),
    Bar(name="judge.test.headline.denied.auroc", high=0.35),
)
"""What a suite must reach to be frozen; the judge's are over both kinds of the headline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Features of a split with all that is known about them; rows are queries."""

    queries: Sequence[Query]  # the queries
    truth: Sequence[FeatureTruth]  # descriptions, predicates and their scores
    own: Arrays  # tensors of `windows` and `activations`

    def of(self, kinds: Sequence[str]) -> Split:
        """Return the features of some kinds."""
        return self.take([row for row, query in enumerate(self.queries) if query.kind in kinds])

    def take(self, rows: Sequence[int]) -> Split:
        """Return some features, by their rows."""
        return Split(
            queries=[self.queries[row] for row in rows],
            truth=[self.truth[row] for row in rows],
            own={name: value[list(rows)] for name, value in self.own.items()},
        )

    def score(self, predicted: Iterable[npt.NDArray[Any]]) -> list[Predicted]:
        """Score predicted activations of every feature, (16, 32) each."""
        return [
            score_feature({name: value[row] for name, value in self.own.items()}, one)
            for row, one in enumerate(predicted)
        ]


Reader = Callable[[Split], Floats]
"""Predicts the activations of a split's windows, (n, 16, 32), from tokens."""


def read_split(suite: Suite, split: str) -> Split:
    """Open a split with its truth."""
    return Split(
        queries=suite.queries(split),
        truth=list(suite.feature_truth(split).values()),
        own=arrays(suite, split, "windows") | arrays(suite, split, "activations"),
    )


def scores(features: Split, predicted: Iterable[npt.NDArray[Any]]) -> dict[str, float]:
    """Mean pairwise AUROC at the marks, and mean weighted correlation over random windows.

    Features of kind `token` have no marks; of them alone only the correlation is known.
    """
    if not features.queries:
        raise ValueError("no features: a mean over nothing has no value")
    found = features.score(predicted)
    marked = [one.matched_auroc for one in found if one.matched_auroc is not None]
    said = {"r": float(np.mean([one.weighted_r for one in found]))}
    return said | ({"auroc": 0.5 + float(np.mean(marked)) / 2} if marked else {})


def judge_quality(
    features: Split, judge: ExactJudge, *, rng: np.random.Generator
) -> dict[str, Any]:
    """Score the exact predicate, and the judge on texts whose worth is known.

    Returns for `exact`, `wording`, `shuffled` (dealt by `rng`), `empty` and `denied` what `scores`
    says; `mapped`: the share of wordings read by the grammar, and by the nearest wording.
    """
    names = [one.predicate for one in features.truth]
    texts = [one.descriptions[0] for one in features.truth]
    places = shuffled(names, rng)
    asked: dict[str, list[Meaning | None]] = {
        "exact": [exact_meaning(name) for name in names],
        "wording": judge.meanings(texts),
        "shuffled": judge.meanings([texts[place] for place in places]),
        "empty": judge.meanings([""] * len(texts)),
        "denied": judge.meanings([denied(name) for name in names]),
    }
    found: dict[str, Any] = {
        kind: scores(features, judge.predict_meanings(meanings, features.own["ids"]))
        for kind, meanings in asked.items()
    }
    how = Counter(one.how for one in asked["wording"] if one is not None)
    found["mapped"] = {name: how[name] / len(texts) for name in ("grammar", "nearest")}
    return found


def measure_judge(features: Split, judge: ExactJudge, *, seed: int) -> dict[str, Any]:
    """Say what `judge_quality` says, of the headline's kinds and of each kind."""
    parts = {"headline": HEADLINE} | {kind: (kind,) for kind in kinds_of(features)}
    return {
        name: judge_quality(features.of(kinds), judge, rng=np.random.default_rng(seed))
        for name, kinds in parts.items()
    }


def measure_readers(
    features: Split, judge: ExactJudge, readers: Mapping[str, Reader]
) -> dict[str, Any]:
    """Score the exact predicate and readers of tokens by name, by kind of feature."""
    found: dict[str, Any] = {}
    for kind in kinds_of(features):
        own = features.of((kind,))
        exact = [exact_meaning(one.predicate) for one in own.truth]
        found[kind] = {"exact": scores(own, judge.predict_meanings(exact, own.own["ids"]))}
        found[kind] |= {name: scores(own, reader(own)) for name, reader in readers.items()}
    return found


def kinds_of(features: Split) -> list[str]:
    """Kinds of features that a split has."""
    return sorted({query.kind for query in features.queries})


class TableReader:
    """Reads the last one or two tokens: the feature's mean activation there on another text."""

    def __init__(
        self, ids: npt.NDArray[np.int32], activations: Callable[[str], Floats], *, tokens: int
    ) -> None:
        """Take a text, (n_windows, 32), and what features do on it, by query id, (n_windows * 32,).

        `tokens` is 1 or 2.
        """
        self._activations = activations
        # by two tokens where they occur, else by one
        self._keys_of: list[Callable[[Any], npt.NDArray[np.integer]]] = (
            [pair_keys, np.asarray] if tokens == 2 else [np.asarray]
        )
        self._known = [np.unique(keys(ids), return_inverse=True) for keys in self._keys_of]

    def __call__(self, features: Split) -> Floats:
        """Predict; a token that the text lacks counts 0, a bigram that it lacks as its token."""
        pairs = zip(features.queries, features.own["ids"], strict=True)
        return np.stack([self._read(query.id, ids) for query, ids in pairs])

    def _read(self, qid: str, ids: npt.NDArray[np.int32]) -> Floats:
        values, found = self._activations(qid).astype(np.float64), np.full(ids.shape, np.nan)
        for keys, (known, place) in zip(self._keys_of, self._known, strict=True):
            means = np.bincount(place.ravel(), values) / np.bincount(place.ravel())
            asked = keys(ids)
            at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
            seen = np.where(known[at] == asked, means[at], np.nan)
            found = np.where(np.isnan(found), seen, found)
        return np.nan_to_num(found.astype(np.float32))
