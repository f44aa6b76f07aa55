"""What a forward pass takes: rows padded to one width, their positions, and a key-value cache.

Batches become smaller when memory ends.

transformers 5.24 renamed `past_key_values` to `cache`, in arguments and outputs alike; it takes the
old argument with a warning and says that 5.40 no longer will.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from ...cache import Progress
from ...errors import IntegrityError, MissingPartError, memory_ended

T = TypeVar("T")


def name_in(output: type) -> str:
    """The name that a class of outputs has for the cache."""
    there = {field.name for field in fields(output)}
    return next(name for name in ("cache", "past_key_values") if name in there)


NAME = name_in(BaseModelOutputWithPast)  # in the installed version


def with_cache(cache: object) -> dict[str, Any]:
    """The argument that hands a cache, or None, to a model."""
    return {NAME: cache}


def cache_of(output: Any) -> Any:
    """The cache that a model's output holds."""
    return getattr(output, NAME)


def position_ids(mask: torch.Tensor) -> torch.Tensor:
    """Positions that count real tokens only, int64, same shape as `mask`; pads get 0."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """A padded batch."""

    ids: torch.Tensor  # int64 (rows, width)
    mask: torch.Tensor  # 1 for real tokens, int64 (rows, width)

    def inputs(self, **options: Any) -> dict[str, Any]:
        """Arguments of a model that reads the batch; without a cache unless options say so."""
        read = {"input_ids": self.ids, "attention_mask": self.mask, "use_cache": False}
        return {**read, "position_ids": self.positions, **options}

    @property
    def positions(self) -> torch.Tensor:
        """Positions of the tokens, int64 (rows, width); pads get 0."""
        return position_ids(self.mask)


def pad(
    rows: Sequence[Sequence[int]],
    model: Any = None,
    *,
    side: str = "left",
    fill: int = 0,
    multiple: int = 1,
) -> Padded:
    """Pad token rows to one width, a multiple of a number, on the CPU or a model's device."""
    width = -(-max(len(row) for row in rows) // multiple) * multiple
    ids = torch.full((len(rows), width), fill)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        where = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[index, where] = torch.tensor(row, dtype=torch.long)
        mask[index, where] = 1
    device = "cpu" if model is None else model.device
    return Padded(ids=ids.to(device), mask=mask.to(device))


def check_finite(
    values: torch.Tensor, name: Callable[[int], str], rows: Sequence[int] | None = None
) -> None:
    """Refuse the first row, or of some rows, that holds NaN or infinity, by the name it has.

    An arg-max of such numbers is a token like any other, and a mean a score.
    """
    good = values.flatten(1).isfinite().all(dim=1).tolist()
    for row in range(len(good)) if rows is None else rows:
        if not good[row]:
            raise IntegrityError(
                f"{name(row)}: the model gives NaN or infinite numbers; its weights are broken or "
                "too large for this dtype, get them again or choose float32"
            )


def stop_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """End-of-text tokens named by the tokenizer and by the model's generation settings."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return frozenset(token for token in found if token is not None)


class Room:
    """How many prompts fit into memory at once: found by trying, unless it was said."""

    def __init__(self, size: int, *, fixed: bool, tell: Progress) -> None:
        """Begin with a size; a `fixed` one is what the user chose."""
        self.size, self._fixed, self._tell = size, fixed, tell

    def parts(
        self, order: Sequence[int], work: Callable[[Sequence[int]], T]
    ) -> Iterator[tuple[Sequence[int], T]]:
        """Yield parts of `order` with what `work` makes of each, halving them as memory ends."""
        start = 0
        while start < len(order):
            part = order[start : start + self.size]
            try:
                made = work(part)
            except (RuntimeError, MemoryError) as error:
                if not memory_ended(error):
                    raise
                self._shrink(len(part), error)
                made = None
            if made is None:
                gc.collect()  # what was computed is let go of only here, behind the error
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            yield part, made
            start += len(part)

    def _shrink(self, tried: int, error: Exception) -> None:
        if self._fixed or tried == 1:
            less = "a device with more memory" if tried == 1 else f"--batch-size {tried // 2}"
            raise MissingPartError(
                f"memory ended with {tried} prompts at once; run it with {less}, "
                "into another folder"
            ) from error
        self.size = tried // 2
        self._tell(
            f"memory ended with {tried} prompts at once; going on with {self.size} "
            f"(--batch-size {self.size} begins with it)"
        )
