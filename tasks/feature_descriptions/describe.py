"""Descriptions known to be true: for each feature the predicate that best predicts its activation.

Owns the way from text and activations to named descriptions, and the curve of how many features
have one. Which half is searched and which verifies is the caller's; the search itself is in
`search.py`, predicates are in `predicates/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import Lexicon
from introspect_bench.tasks.feature_descriptions.predicates.library import (
    build_library,
    count_frequent,
    prune,
)
from introspect_bench.tasks.feature_descriptions.predicates.names import join
from introspect_bench.tasks.feature_descriptions.predicates.phrases import phrases
from introspect_bench.tasks.feature_descriptions.predicates.words import HasVocabulary
from introspect_bench.tasks.feature_descriptions.search import Found, search
from introspect_bench.tasks.feature_descriptions.windows import WINDOW

LEAST_PREDICATES = 3_000
"""Predicates that must survive pruning for the search to be worth the name."""
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Where the curve of explained features is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a feature was found to respond to."""

    feature: int
    """Column of the feature in its source."""
    name: str
    """Name of the predicate, from which it can be evaluated again."""
    phrases: tuple[str, ...]
    """English wordings, at least three."""
    r_search: float
    """Signed correlation on the half that was searched."""
    r_held_out: float
    """Signed correlation on the other half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Useful:
    """The predicates worth testing and their values on the text."""

    names: tuple[str, ...]
    """Names, simple ones first."""
    values: sparse.csc_matrix
    """uint8 (n_windows * 32, n_predicates), 0 or 1."""


def useful_predicates(
    ids: npt.NDArray[np.int32],
    searched: npt.NDArray[np.bool_],
    tokenizer: HasVocabulary,
    lexicon: Lexicon,
    *,
    at_least: int = 50,
    least_predicates: int = LEAST_PREDICATES,
) -> Useful:
    """Make the library for a text and keep what is worth searching.

    Words are counted and predicates pruned on the searched half alone.

    Args:
        ids: windows, (n_windows, 32).
        searched: windows of the half that is searched, (n_windows,).
        tokenizer: the target's.
        lexicon: what is known about words.
        at_least: tokens of that half on which a predicate must hold.
        least_predicates: how many must survive.

    Raises:
        CheckFailedError: fewer survive; the text is too short or too uniform.
    """
    frequent = count_frequent(ids[searched], tokenizer, lexicon)
    library = build_library(lexicon, frequent)
    values = evaluate(library, ids, tokenizer, lexicon)
    tokens = np.repeat(searched, WINDOW)
    kept = prune(
        library, sparse.csc_matrix(values.tocsr()[np.flatnonzero(tokens)]), at_least=at_least
    )
    if len(kept) < least_predicates:
        raise CheckFailedError(
            f"only {len(kept)} of {len(library)} predicates are worth testing on this text, "
            f"{least_predicates} are needed: more or more varied text"
        )
    columns = list(kept)
    return Useful(
        names=tuple(library[place].name for place in columns),
        values=sparse.csc_matrix(values[:, columns]),
    )


def describe_features(
    activations: sparse.csc_matrix,
    tested: Useful,
    searched: npt.NDArray[np.bool_],
    lexicon: Lexicon,
) -> list[Description]:
    """Describe every feature of one source that is active often enough.

    Args:
        activations: float32 (n_windows * 32, n_features).
        tested: predicates on the same windows.
        searched: windows of the half that is searched, (n_windows,).
        lexicon: what is known about words.

    Raises:
        ValueError: shapes differ, or a half is empty.
    """
    found = search(activations, tested.values, np.repeat(searched, WINDOW))
    return [_named(one, tested.names, lexicon) for one in found]


def explained(descriptions: Sequence[Description]) -> dict[str, float]:
    """Share of features whose description reaches each threshold on the half not searched.

    Raises:
        ValueError: there is no feature.
    """
    if not descriptions:
        raise ValueError("no features: a share of nothing has no value")
    rates = np.array([one.r_held_out for one in descriptions])
    return {f"{threshold:.1f}": float((rates >= threshold).mean()) for threshold in THRESHOLDS}


def _named(found: Found, names: Sequence[str], lexicon: Lexicon) -> Description:
    parts = [names[column] for column in found.predicates]
    name = parts[0] if found.how == "is" else join(found.how, *parts)
    return Description(
        feature=found.feature,
        name=name,
        phrases=phrases(name, lexicon),
        r_search=found.r_search,
        r_held_out=found.r_held_out,
    )
