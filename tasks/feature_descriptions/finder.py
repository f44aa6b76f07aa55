"""Describes the features of trained autoencoders and of vectors, and chooses their windows.

Owns what counts as a true description of each kind of feature, and the streams of chance. Needs
the target; text and autoencoders are made before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.tasks.feature_descriptions import measure, vectors
from introspect_bench.tasks.feature_descriptions.assemble import Candidate, candidates
from introspect_bench.tasks.feature_descriptions.describe import (
    Description,
    Useful,
    describe_features,
)
from introspect_bench.tasks.feature_descriptions.features import FeatureSource
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import Lexicon

LEAST_R = 0.5
"""Held-out correlation from which a description counts as true."""
LEAST_R_DIFFERENCE = 0.25
"""Correlation on the searched half from which a difference may be shown: hardly any reaches
`LEAST_R`, so the best are taken, by the half that is not scored."""

Progress = Callable[[str, int], None]
"""Told a stage and how many items it just finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The windows that features are measured on."""

    ids: npt.NDArray[np.int32]
    """Token ids, (n_windows, 32)."""
    searched: npt.NDArray[np.bool_]
    """Windows of the half that descriptions are found on, (n_windows,)."""
    bos: int
    """Token read before every window."""


class Finder:
    """One target, one text, one library of predicates."""

    all: dict[str, list[Description]]
    """Descriptions of all live features, true or not, by `KIND:LAYER`."""

    def __init__(
        self,
        *,
        target: Any,
        text: Text,
        tested: Useful,
        lexicon: Lexicon,
        seed: int,
        report: Progress,
    ) -> None:
        """Bind.

        Args:
            target: the target model.
            text: what features are measured on.
            tested: predicates on that text.
            lexicon: what is known about words.
            seed: decides all draws.
            report: progress callback.
        """
        self.target, self.text, self.tested, self.lexicon = target, text, tested, lexicon
        self.seed, self.report = seed, report
        self.all = {}

    def autoencoders(self, sources: Sequence[FeatureSource], work: Path) -> list[Candidate]:
        """Described features of autoencoders, one a layer; `work` gets shards."""
        measured = measure.feature_activations(
            self.target,
            sources,
            self.text.ids,
            bos=self.text.bos,
            work=work,
            report=self.report,
        )
        found: list[Candidate] = []
        for source, activations in zip(sources, measured, strict=True):
            kept = self._described("sae", source, activations, lambda one: one.r_held_out)
            found += self._candidates("sae", source, kept, activations, [4, source.layer])
        return found

    def vectors(self, centres: dict[int, vectors.Centring], *, tried: int) -> list[Candidate]:
        """Described full activations and differences, of `tried` a kind for each centred layer."""
        rng = [np.random.default_rng([self.seed, stream]) for stream in (2, 3)]
        own = self.text.ids[self.text.searched]
        sources = vectors.activation_sources(
            self.target, own, centres, count=tried, bos=self.text.bos, rng=rng[0]
        )
        kinds = ["activation"] * len(sources) + ["difference"] * len(sources)
        sources += vectors.difference_sources(self.target, centres, count=tried, rng=rng[1])
        measured = vectors.projections(
            self.target, sources, self.text.ids, bos=self.text.bos, report=self.report
        )
        found: list[Candidate] = []
        rows = zip(kinds, sources, measured, strict=True)
        for number, (kind, source, values) in enumerate(rows):
            true = (lambda d: d.r_held_out) if kind == "activation" else _difference_rank
            kept = self._described(kind, source, sparse.csc_matrix(values), true)
            found += self._candidates(kind, source, kept, values, [6, number])
        return found

    def _described(
        self,
        kind: str,
        source: Any,
        activations: sparse.csc_matrix,
        truth: Callable[[Description], float],
    ) -> list[Description]:
        """Descriptions of a source that count as true."""
        found = describe_features(activations, self.tested, self.text.searched, self.lexicon)
        self.all[f"{kind}:{source.layer:02d}"] = found
        self.report("features described", len(found))
        return [one for one in found if truth(one) >= LEAST_R]

    def _candidates(
        self,
        kind: str,
        source: Any,
        descriptions: Sequence[Description],
        activations: Any,
        stream: Sequence[int],
    ) -> list[Candidate]:
        names = sorted({one.name for one in descriptions})
        if not names:
            return []
        values = evaluate_named(names, self.text.ids, self.target.tokenizer, self.lexicon)
        return candidates(
            source,
            kind,
            descriptions,
            activations,
            self.text.ids,
            self.text.searched,
            {name: values[:, [place]] for place, name in enumerate(names)},
            rng=np.random.default_rng([self.seed, *stream]),
        )


def _difference_rank(one: Description) -> float:
    """Put a difference on the scale of `LEAST_R` by the half that is not scored."""
    return one.r_search - LEAST_R_DIFFERENCE + LEAST_R
