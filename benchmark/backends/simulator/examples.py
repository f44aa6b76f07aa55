"""What a simulator reads: lessons, drawn batch by batch, and the rows of one forward pass.

Batches depend on the seed and on their number alone, so a run that was interrupted draws the same.
An example holds its feature's own windows and windows of other features, with this feature's
activations on all of them: so a wrong description needs no rule of its own, and windows that were
chosen for a feature cannot be told by their look.

A row is `BOS Active on: DESCRIPTION Text:` and then its windows, one after another. A token sees
the description and the earlier tokens of its own window, never another window, and every window has
the positions that follow the description; so a window's predictions are those of that window alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import UsageError
from ...files import canonical_json, sha256_bytes

TOP = 10  # activation of a feature's most active token

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """Features with descriptions, windows and true activations; one lesson each."""

    descriptions: tuple[tuple[str, ...], ...]  # wordings by feature, at least one each
    opposites: tuple[tuple[str, ...], ...]  # of each description; may be empty
    ids: Ids  # token ids of windows, int32 (n, w, width)
    activations: Floats
    """The feature's true activations there, float32 (n, w, width), in any unit; only above 0
    counts."""
    vague: tuple[str, ...] = ("",)  # taught to predict the base rate everywhere

    def __post_init__(self) -> None:
        """Check that the parts fit and that no feature is silent on all its windows."""
        n = len(self.descriptions)
        shapes = (self.ids.ndim, self.ids.shape, len(self.opposites), len(self.ids))
        if not n or shapes != (3, self.activations.shape, n, n) or not self.vague:
            raise UsageError(
                f"{n} descriptions, {len(self.opposites)} opposites, windows {self.ids.shape}, "
                f"activations {self.activations.shape}: expected as many of each"
            )
        if not all(self.descriptions):
            raise UsageError(f"feature {self.descriptions.index(())} has no description")
        if not bool(np.isfinite(self.activations).all()):
            raise UsageError("an activation is not a finite number")
        silent = np.flatnonzero(self.activations.max(axis=(1, 2)) <= 0)
        if len(silent):
            raise UsageError(f"feature {silent[0]}, and {len(silent)} in all, are never active")

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.descriptions)

    def sha256(self) -> str:
        """Hash of everything in them."""
        parts = [self.descriptions, self.opposites, self.vague, list(self.ids.shape)]
        arrays = [sha256_bytes(a.tobytes()) for a in (self.ids, self.activations)]
        return sha256_bytes(canonical_json([parts, arrays]).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How a simulator is trained; all of it is compared with a checkpoint before going on."""

    epochs: int = 1  # times that every lesson is taken
    batch: int = 8  # lessons of one step
    rows: int = 4  # lessons of one forward pass; less needs less memory
    windows: int | None = None  # windows drawn for each lesson every time it is taken; None for all
    depth: int | None = None  # decoder layers of the base model that are used; None for all
    first_layer: int = 0  # first with an adapter; those below stay and get no gradient
    rank: int = 16  # rank of the adapter
    alpha: float = 32.0  # scale of the adapter, divided by its rank
    rate: float = 1e-3  # highest learning rate of AdamW
    warmup: float = 0.05  # share of the steps of the rise from 0; then it falls as a cosine
    decay: float = 0.01  # weight decay
    clip: float = 1.0  # greatest norm of the gradient
    opposite_share: float = 0.06  # lessons with an opposite and mirrored targets
    vague_share: float = 0.04  # share of lessons taken with a description that says nothing
    bfloat16: bool = False  # compute in bfloat16 where that is safe; the weights stay float32
    seed: int = 0  # chooses initial weights and all draws

    def __post_init__(self) -> None:
        """Check that the numbers are possible."""
        if min(self.epochs, self.batch, self.rows, self.rank, self.windows or 1) < 1:
            raise UsageError("epochs, batch, rows, windows and rank are at least 1")
        other = (self.opposite_share, self.vague_share)
        if min(other) < 0 or sum(other) >= 1:
            raise UsageError("the shares of opposites and vague texts leave no true descriptions")

    def n_steps(self, n_lessons: int) -> int:
        """Training steps in all."""
        return -(-self.epochs * n_lessons // self.batch)

    def rate_at(self, step: int, n_steps: int) -> float:
        """Learning rate of a step, from 0."""
        rise = (step + 1) / max(1.0, self.warmup * n_steps)
        fall = 0.5 * (1 + np.cos(np.pi * step / n_steps))
        return float(self.rate * min(1.0, rise) * fall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lessons of one step, as read."""

    descriptions: tuple[str, ...]  # one text each, n in all
    ids: Ids  # token ids, int32 (n, w, width)
    shares: Floats  # right share of each class 0 to 10, float32 (n, w, width, 11), sums 1


def targets(activations: Floats) -> Floats:
    """Scale activations (n, w, width) so that each feature's greatest is 10; none below 0."""
    top = activations.max(axis=(1, 2), keepdims=True)
    scaled: Floats = (np.maximum(activations, 0) * (TOP / top)).astype(np.float32)
    return np.minimum(scaled, np.float32(TOP))


def shares(values: Floats) -> Floats:
    """Split values 0 to 10 between the two nearest of 11 classes, whose mean they are."""
    low = np.minimum(np.floor(values), TOP - 1)
    upper = (values - low)[..., None]
    classes = np.arange(TOP + 1)
    split = (1 - upper) * (classes == low[..., None]) + upper * (classes == low[..., None] + 1)
    return np.asarray(split, dtype=np.float32)


def base_rate(lessons: Lessons) -> Floats:
    """Mean share of each class over all tokens of all lessons, float32 (11,)."""
    total = np.zeros(TOP + 1)
    for row in targets(lessons.activations):
        total += shares(row).sum(axis=(0, 1))
    return (total / lessons.ids.size).astype(np.float32)


def draw(lessons: Lessons, settings: TrainingSettings, rates: Floats, step: int) -> Batch:
    """Draw the batch of a step, counted from 0; `rates` are those of `base_rate`."""
    n = len(lessons)
    stop = min((step + 1) * settings.batch, settings.epochs * n)
    rows = [_place(place, n, settings.seed) for place in range(step * settings.batch, stop)]
    rng = np.random.default_rng((settings.seed, step, 1))
    texts, ids, right = [], [], []
    for row in rows:
        windows = np.arange(lessons.ids.shape[1])
        if settings.windows is not None:
            windows = np.sort(rng.permutation(windows)[: settings.windows])
        values = targets(lessons.activations[row][None])[0, windows]
        kind = rng.random()
        if kind < settings.vague_share:
            wordings, own = lessons.vague, np.broadcast_to(rates, (*values.shape, TOP + 1))
        elif kind < settings.vague_share + settings.opposite_share and lessons.opposites[row]:
            wordings, own = lessons.opposites[row], shares(TOP - values)
        else:
            wordings, own = lessons.descriptions[row], shares(values)
        texts.append(wordings[int(rng.integers(len(wordings)))])
        ids.append(lessons.ids[row, windows])
        right.append(own)
    return Batch(descriptions=tuple(texts), ids=np.stack(ids), shares=np.stack(right))


def _place(place: int, n: int, seed: int) -> int:
    """Which lesson stands at a place of the stream: each epoch is one random order of all."""
    epoch, position = divmod(place, n)
    return int(np.random.default_rng((seed, epoch, 0)).permutation(n)[position])


PROMPT_VERSION = 1  # version of the wording and of the layout of a row
BEFORE = "Active on:"  # what stands before a description
AFTER = "\nText:"  # what stands between a description and the windows
MAX_TOKENS = 64  # tokens of a description that are read


class Wording:
    """Turns descriptions into the token ids that stand before windows."""

    def __init__(self, tokenizer: Any) -> None:
        """Encode the fixed parts; the first token is that of the text's beginning, or else end."""
        starts = [t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id) if t is not None]
        if not starts:
            raise UsageError("the tokenizer has no token for the beginning or the end of text")
        self._tokenizer = tokenizer
        self._control = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        self._before = [starts[0], *self._plain(BEFORE)]
        self._after = self._plain(AFTER)

    def prefix(self, description: str) -> list[int]:
        """Token ids before the windows of a description, which is untrusted text.

        White space is collapsed and control tokens are read as characters, so that it cannot
        imitate the wording.
        """
        text = " ".join(description.split())
        ids = self._plain(f" {text}")[:MAX_TOKENS] if text else []
        return [*self._before, *ids, *self._after]

    def _plain(self, text: str) -> list[int]:
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        # added tokens that are not marked special are not split
        return [token for token in encoded["input_ids"] if token not in self._control]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Rows of one forward pass, padded on the left."""

    ids: Tensor  # token ids, int64 (rows, length)
    positions: Tensor  # position of every token, int64 (rows, length)
    mask: Tensor
    """Added to attention scores: 0 where a token may look, else the dtype's least, (rows, 1,
    length, length)."""
    first: int  # column of the first window's first token
    reach: int  # most tokens that one token sees, itself included


def pack(
    prefixes: Sequence[Sequence[int]], windows: Ids, *, device: torch.device, dtype: torch.dtype
) -> Packed:
    """Lay out one row a description: its prefix and its windows, int32 (rows, w, width)."""
    rows, count, width = windows.shape
    first = max(len(prefix) for prefix in prefixes)
    length = first + count * width
    ids = np.zeros((rows, length), dtype=np.int64)
    positions = np.zeros((rows, length), dtype=np.int64)
    # which part of its row a token belongs to: -1 padding, 0 description, then window by window
    part = np.zeros((rows, length), dtype=np.int64)
    part[:, first:] = np.repeat(np.arange(1, count + 1), width)
    ids[:, first:] = windows.reshape(rows, -1)
    for row, prefix in enumerate(prefixes):
        start = first - len(prefix)
        part[row, :start] = -1
        ids[row, start:first] = prefix
        positions[row, start:first] = np.arange(len(prefix))
        positions[row, first:] = len(prefix) + np.tile(np.arange(width), count)
    where = torch.from_numpy(part).to(device)
    own = where[:, :, None] == where[:, None, :]
    visible = (own | (where == 0)[:, None, :]).tril()
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    return Packed(
        ids=torch.from_numpy(ids).to(device),
        positions=torch.from_numpy(positions).to(device),
        mask=mask[:, None],
        first=first,
        reach=first + width,
    )
