"""What other installed packages bring: entry points of the groups `introspect_bench.KIND`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from .errors import UsageError

Kind = Literal["tasks", "explainers", "targets", "judges"]


@cache
def installed(kind: Kind) -> dict[str, Any]:
    """What packages bring of a kind, by name: a `Task`, a class, a `TargetSpec`, a judge's maker.

    UsageError: one cannot be loaded, or two have the same name.
    """
    found: dict[str, Any] = {}
    for point in entry_points(group=f"introspect_bench.{kind}"):
        package = point.dist.name if point.dist else point.value
        if point.name in found:
            raise UsageError(f"{kind}: {package} and another package both bring '{point.name}'")
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise UsageError(
                f"{package}: its {point.value} cannot be loaded: {type(error).__name__}: {error}; "
                f"mend or remove {package}"
            ) from error
    return found
