"""What a split of features of context is worth, and what its judge makes of known texts.

Owns the numbers that the bars are about: the exact predicate, its wordings, another feature's, an
empty text, the context denied, and readers of one and of two tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from introspect_bench.tasks.feature_descriptions.contextual.draft import ContextFeature
from introspect_bench.tasks.feature_descriptions.contextual.judge import (
    ExactJudge,
    Meaning,
    exact_meaning,
)
from introspect_bench.tasks.feature_descriptions.contextual.scoring import (
    marked_auroc,
    weighted_r,
)
from introspect_bench.tasks.feature_descriptions.contextual.wording import denied
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import Lexicon
from introspect_bench.tasks.feature_descriptions.simulate import shuffled
from introspect_bench.tasks.statistics import Bar

BARS: Mapping[str, tuple[Bar, ...]] = {
    "bigram": (
        Bar(name="exact.auroc", low=0.80),
        Bar(name="distinct", low=150),
        Bar(name="commonest", high=0.03),
    ),
    "context-token": (
        Bar(name="exact.auroc", low=0.80),
        Bar(name="token_reader.auroc", low=0.48, high=0.52),
    ),
    "judge": (
        Bar(name="wording.auroc", low=0.68),
        Bar(name="shuffled.auroc", low=0.48, high=0.52),
        Bar(name="empty.auroc", low=0.5, high=0.5),
        Bar(name="denied.auroc", high=0.35),
    ),
}
"""What test must reach, by kind; the judge's are over both kinds together."""

Floats = npt.NDArray[np.float32]


class Reader(Protocol):
    """Predicts an activation from tokens, such as a table of means."""

    def __call__(self, one: ContextFeature) -> Floats:
        """Predict the activations of a feature's windows, (16, 32)."""


def scores(features: Sequence[ContextFeature], predicted: Sequence[Floats]) -> dict[str, float]:
    """Mean pairwise AUROC at the marks, and mean weighted correlation over random windows.

    Features of kind `token` have no marks; of them alone only the correlation is known.

    Raises:
        ValueError: there is no feature.
    """
    if not features:
        raise ValueError("no features: a mean over nothing has no value")
    rows = list(zip(features, predicted, strict=True))
    rates = [weighted_r(one.activations.astype(np.float32), p, one.weights) for one, p in rows]
    found = {"r": float(np.mean(rates))}
    marked = [(one, p) for one, p in rows if one.kind != "token"]
    if marked:
        aurocs = [marked_auroc(p, one.marks, one.strong, one.pair_group) for one, p in marked]
        found["auroc"] = float(np.mean(aurocs))
    return found


def judge_quality(
    features: Sequence[ContextFeature],
    judge: ExactJudge,
    lexicon: Lexicon,
    *,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Score the exact predicate, and the judge on texts whose worth is known.

    Args:
        features: of one split.
        judge: maps texts to predicates.
        lexicon: what is known about words.
        rng: pairs features with others' descriptions.

    Returns:
        For `exact`, `wording`, `shuffled`, `empty` and `denied` what `scores` says; `mapped`: the
        share of wordings read by the grammar, and by the nearest wording.
    """
    windows = np.stack([one.ids for one in features])
    names = [one.described.name for one in features]
    texts = [one.descriptions[0] for one in features]
    places = shuffled(names, rng)
    asked: dict[str, list[Meaning | None]] = {
        "exact": [exact_meaning(name) for name in names],
        "wording": judge.meanings(texts),
        "shuffled": judge.meanings([texts[place] for place in places]),
        "empty": judge.meanings([""] * len(texts)),
        "denied": judge.meanings([denied(name, lexicon) for name in names]),
    }
    found: dict[str, Any] = {
        kind: scores(features, list(judge.predict_meanings(meanings, windows)))
        for kind, meanings in asked.items()
    }
    how = Counter(one.how for one in asked["wording"] if one is not None)
    found["mapped"] = {name: how[name] / len(texts) for name in ("grammar", "nearest")}
    return found


def describe_split(
    features: Sequence[ContextFeature], readers: Mapping[str, Reader]
) -> dict[str, Any]:
    """Say what a split looks like by kind: features, layers, descriptions, readers of tokens.

    Args:
        features: of one split.
        readers: by name, such as `token_reader`.
    """
    found: dict[str, Any] = {}
    for kind in sorted({one.kind for one in features}):
        own = [one for one in features if one.kind == kind]
        names = Counter(one.described.name for one in own)
        layers = Counter(one.layer for one in own)
        found[kind] = {
            "queries": len(own),
            "layers": {str(layer): layers[layer] for layer in sorted(layers)},
            "distinct": len(names),
            "commonest": max(names.values()) / len(own),
            **{name: scores(own, [reader(one) for one in own]) for name, reader in readers.items()},
        }
    return found


class TableReader:
    """Reads the last one or two tokens: the feature's mean activation there on another text."""

    def __init__(
        self,
        ids: npt.NDArray[np.int32],
        activations: Mapping[tuple[int, int], Floats],
        *,
        tokens: int,
    ) -> None:
        """Take a text and what features do on it.

        Args:
            ids: windows, (n_windows, 32).
            activations: by layer and latent, (n_windows * 32,).
            tokens: 1 or 2.
        """
        self._tokens, self._activations = tokens, activations
        self._keys = _keys(ids, tokens).ravel()

    def __call__(self, one: ContextFeature) -> Floats:
        """Predict; a token that the text lacks counts 0, a bigram that it lacks as its token."""
        values = self._activations[one.layer, one.described.feature]
        asked = _keys(one.ids, self._tokens)
        found = _means(self._keys, values, asked)
        if self._tokens == 2:
            single = _means(self._keys & 0xFFFFFFFF, values, asked & 0xFFFFFFFF)
            found = np.where(np.isnan(found), single, found)
        return np.nan_to_num(found).astype(np.float32)


def _keys(ids: npt.NDArray[np.int32], tokens: int) -> npt.NDArray[np.int64]:
    keys = ids.astype(np.int64).copy()
    if tokens == 2:
        keys[:, 1:] += (ids[:, :-1].astype(np.int64) + 1) << 32
    return keys


def _means(
    keys: npt.NDArray[np.int64], values: Floats, asked: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Mean value by key, NaN where the key never occurs."""
    known, place = np.unique(keys, return_inverse=True)
    means = np.bincount(place, values.astype(np.float64)) / np.bincount(place)
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    found: npt.NDArray[np.float64] = np.where(known[at] == asked, means[at], np.nan)
    return found
