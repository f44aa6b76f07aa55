"""The access class that the harness gives a run, from who answers and how vectors enter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from introspect_bench.benchmark.records import ORACLE, UNDECLARED, Query
from introspect_bench.benchmark.registry import find_baseline
from introspect_bench.benchmark.runs.header import local_access, widest


def harness_access(explainer: Mapping[str, Any], queries: Iterable[Query]) -> str:
    """Return the access class of a run.

    `explainer` is as in a run's header; a single query may stand for all of a task.
    """
    name, kind, settings = (explainer.get(key) for key in ("name", "kind", "settings"))
    if kind not in ("local", "baseline", ORACLE):
        return UNDECLARED
    own = local_access(settings if isinstance(settings, Mapping) else {}, queries)
    if kind == "local":
        return own
    return widest((own, find_baseline(str(name)).access))
