"""The predicates that features of context are searched with, and their values on a text.

Owns what is kept of the library in `predicates/`: parts that can be said as a thing or a context
(`slots.py`), counted and pruned on the searched half alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.tasks.feature_descriptions.contextual.slots import SLOTS, slot
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import Lexicon
from introspect_bench.tasks.feature_descriptions.predicates.library import (
    build_library,
    count_frequent,
    prune,
)
from introspect_bench.tasks.feature_descriptions.predicates.words import HasVocabulary
from introspect_bench.tasks.feature_descriptions.windows import WINDOW

AT_LEAST = 25
"""Tokens of the searched half on which a predicate must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Predicates that descriptions are made of."""

    names: tuple[str, ...]
    """Names, simple ones first."""
    slots: npt.NDArray[np.int64]
    """Place of each one's slot in `SLOTS`, (n_predicates,)."""
    values: sparse.csc_matrix
    """uint8 (n_windows * 32, n_predicates), 0 or 1."""


def make_parts(
    ids: npt.NDArray[np.int32],
    searched: npt.NDArray[np.bool_],
    tokenizer: HasVocabulary,
    lexicon: Lexicon,
) -> Parts:
    """Make the library for a text.

    Args:
        ids: windows, (n_windows, 32).
        searched: windows of the half that is searched, (n_windows,).
        tokenizer: the target's.
        lexicon: what is known about words.
    """
    frequent = count_frequent(ids[searched], tokenizer, lexicon, at_least=AT_LEAST)
    library = [each for each in build_library(lexicon, frequent) if slot(each.name) is not None]
    names = [each.name for each in library]
    values = evaluate_named(names, ids, tokenizer, lexicon)
    rows = np.flatnonzero(np.repeat(searched, WINDOW))
    kept = list(prune(library, sparse.csc_matrix(values.tocsr()[rows]), at_least=AT_LEAST))
    chosen = tuple(names[place] for place in kept)
    return Parts(
        names=chosen,
        slots=np.array([SLOTS.index(str(slot(name))) for name in chosen], dtype=np.int64),
        values=sparse.csc_matrix(values[:, kept]),
    )
