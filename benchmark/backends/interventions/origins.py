"""What an unmodified target holds at the places of queries, and which token a vector was read from.

Null models need it: the distance of a vector to what stood there, and the strongest rule without
words, which reads the source's token off the vector, puts it into the text and runs the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..models.target_model import TargetModel
from .outputs import greedy
from .trace import Branch, Stem, residuals

BATCH = 64
"""Prompts a forward pass."""
RIDGE = 1e-3
"""Penalty of the map from vectors to tokens, as a share of the mean variance."""

Floats = npt.NDArray[np.float32]


class Places:
    """A target as null models ask it."""

    def __init__(self, target: TargetModel) -> None:
        """Take a loaded target."""
        self._target = target

    def unpatched(
        self,
        texts: Sequence[str],
        positions: Sequence[int],
        layers: Sequence[tuple[int, int]],
    ) -> Floats:
        """Return means over layers of the residual stream of clean runs, float32 (n, d_model).

        Args:
            texts: prompts.
            positions: 0-based token index of each.
            layers: first and last layer of each, inclusive.
        """
        return _unpatched(self._target, texts, positions, layers)

    def token_lens(
        self, texts: Sequence[str], blocks: Sequence[tuple[int, int]]
    ) -> Callable[[Floats, Sequence[tuple[int, int]]], list[int]]:
        """Fit linear maps from vectors to tokens on clean runs; returns `(vectors, layers) -> ids`.

        Args:
            texts: prompts, each token but the first of which is read.
            blocks: first and last layer of each block, inclusive.
        """
        return _TokenLens(self._target, texts, blocks).read

    def answers_with_tokens(
        self, texts: Sequence[str], positions: Sequence[int], tokens: Sequence[int]
    ) -> list[str]:
        """Return the target's greedy answers after one token of each prompt was replaced.

        Args:
            texts: prompts.
            positions: 0-based token index of each.
            tokens: the token that is put there.
        """
        return _answers(self._target, texts, positions, tokens)


def _unpatched(
    target: TargetModel,
    texts: Sequence[str],
    positions: Sequence[int],
    layers: Sequence[tuple[int, int]],
) -> Floats:
    asked = sorted(set(zip(texts, positions, strict=True)), key=lambda one: (len(one[0]), one))
    found: dict[tuple[str, int], Floats] = {}
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        rows = [target.encode(text) for text, _ in batch]
        reads = residuals(target, rows, [[position] for _, position in batch])
        for one, read in zip(batch, reads, strict=True):
            found[one] = read[0].float().cpu().numpy()
    return np.stack(
        [
            found[text, position][low : high + 1].mean(0)
            for text, position, (low, high) in zip(texts, positions, layers, strict=True)
        ]
    )


class _TokenLens:
    """A linear map, by block of layers, from a residual stream to the embedding of its token."""

    def __init__(
        self, target: TargetModel, texts: Sequence[str], blocks: Sequence[tuple[int, int]]
    ) -> None:
        """Fit the maps on clean runs, on every token but the first of each text.

        Args:
            target: the target.
            texts: prompts, each read once.
            blocks: first and last layer of each block, inclusive.
        """
        self._table = target.model.get_input_embeddings().weight.detach().float().cpu().numpy()
        rows = sorted(
            {tuple(target.encode(text)) for text in texts}, key=lambda ids: (len(ids), ids)
        )
        rows = [ids for ids in rows if len(ids) > 1]
        tokens = np.concatenate([np.array(ids[1:]) for ids in rows])
        states: dict[tuple[int, int], list[Floats]] = {block: [] for block in blocks}
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            reads = residuals(target, batch, [range(1, len(ids)) for ids in batch])
            for read in reads:
                values = read.float().cpu().numpy()  # (n_tokens - 1, n_layers, d_model)
                for low, high in blocks:
                    states[low, high].append(values[:, low : high + 1].mean(1))
        self._centre = self._table.mean(0)
        wanted = self._table[tokens] - self._centre
        self._maps = {block: _ridge(np.concatenate(own), wanted) for block, own in states.items()}

    def read(self, vectors: Floats, layers: Sequence[tuple[int, int]]) -> list[int]:
        """Return the likeliest token of each vector, by cosine with the embeddings.

        Args:
            vectors: (n, d_model).
            layers: the block of each.
        """
        unit = _unit(self._table - self._centre)
        found = []
        for vector, block in zip(vectors, layers, strict=True):
            mean, weights = self._maps[block]
            found.append(int(np.argmax(unit @ ((vector - mean) @ weights))))
        return found


def _answers(
    target: TargetModel, texts: Sequence[str], positions: Sequence[int], tokens: Sequence[int]
) -> list[str]:
    asked = []
    for text, position, token in zip(texts, positions, tokens, strict=True):
        ids = target.encode(text)
        ids[position] = token
        asked.append(tuple(ids))
    distinct = sorted(set(asked), key=lambda ids: (len(ids), ids))
    found: dict[tuple[int, ...], str] = {}
    for start in range(0, len(distinct), BATCH):
        batch = distinct[start : start + BATCH]
        outputs = greedy(target, [Stem(ids=(), branches=(Branch(ids=ids),)) for ids in batch])
        found.update({ids: one.text for ids, one in zip(batch, outputs, strict=True)})
    return [found[ids] for ids in asked]


def _ridge(rows: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    mean = rows.mean(0)
    centred = (rows - mean).astype(np.float64)
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, centred.T @ wanted)
    return mean, weights.astype(np.float32)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
