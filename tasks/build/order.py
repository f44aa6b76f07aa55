"""What suite is to be made, and the refusal to make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import CheckFailedError
from ...benchmark.files import read_jsonl

FRESH = "fresh"  # under which sizes and bars of a fresh test stand, if they are its own
MINI = 32  # queries of validation that form the mini split, or a few more: groups stay whole

Report = Callable[[str, int], None]  # told a stage and how many items it just finished


class NotFrozenError(CheckFailedError):
    """A suite was measured and misses its bars; nothing was written."""

    def __init__(self, message: str, *, statistics: Mapping[str, Any]) -> None:
        """Keep what was measured, so that it can be shown."""
        super().__init__(message)
        self.statistics = statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOptions:
    """What may be said of a suite besides what is made, for which target, and where."""

    draft: bool = False  # write it even if bars are missed, marked as not frozen
    accept_misses: bool = False  # freeze it even if bars are missed, with the bars in the manifest
    sizes: Mapping[str, Any] | None = None  # other sizes than the task's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(MakeOptions):
    """What is to be made."""

    suite: str
    task: str
    target: Mapping[str, Any]
    """Description of the target for the manifest: name, source, revision, hashes."""
    seed: int  # chooses prompts, demonstrations, sources, hints and sentences
    out: Path  # folder to be made; must not exist, for what is frozen stays
    folder: Path | None = None  # folder of the target's weights; features need it, to sample text
    work: Path
    """Folder of journals; kept, so that a killed build goes on. Belongs to one version of the
    builder, one model and one device."""
    device: str = "cpu"  # what the model computes on, for the manifest
    public: Path | None = None
    """Folder of the suite whose test is made anew, from facts of the reserve: test alone is made,
    and nulls are fitted on that suite's train. None makes a whole suite."""
    nulls: bool = True
    """Whether null models are fitted; a test's tiny suites have nothing to fit them on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitJob:
    """One split to be measured."""

    target: Any  # `TargetModel`, float32
    split: str
    seed: int  # chooses prompts, demonstrations, sources, hints and sentences
    work: Path  # folder for journals of this split; those of the other splits lie beside it
    report: Report
    rounded: Callable[[], Any]  # gives the target with weights rounded to bf16


def mini_ids(queries: Path, n: int = MINI) -> list[str]:
    """Ids of the mini split: the first groups of each kind in turn, by group id."""
    groups: dict[str, dict[str, list[str]]] = {}
    for _, row in read_jsonl(queries):
        groups.setdefault(row["kind"], {}).setdefault(row["group"], []).append(row["id"])
    queues = {kind: [found[name] for name in sorted(found)] for kind, found in groups.items()}
    chosen: list[str] = []
    while len(chosen) < n and any(queues.values()):
        for kind in sorted(queues):
            if queues[kind] and len(chosen) < n:
                chosen += queues[kind].pop(0)
    return sorted(chosen)
