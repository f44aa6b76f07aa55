"""The strongest rule without words: the source's token read off the vector, put into the text.

A linear map from vectors to token embeddings is fitted on clean runs of the training texts, in
which every token is known; then the target answers the text with that token in the patched one's
place. Class `replays`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...benchmark.metrics.verdicts import normalise_content
from .columns import Columns, texts
from .heads import ranked
from .null import REPLAYS, Null, Rule, Score, fit_null, pairs

TUNED_ON = 250
"""Training groups that the rule is chosen on; the target runs on each of their queries."""

Floats = npt.NDArray[np.float32]
Layers = Sequence[tuple[int, int]]


class Target(Protocol):
    """A target as null models ask it: `benchmark.backends.places.Places`."""

    def unpatched(self, texts: Sequence[str], positions: Sequence[int], layers: Layers) -> Floats:
        """Return what stands at places of clean runs, (n, d_model)."""
        ...

    def token_lens(
        self, texts: Sequence[str], blocks: Layers
    ) -> Callable[[Floats, Layers], list[int]]:
        """Return what reads tokens off vectors."""
        ...

    def answers_with_tokens(
        self, texts: Sequence[str], positions: Sequence[int], tokens: Sequence[int]
    ) -> list[str]:
        """Return answers after one token of each prompt was replaced."""
        ...


def places(columns: Columns) -> tuple[list[str], list[int], list[tuple[int, int]]]:
    """Return text, position and layers of each query."""
    layers = [(int(f["layers"][0]), int(f["layers"][1])) for f in columns.fields]
    return [*columns.text], [int(f["position"]) for f in columns.fields], layers


def fit_replays(train: Columns, others: Mapping[str, Columns], target: Target) -> Null:
    """Fit the map on train, choose the rule on a part of it, and measure it elsewhere."""
    shown, _, layers = places(train)
    read = target.token_lens(sorted(set(shown)), sorted(set(layers)))
    parts = {"train": train.take(train.group < TUNED_ON), **others}
    answers = []
    for part in parts.values():
        assert part.vector is not None
        where = places(part)
        tokens = read(part.vector, where[2])
        answers.append(
            texts(
                [
                    normalise_content(x)
                    for x in target.answers_with_tokens(where[0], where[1], tokens)
                ]
            )
        )
    differs = [
        np.asarray(said != part.clean, dtype=np.float64)
        for said, part in zip(answers, parts.values(), strict=True)
    ]
    score = Score(
        name="source's token read off and put into the text",
        access=REPLAYS,
        values=differs,
        vector=True,
    )
    rule = Rule(name="the target's answer", guessed=[ranked([[x] for x in a]) for a in answers])
    return fit_null(score, parts, pairs([*parts.values()], [rule], []))
