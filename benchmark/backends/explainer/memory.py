"""Batches that become smaller when memory ends."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from ...cache import Progress
from ...errors import MissingPartError, memory_ended

T = TypeVar("T")


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
