"""What a suite says of itself, computed again from its files.

Owns the comparison with the manifest; the files' own hashes and cross-references are
`benchmark.suite`'s. It catches a manifest that was edited without its files; that a shipped suite
is the released one is shown by its pinned hash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...benchmark.cache import Progress, silent
from ...benchmark.errors import CheckFailedError, IntegrityError
from ...benchmark.suite.features import WINDOW, arrays, asked_id
from ...benchmark.suite.freeze import CANARY, measured
from ...benchmark.suite.manifest import MANIFEST
from ...benchmark.suite.rows import checked_vectors
from ...benchmark.suite.select import check_task
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..feature_descriptions.build.draft import describe_split, nearest_train
from .statistics import describe_kinds

TOLERANCE = 1e-6  # Margins, in logits, are written with six digits
COSINE = 1e-4  # cosines are computed in float32, in another order on another machine
UNORDERED = "commonest_outcomes"
"""The statistic whose names depend on the order of queries where outcomes are equally common."""


def verify_suite(task: Task, suite: Suite, progress: Progress = silent) -> None:
    """Check every byte of a suite, every cross-reference, and what its manifest says of its files.

    Raises IntegrityError: the first thing that is wrong, naming the file.
    """
    check_task(task, suite)
    suite.verify(progress)
    path = suite.root / MANIFEST
    if suite.manifest.get("canary") != CANARY:
        raise IntegrityError(f"{path}: field canary is not {CANARY!r}")
    if suite.describes:
        _verify_features(suite)
        return
    for split in suite.splits:
        groups = measured(suite, split)
        said = suite.manifest.get("statistics", {}).get(split, {})
        try:
            found = describe_kinds(groups, task.headline_kinds)
        except (CheckFailedError, LookupError, TypeError, ValueError) as error:
            # A task's fields have no schema: whatever is wrong with them shows here.
            raise IntegrityError(
                f"{suite.root / split}: no statistics can be made of its queries: {error!r}"
            ) from error
        _compare(f"{path}: field statistics.{split}", said, found)


def _verify_features(suite: Suite) -> None:
    """Check ids of features, and what the manifest says of each split, against the files."""
    seen = set()
    if suite.has_windows:
        windows = arrays(suite, "train", "windows")["ids"].reshape(-1, WINDOW)
        seen = {row.tobytes() for row in windows}
    for split in suite.splits:
        queries, path = suite.queries(split), suite.root / split / "queries.jsonl"
        vectors = checked_vectors(suite, split, queries)
        for query in queries:
            if vectors is None or query.vector is None:
                raise IntegrityError(f"{path}: query {query.id} has no vector")
            vector = vectors[query.vector]
            found = asked_id(suite.task, query.kind, query.fields, vector)
            if found != query.id:
                raise IntegrityError(f"{path}: id {query.id} is not the hash of its query, {found}")
        if not suite.has_windows:
            continue
        windows = arrays(suite, split, "windows")["ids"].reshape(-1, WINDOW)
        if split != "train" and any(row.tobytes() in seen for row in windows):
            raise IntegrityError(f"{suite.root / split}: a window stands in the training split too")
        said = suite.manifest.get("statistics", {}).get(split)
        where = f"{suite.root / MANIFEST}: field statistics.{split}"
        _compare_nested(where, said, describe_split(suite.root, split))
        cosines = nearest_train(suite.root, split)
        for near, truth in zip(cosines, suite.feature_truth(split).values(), strict=True):
            if abs(float(near) - truth.nearest_train) > COSINE:
                raise IntegrityError(
                    f"{suite.root / split}: nearest_train of {truth.id} is {truth.nearest_train}, "
                    f"its files give {near:.6f}; fetch the suite again"
                )


def _compare_nested(where: str, said: Any, found: Any) -> None:
    """Compare numbers in nested objects; both must have the same keys."""
    if isinstance(found, Mapping) and isinstance(said, Mapping) and said.keys() == found.keys():
        for name in sorted(found):
            _compare_nested(f"{where}.{name}", said[name], found[name])
    elif not _same(said, found):
        raise _wrong(where, said, found)


def _compare(where: str, said: Any, found: Mapping[str, Any]) -> None:
    """Compare the statistics that both have; other versions of the builder wrote more or fewer."""
    if not isinstance(said, Mapping):
        raise _wrong(where, said, found)
    for name in sorted(said.keys() & found.keys()):
        own, other, place = said[name], found[name], f"{where}.{name}"
        if name == "by_kind":
            if not isinstance(own, Mapping) or own.keys() != other.keys():
                raise IntegrityError(f"{place} is not about the kinds of its queries")
            for kind in other:
                _compare(f"{place}.{kind}", own[kind], other[kind])
            continue
        if name == UNORDERED and isinstance(own, Mapping):
            own, other = (dict(enumerate(sorted(x.values(), key=str))) for x in (own, other))
        if not _same(own, other):
            raise _wrong(place, said[name], found[name])


def _same(said: Any, found: Any) -> bool:
    if isinstance(found, Mapping):
        same_keys = isinstance(said, Mapping) and said.keys() == found.keys()
        return same_keys and all(_same(said[key], found[key]) for key in found)
    return type(said) in (int, float) and math.isclose(said, found, rel_tol=0, abs_tol=TOLERANCE)


def _wrong(where: str, said: Any, found: Any) -> IntegrityError:
    return IntegrityError(
        f"{where} is {str(said)[:80]}, its files give {str(found)[:80]}; fetch the suite again"
    )
