"""Processes that work together, as `torchrun` or `accelerate launch` started them.

Every process runs the same program. Work is dealt in rounds, what each process found is handed to
all, and the first alone writes files. A process alone is a team of one and loads no torch here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import IntrospectBenchError

Job = TypeVar("Job")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Team:
    """Which of the processes this is."""

    rank: int = 0  # this process, from 0
    size: int = 1
    local_rank: int = 0  # this process among those of its machine

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def gather(self, work: Callable[[], Found]) -> list[Found]:
        """What `work` returns in every process, by rank; all must call it.

        If one of our errors ends it anywhere, every process raises that.
        """
        if self.size == 1:
            return [work()]
        try:
            own: tuple[Any, IntrospectBenchError | None] = (work(), None)
        except IntrospectBenchError as error:
            own = (None, error)
        from .backends.gather import gathered

        found = gathered(own)
        for _, failed in found:
            if failed is not None:
                raise failed
        return [value for value, _ in found]

    def share(self, work: Callable[[], Found]) -> Found:
        """What `work` returns in the first process, which alone does it, or its error."""
        found = self.gather(lambda: work() if self.first else None)[0]
        return found  # type: ignore[return-value]  # the first's is never None for want of work

    def deal(self, jobs: Sequence[Job], do: Callable[[Job], Found]) -> Iterator[tuple[Job, Found]]:
        """Yield every job with what it gave, in order, in every process; each does its part."""
        for start in range(0, len(jobs), self.size):
            now = jobs[start : start + self.size]
            mine = now[self.rank] if self.rank < len(now) else None
            found = self.gather(lambda mine=mine: None if mine is None else do(mine))  # type: ignore[misc]
            yield from zip(now, found, strict=False)


def team() -> Team:
    """The team of this process, from the environment."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    rank, size, local = (
        int(os.environ.get(name, default)) for name, default in zip(names, "010", strict=True)
    )
    return Team(rank=rank, size=size, local_rank=local)
