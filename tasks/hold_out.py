"""A part of train held out as a validation split of its own, to choose recipes by.

Nobody has to look at validation or test for it. Base texts stay whole: all contrast groups of one
text lie on one side. A group of the rest that shares a vector with the held-out part is left out.
Subjects are shared between groups of train, mostly as sources; how many is counted, not mended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..benchmark.errors import UsageError
from ..benchmark.files import sha256_bytes
from ..benchmark.registry import get_task
from ..benchmark.suite.freeze import Measured, measured, write_manifest, write_split
from ..benchmark.suite.suite import Suite
from .build.order import mini_ids
from .build.statistics import describe_kinds

Group = Sequence[Measured]  # members of one contrast group

KEPT = ("target", "frozen", "prompt_sha256", "builder", "seed", "doctor")
"""Fields of a manifest that are true of every part of its suite."""


def hold_out(suite: Suite, n: int, out: Path) -> dict[str, Any]:
    """Write a suite whose train and validation are parts of another suite's train.

    Return its manifest: `held_out` says what it was derived from, how many queries were left out
    and what both parts still share.
    """
    if out.exists():
        raise UsageError(f"{out} exists; choose another -o")
    if suite.describes:
        raise UsageError(f"{suite.task}: only queries of causal tasks can be held out")
    every = measured(suite, "train")
    held = _drawn(every, n)
    vectors = _vectors(held)
    ours = {id(group) for group in held}
    rest = [group for group in every if id(group) not in ours]
    kept = [group for group in rest if not vectors & _vectors([group])]
    parts: dict[str, list[list[Measured]]] = {
        "train": [list(group) for group in kept],
        "validation": [list(group) for group in held],
    }
    if get_task(suite.task).uses_vector:
        from .activation_patching.build.balance import with_nearest

        parts = with_nearest(parts)
    headline = get_task(suite.task).headline_kinds
    counts = {name: write_split(out / name, suite.task, own) for name, own in parts.items()}
    return write_manifest(
        out,
        {
            "suite": f"{suite.name}-held-out",
            "task": suite.task,
            "version": suite.version,
            "splits": counts,
            "mini": mini_ids(out / "validation" / "queries.jsonl"),
            "statistics": {name: describe_kinds(own, headline) for name, own in parts.items()},
            **{name: suite.manifest[name] for name in KEPT if name in suite.manifest},
            "held_out": {
                "of": f"{suite.name}/{suite.task}/{suite.version}",
                "data_sha256": suite.data_sha256,
                "queries_left_out": sum(map(len, rest)) - sum(map(len, kept)),
                "shared": _shared(kept, held),
            },
        },
    )


def _drawn(groups: Sequence[Group], n: int) -> list[Group]:
    """All groups of base texts, in an order of texts by hash, as long as they fit into `n`."""
    total = sum(map(len, groups))
    if not 0 < n < total:
        raise UsageError(f"{n} queries to hold out: train has {total}")
    by_text: dict[str, list[Group]] = {}
    for group in groups:
        by_text.setdefault(str(group[0].fields["text"]), []).append(group)
    held: list[Group] = []
    for text in sorted(by_text, key=lambda text: sha256_bytes(f"held-out:{text}".encode())):
        size = sum(map(len, by_text[text]))
        if size <= n:
            held += by_text[text]
            n -= size
    if not held:
        raise UsageError("no base text has so few queries; hold out more")
    return held


def _vectors(groups: Sequence[Group]) -> set[bytes]:
    return {one.vector.tobytes() for group in groups for one in group if one.vector is not None}


def _shared(kept: Sequence[Group], held: Sequence[Group]) -> dict[str, Any]:
    """Share of held-out queries whose source's subject or text the rest has too.

    `groups_with_a_subject` is how many groups of the rest would have to go to mend it.
    """
    subjects, texts = _sources(kept, "subject"), _sources(kept, "text")
    queries = [one for group in held for one in group]
    told = [one.origin for one in queries if one.origin is not None]
    if not told:
        return {}
    ours = _sources(held, "subject")
    bases = {str(one.fields["text"]) for one in queries}
    return {
        "source_subjects": sum(origin["subject"] in subjects for origin in told) / len(told),
        "base_texts_as_sources": len(bases & texts) / len(bases),
        "groups_with_a_subject": sum(bool(_sources([group], "subject") & ours) for group in kept),
    }


def _sources(groups: Sequence[Group], name: str) -> set[str]:
    found = (one.origin for group in groups for one in group)
    return {str(origin[name]) for origin in found if origin is not None}
