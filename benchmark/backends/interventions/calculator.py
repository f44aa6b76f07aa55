"""What a target answers to texts and under patches, whole batches of them: no file, no journal.

Owns how interventions become rows of a batch for who wants outcomes alone. The answers are those of
`outputs.py`, so that a suite's labels are had again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ...models.targets import weight_files
from ..explainer.checkpoints import find_model
from ..models.target_model import TargetModel, load_target_model
from .outputs import Output, batches, greedy, letter_tokens, letters
from .trace import Branch, Stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to be answered."""

    text: str
    """What the target reads."""
    prefix: str | None = None
    """Beginning of its reply, if the text is a user's turn."""
    letter: bool = False
    """Whether the answer is one of four letters; then there is a prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A text with one vector written over the residual stream."""

    text: str
    """What the target reads."""
    position: int
    """Token whose residual stream is overwritten, from 0."""
    layers: tuple[int, int]
    """First and last layer where it is."""
    vector: npt.NDArray[np.float32]
    """What is written, shape (d_target,)."""


class Calculator:
    """A loaded target that answers."""

    def __init__(self, target: TargetModel, batch_size: int) -> None:
        """Take a target and the most rows of one pass."""
        self.target, self.batch_size = target, batch_size

    def answers(self, texts: Sequence[Text]) -> dict[Text, str]:
        """Return the answer to each text; equal texts are read once."""
        found: dict[Text, str] = {}
        distinct = list(dict.fromkeys(texts))
        for prefix in dict.fromkeys(text.prefix for text in distinct if text.letter):
            tokens = letter_tokens(self.target, prefix or "")
            chosen = [text for text in distinct if text.letter and text.prefix == prefix]

            def read(stems: Sequence[Stem], tokens: tuple[int, ...] = tokens) -> list[Output]:
                return letters(self.target, stems, tokens)

            found.update(
                zip(chosen, self._read([self._plain(t) for t in chosen], read), strict=True)
            )
        chosen = [text for text in distinct if not text.letter]
        said = self._read([self._plain(text) for text in chosen], self._greedy)
        return found | dict(zip(chosen, said, strict=True))

    def patched(self, patches: Sequence[Patch]) -> list[str]:
        """Return the answer under each patch, in order."""
        return self._read([self._patched(patch) for patch in patches], self._greedy)

    def _greedy(self, stems: Sequence[Stem]) -> list[Output]:
        return greedy(self.target, stems)

    def _plain(self, text: Text) -> Stem:
        if text.prefix is None:
            ids = self.target.encode(text.text)
        else:
            ids = self.target.encode_chat(text.text, text.prefix)
        return Stem(ids=(), branches=(Branch(ids=tuple(ids)),))

    def _patched(self, patch: Patch) -> Stem:
        ids = tuple(self.target.encode(patch.text))
        vector = torch.from_numpy(np.ascontiguousarray(patch.vector, dtype=np.float32))
        branch = Branch(ids=ids[patch.position :], layers=patch.layers, vector=vector)
        return Stem(ids=ids[: patch.position], branches=(branch,))

    def _read(
        self, stems: Sequence[Stem], read: Callable[[Sequence[Stem]], list[Output]]
    ) -> list[str]:
        found: dict[int, str] = {}
        for chosen in batches(stems, self.batch_size):
            outputs = read([stems[i] for i in chosen])
            found.update(zip(chosen, (output.text for output in outputs), strict=True))
        return [found[i] for i in range(len(stems))]


def load_calculator(
    model: str, *, device: str, dtype: torch.dtype, batch_size: int
) -> tuple[Calculator, dict[str, str]]:
    """Load a target by name, hub id or folder; return it with the hashes of its weight files.

    Raises:
        UsageError: unknown name, device or architecture.
        MissingPartError: weights, tokenizer or device are missing.
        IntegrityError: the weights are corrupt.
    """
    folder = find_model(model).directory
    target = load_target_model(folder, device=device, dtype=dtype)
    return Calculator(target, batch_size), weight_files(folder)
