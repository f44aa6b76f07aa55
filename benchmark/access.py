"""Access classes as far as they follow from a run's settings. Pure.

Owns the order of classes and what makes a local model replay an intervention.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from introspect_bench.benchmark.backends.injection import QUOTING, names_token
from introspect_bench.benchmark.records import ACCESS, COMPARED, REPLAYS, WORDS, Query


def widest(classes: Iterable[str]) -> str:
    """Return the widest of some access classes, at least one, by the order of `ACCESS`."""
    return max(classes, key=ACCESS.index)


def local_access(settings: Mapping[str, Any], queries: Iterable[Query]) -> str:
    """Return the access class of a language model that the harness asks.

    A vector that stands at the token of the quoted text that the query names, at its own layers,
    is the query's intervention; so is a reply with the vector that is set against one without. A
    vector in a slot is read, whatever it replaces there.

    Args:
        settings: of the explainer's card.
        queries: what it is asked about; a single one may stand for all of a task.
    """
    injection = settings.get("injection")
    mode = injection.get("mode") if isinstance(injection, Mapping) else None
    quoted = mode in QUOTING and any(names_token(query.fields) for query in queries)
    return REPLAYS if quoted or settings.get("decoding") == COMPARED else WORDS
