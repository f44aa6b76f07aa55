"""A suite that reads each of its files once: for scoring many runs in one process.

What changes on disk afterwards is not seen, so nothing that writes suites uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from introspect_bench.benchmark.suite.suite import Suite

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSuite(Suite):
    """A suite with what was read of it so far."""

    _held: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def read(self, name: str) -> bytes:
        """Return a file's bytes, checked when they were first read."""
        if name not in self._held:
            self._held[name] = Suite.read(self, name)
        data: bytes = self._held[name]
        return data

    def _rows(self, name: str, build: Callable[[dict[str, Any]], tuple[str, T]]) -> dict[str, T]:
        key = (name, build)
        if key not in self._held:
            self._held[key] = Suite._rows(self, name, build)
        rows: dict[str, T] = self._held[key]
        return dict(rows)


def held(suite: Suite) -> HeldSuite:
    """Return the same suite, holding what it reads."""
    return HeldSuite(root=suite.root, manifest=suite.manifest)
