"""How vectors enter, from the words of a command line or from a run file's header."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.request import INJECTIONS


def parse_injection(
    mode: str | None,
    scaling: str | None = None,
    slots: int | None = None,
    otherwise: str | None = None,
) -> Injection | None:
    """Read a mode, one of `INJECTIONS`, with what belongs to it; None if nothing is given.

    Args:
        mode: where vectors enter; `embedding` if None.
        scaling: their length.
        slots: placeholder tokens for each; those of `otherwise` if that is given.
        otherwise: where vectors of queries that name no token enter.

    Raises:
        UsageError: unknown mode or scaling, a layer that is not a number, impossible slots, or
            modes that do not go together.
    """
    if mode is None and scaling is None and slots is None and otherwise is None:
        return None
    held = {} if slots is None else {"slots": slots}
    values = _place(mode or "embedding") | ({} if scaling is None else {"scaling": scaling})
    if otherwise is None:
        return Injection.from_json(values | held)
    there = Injection.from_json(_place(otherwise) | held)
    return replace(Injection.from_json(values), otherwise=there)


def read_injection(values: object) -> Injection:
    """Read an injection as a run file's header keeps it.

    Raises:
        UsageError: unknown mode or scaling, or anything else that is none.
    """
    if not isinstance(values, dict):
        raise UsageError(f"injection {str(values)[:80]!r}: expected an object")
    return Injection.from_json(values)


def _place(mode: str) -> dict[str, Any]:
    name, _, layer = mode.partition(":")
    if layer and not layer.isdecimal():
        raise UsageError(f"injection {mode!r}: expected {INJECTIONS}")
    return {"mode": name, "layer": int(layer) if layer else None}
