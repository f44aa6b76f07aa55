"""How vectors enter, from the words of a command line or from a run file's header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import UsageError
from ...evaluation.spec import INJECTIONS
from ...registry import get_task
from .spec import Injection, Injections


def parse_injection(
    modes: Sequence[str] = (), scalings: Sequence[str] = (), slots: Sequence[str] = ()
) -> Injections | None:
    """Read words, each `TASK=VALUE` for one task or `VALUE` for all others; None without words.

    Args:
        modes: where vectors enter, one of `INJECTIONS`; `embedding` where none is given.
        scalings: their length.
        slots: placeholder tokens for each.

    Raises:
        UsageError: unknown task, mode or scaling, a task that is named twice, or no whole number.
    """
    given = {
        "mode": _by_task("injection", modes),
        "scaling": _by_task("scaling", scalings),
        "slots": _by_task("slots", slots),
    }
    tasks = dict.fromkeys(task for words in given.values() for task in words)
    found = {}
    for task in tasks:
        said = {name: words.get(task, words.get("")) for name, words in given.items()}
        found[task] = Injection.from_json(_place(said["mode"] or "embedding") | _size(said))
    if not found:
        return None
    return found[""] if list(found) == [""] else found


def read_injection(values: object) -> Injection:
    """Read an injection as a run file's header keeps it.

    Raises:
        UsageError: unknown mode or scaling, or anything else that is none.
    """
    if not isinstance(values, dict):
        raise UsageError(f"injection {str(values)[:80]!r}: expected an object")
    return Injection.from_json(values)


def _by_task(option: str, words: Sequence[str]) -> dict[str, str]:
    """Values of an option by task; the empty name stands for all other tasks."""
    found: dict[str, str] = {}
    for word in words:
        task, sign, value = word.rpartition("=")
        if sign:
            get_task(task)
        if task in found:
            raise UsageError(f"--{option} {word!r}: {task or 'all tasks'} got a value before")
        found[task] = value
    return found


def _place(mode: str) -> dict[str, Any]:
    name, _, layer = mode.partition(":")
    if layer and not layer.isdecimal():
        raise UsageError(f"injection {mode!r}: expected {INJECTIONS}")
    return {"mode": name, "layer": int(layer) if layer else None}


def _size(said: dict[str, str | None]) -> dict[str, Any]:
    """Scaling and slots, where they are said."""
    found: dict[str, Any] = {} if said["scaling"] is None else {"scaling": said["scaling"]}
    if said["slots"] is not None:
        if not said["slots"].isdecimal():
            raise UsageError(f"--slots {said['slots']!r}: give a whole number")
        found["slots"] = int(said["slots"])
    return found
