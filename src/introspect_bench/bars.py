"""Progress on stderr; what user code and libraries print while it is shown goes there too."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

import click

from .benchmark.team import team
from .console import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS = 30  # Between two lines of progress where there is no terminal


class Bar:
    """Progress: a bar that moves on a terminal, elsewhere a line a step and half minute."""

    def __init__(
        self,
        live: Progress | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        self._live, self._clock, self._quiet = live, clock, quiet
        self._began = self._said = (0.0, 0)  # when, and how much was done then
        self._steps: dict[str, TaskID | None] = {}

    def __call__(
        self, what: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        """Show how far a step is."""
        if self._quiet:
            return
        shown = [f"{n / 1e6:.1f} MB" if unit == "bytes" else str(n) for n in (done, total or 0)]
        amount = " of ".join(shown) if total else shown[0] if done else ""
        self._show(what, done, total, f"{amount}  {note}".strip())

    def _show(self, what: str, done: int, total: int | None, amount: str) -> None:
        if what not in self._steps:
            if self._live is None:
                click.echo(f"{printable(what)} ...", err=True)
                self._steps[what] = None
                self._began = self._said = (self._clock(), done)
            else:
                for step in self._live.tasks:  # one step at a time: the one before has ended
                    end = step.total or step.completed or 1
                    self._live.update(step.id, total=end, completed=end)
                self._steps[what] = self._live.add_task(printable(what), total=total, amount=amount)
        step_id = self._steps[what]
        if self._live is not None and step_id is not None:
            self._live.update(step_id, completed=done, total=total, amount=amount)
        elif self._live is None and self._clock() - self._said[0] >= SECONDS:
            self._said = (self._clock(), done)
            line = f"{what}: {amount}{self._left(done, total)}"
            click.echo(printable(line), err=True)

    def _left(self, done: int, total: int | None) -> str:
        """Say how long a step will take, if it goes on as it began."""
        seconds, more = self._clock() - self._began[0], done - self._began[1]
        if not total or more <= 0:
            return ""
        return f", about {math.ceil((total - done) * seconds / more / 60)} min left"


@contextmanager
def _results_only() -> Iterator[None]:
    """Send what user code and libraries print, also from processes of theirs, to stderr."""
    sys.stdout.flush()
    with redirect_stdout(sys.stderr), ExitStack() as after:
        with suppress(OSError):  # of a stream that was closed
            kept = os.dup(1)
            after.callback(os.close, kept)
            os.dup2(2, 1)
            after.callback(os.dup2, kept, 1)
        yield


@contextmanager
def progress() -> Iterator[Bar]:
    """Show progress on stderr while the block runs; what the block prints goes there too."""
    with _results_only(), _bar() as bar:
        yield bar


@contextmanager
def _bar() -> Iterator[Bar]:
    if not team().first or not sys.stderr.isatty():
        yield Bar(None, quiet=not team().first)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[Any] = [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),  # of the step
    ]
    # the stream itself, not whatever `sys.stderr` is at the moment: libraries are silenced by
    # redirecting that
    with Progress(*columns, console=Console(file=sys.stderr)) as live:
        yield Bar(live)
