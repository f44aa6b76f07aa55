"""The access class that the harness gives a run, from who answers and how vectors enter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..records import ORACLE, UNDECLARED, Query
from ..registry import find_baseline
from ..runs.header import local_access, widest


def harness_access(explainer: Mapping[str, Any], queries: Iterable[Query]) -> str:
    """Return the access class that the harness gives a run.

    Args:
        explainer: `name`, `kind` and `settings`, as a run's header holds them.
        queries: what is asked; a single one may stand for all of a task.

    Raises:
        UsageError: a baseline that there is none of.
    """
    name, kind, settings = (explainer.get(key) for key in ("name", "kind", "settings"))
    if kind not in ("local", "baseline", ORACLE):
        return UNDECLARED
    own = local_access(settings if isinstance(settings, Mapping) else {}, queries)
    if kind == "local":
        return own
    return widest((own, find_baseline(str(name)).access))
