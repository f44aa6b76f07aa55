"""Reads a split of a causal task as it was before it was frozen."""

from __future__ import annotations

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.files import sha256_bytes
from introspect_bench.benchmark.freeze import Measured, query_id
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_vectors import checked_vectors


def measured(suite: Suite, split: str) -> list[list[Measured]]:
    """Return the queries of a split with their truth, by group, after checking their ids."""
    queries, truths, told = suite.queries(split), suite.truth(split), suite.oracle(split)
    vectors = checked_vectors(suite, split, queries)
    path = suite.root / split / "queries.jsonl"
    groups: dict[str, dict[str, Measured]] = {}
    for query in queries:
        truth = truths[query.id]
        vector = None if vectors is None or query.vector is None else vectors[query.vector]
        one = Measured(
            kind=query.kind,
            fields=query.fields,
            clean=truth.clean,
            outcome=truth.outcome,
            clean_ids=truth.clean_ids,
            outcome_ids=truth.outcome_ids,
            margin=truth.margin,
            part=truth.part,
            source=told[query.id]["source"],
            origin=told[query.id].get("origin"),
            vector=vector,
        )
        if (found := query_id(suite.task, one)) != query.id:
            raise IntegrityError(f"{path}: id {query.id} is not the hash of its query, {found}")
        groups.setdefault(query.group, {})[query.id] = one
    for group, members in groups.items():
        found = sha256_bytes("".join(sorted(members)).encode())[:16]
        if found != group:
            raise IntegrityError(f"{path}: group {group} is not the hash of its ids, {found}")
    return [list(members.values()) for members in groups.values()]
