"""What a target answers to texts and under patches, and what it holds where nothing is patched.

`Calculator` answers as it did when a suite was made. `Places` serves null models: the distance of a
vector to what stood there, and the strongest rule without words, which reads the source's token off
the vector, puts it into the text and runs the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from ...models.targets import weight_files
from ...team import Team, team
from ..explainer.load import find_model
from ..models.target_model import TargetModel, load_target_model
from .outputs import Output, batches, greedy, letter_tokens, letters
from .trace import Branch, Stem, residuals

BATCH = 64  # prompts a forward pass of `Places`
RIDGE = 1e-3  # penalty of the map from vectors to tokens, as a share of the mean variance

Floats = npt.NDArray[np.float32]
Row = TypeVar("Row")
Blocks = Sequence[tuple[int, int]]  # first and last layer of each block, inclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to be answered."""

    text: str  # what the target reads
    prefix: str | None = None  # beginning of its reply, if the text is a user's turn
    letter: bool = False  # whether the answer is one of four letters; then there is a prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A text with one vector written over the residual stream."""

    text: str  # what the target reads
    position: int  # token whose residual stream is overwritten, from 0
    layers: tuple[int, int]  # first and last layer where it is
    vector: Floats  # what is written, shape (d_target,)


class Calculator:
    """A loaded target that answers."""

    def __init__(self, target: TargetModel, batch_size: int, *, dealt: bool = False) -> None:
        """Take a target and the most rows of one pass.

        With `dealt`, processes that all ask the same answer a part each.
        """
        self.target, self.batch_size = target, batch_size
        self._team = team() if dealt else Team()

    def answers(self, texts: Sequence[Text]) -> dict[Text, str]:
        """The answer to each text; equal texts are read once."""
        by_prefix: dict[str | None, list[Text]] = {}
        for text in dict.fromkeys(texts):
            by_prefix.setdefault((text.prefix or "") if text.letter else None, []).append(text)
        answers: dict[Text, str] = {}
        for prefix, chosen in by_prefix.items():
            read: Callable[..., list[Output]] = greedy
            if prefix is not None:
                read = partial(letters, tokens=letter_tokens(self.target, prefix))
            answers.update(zip(chosen, self.read(map(self._plain, chosen), read), strict=True))
        return answers

    def patched(self, patches: Sequence[Patch]) -> list[str]:
        """The answer under each patch, in order."""
        return self.read(map(self._patched, patches), greedy)

    def _plain(self, text: Text) -> Stem:
        if text.prefix is None:
            return _stem(self.target.encode(text.text))
        return _stem(self.target.encode_chat(text.text, text.prefix))

    def _patched(self, patch: Patch) -> Stem:
        ids = tuple(self.target.encode(patch.text))
        vector = torch.from_numpy(np.ascontiguousarray(patch.vector, dtype=np.float32))
        branch = Branch(ids=ids[patch.position :], layers=patch.layers, vector=vector)
        return Stem(ids=ids[: patch.position], branches=(branch,))

    def read(self, asked: Iterable[Stem], read: Callable[..., list[Output]]) -> list[str]:
        """What `read` makes of stems of one branch each, in order."""
        stems = list(asked)

        def said(chosen: Sequence[int]) -> list[str]:
            return [output.text for output in read(self.target, [stems[i] for i in chosen])]

        answers: dict[int, str] = {}
        for chosen, own in self._team.deal([*batches(stems, self.batch_size)], said):
            answers.update(zip(chosen, own, strict=True))
        return [answers[i] for i in range(len(stems))]


def load_calculator(
    model: str, *, device: str, dtype: torch.dtype, batch_size: int
) -> tuple[Calculator, dict[str, str]]:
    """Load a target by name, hub id or folder; return it with the hashes of its weight files."""
    folder = find_model(model).directory
    target = load_target_model(folder, device=device, dtype=dtype)
    return Calculator(target, batch_size), weight_files(folder)


class Places:
    """A target as null models ask it; positions are 0-based token indices."""

    def __init__(self, target: TargetModel) -> None:
        """Take a loaded target."""
        self._target = target

    def unpatched(self, texts: Sequence[str], positions: Sequence[int], layers: Blocks) -> Floats:
        """Means over layers of the residual stream of clean runs, float32 (n, d_model)."""
        places = list(zip(texts, positions, strict=True))
        asked = sorted(set(places), key=lambda one: (len(one[0]), one))

        def read(batch: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Floats]:
            rows = [self._target.encode(text) for text, _ in batch]
            reads = residuals(self._target, rows, [[position] for _, position in batch])
            return {
                one: read[0].float().cpu().numpy() for one, read in zip(batch, reads, strict=True)
            }

        states: dict[tuple[str, int], Floats] = {}
        for _, found in team().deal(_parts(asked), read):
            states |= found
        blocks = zip(places, layers, strict=True)
        return np.stack([states[place][low : high + 1].mean(0) for place, (low, high) in blocks])

    def token_lens(
        self, texts: Sequence[str], blocks: Blocks
    ) -> Callable[[Floats, Blocks], list[int]]:
        """Fit linear maps from residuals of blocks to the embeddings of their tokens.

        Clean runs give every token but the first of each text. Returned is `(vectors, blocks) ->
        ids`, the likeliest token of each vector by cosine with the embeddings.
        """
        table = self._target.model.get_input_embeddings().weight.detach().float().cpu().numpy()
        asked = {tuple(self._target.encode(text)) for text in texts}
        rows = sorted((ids for ids in asked if len(ids) > 1), key=lambda ids: (len(ids), ids))
        states: dict[tuple[int, int], list[Floats]] = {block: [] for block in blocks}

        def means(batch: Sequence[tuple[int, ...]]) -> list[list[Floats]]:
            found = []
            for read in residuals(self._target, batch, [range(1, len(ids)) for ids in batch]):
                values = read.float().cpu().numpy()  # (n_tokens - 1, n_layers, d_model)
                found.append([values[:, low : high + 1].mean(1) for low, high in blocks])
            return found

        for _, found in team().deal(_parts(rows), means):
            for own in found:
                for block, values in zip(blocks, own, strict=True):
                    states[block].append(values)
        centred = table - table.mean(0)
        wanted = centred[np.concatenate([np.array(ids[1:]) for ids in rows])]
        maps = {block: _ridge(np.concatenate(own), wanted) for block, own in states.items()}
        unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)

        def lens(vectors: Floats, layers: Blocks) -> list[int]:
            tokens = []
            for vector, block in zip(vectors, layers, strict=True):
                mean, weights = maps[block]
                tokens.append(int(np.argmax(unit @ ((vector - mean) @ weights))))
            return tokens

        return lens

    def answers_with_tokens(
        self, texts: Sequence[str], positions: Sequence[int], tokens: Sequence[int]
    ) -> list[str]:
        """The target's greedy answers after one token of each prompt was replaced."""
        asked = []
        for text, position, token in zip(texts, positions, tokens, strict=True):
            ids = self._target.encode(text)
            ids[position] = token
            asked.append(tuple(ids))
        distinct = sorted(set(asked))
        answers = Calculator(self._target, BATCH, dealt=True).read(map(_stem, distinct), greedy)
        found = dict(zip(distinct, answers, strict=True))
        return [found[ids] for ids in asked]


def _parts(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _stem(ids: Sequence[int]) -> Stem:
    return Stem(ids=(), branches=(Branch(ids=tuple(ids)),))


def _ridge(rows: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    mean = rows.mean(0)
    centred = (rows - mean).astype(np.float64)
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, centred.T @ wanted)
    return mean, weights.astype(np.float32)
