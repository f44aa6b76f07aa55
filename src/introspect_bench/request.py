"""What a run is: the options of `run`, their defaults, and the name of the file they lead to.

Owns nothing else and imports nothing heavy: `--help` shows these defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from introspect_bench.benchmark.errors import UsageError

if TYPE_CHECKING:
    from introspect_bench.benchmark.backends.injection import Injection
    from introspect_bench.benchmark.runwriter import Resume
    from introspect_bench.benchmark.suite import Suite
    from introspect_bench.benchmark.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Everything that says what a run is."""

    model: str
    """`baseline/NAME`, a folder, a hub id, a target's name, or `py:module:Class`."""
    suite: str = "smollm2-135m"
    """Name of a suite, or a folder of one."""
    tasks: Sequence[str] = ()
    """Tasks to answer; all of the suite if empty."""
    split: str = "test"
    """Which queries; `mini` is a small part of `validation`."""
    limit: int | None = None
    """Answer only the first so many queries; marks the run partial."""
    queries: Sequence[str] | None = None
    """Answer only the queries with these ids; marks the run partial."""
    resume: Resume = "auto"
    """What to do about an existing file."""
    device: str = "cpu"
    """A torch device."""
    dtype: str = "auto"
    """Dtype of a local model's weights: float32 on CPU, bfloat16 elsewhere if `auto`."""
    batch_size: int | None = None
    """Prompts in one batch; `AUTO_BATCH_SIZE` if None."""
    seed: int = 0
    """Chooses the solved queries that are shown."""
    shots: int | None = None
    """Solved queries to show; what the baseline is made for, or none, if None."""
    no_vector: bool = False
    """Withhold the vectors, as a control."""
    injection: Injection | None = None
    """How vectors enter a local model; what it declares, or the default, if None."""
    explainer_args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a `py:module:Class`."""
    output: Path = Path("runs")
    """Folder of run files."""

    def __post_init__(self) -> None:
        """Refuse what no run can be."""
        if not self.model:
            raise UsageError("the name of the model is empty")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"the batch size is {self.batch_size}; give 1 or more")

    def path(self, task: Task, suite: Suite) -> Path:
        """Return the file of one task's run: the same request always means the same file."""
        name = Path(self.model).resolve().name if Path(self.model).is_dir() else self.model
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
        control = ".no-vector" if self.no_vector else ""
        return self.output / f"{slug}{control}.{suite.name}.{task.name}.{self.split}.jsonl"
