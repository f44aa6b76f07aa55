"""Progress that a test looks at."""

from __future__ import annotations


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int | None]] = []
        self.notes: list[str] = []

    def __call__(
        self, what: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        assert unit in ("", "bytes")
        self.steps.append((what, done, total))
        self.notes.append(note)
