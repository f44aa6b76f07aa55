"""Every byte and every cross-reference of a suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import IntegrityError
from . import features as suite_features
from .manifest import MANIFEST
from .rows import checked_vectors

if TYPE_CHECKING:
    from .suite import Suite


def verify(suite: Suite, on_progress: Callable[[str, int, int], None] | None) -> None:
    """Check a suite; arguments and errors are those of `Suite.verify`."""
    listed = suite.manifest["files"]
    for done, name in enumerate(sorted(listed)):
        if on_progress:
            on_progress(name, done, len(listed))
        suite.read(name)
    for path in sorted(suite.root.rglob("*")):
        name = path.relative_to(suite.root).as_posix()
        if not path.is_dir() and name != MANIFEST and name not in listed:
            raise IntegrityError(f"{path}: not in the suite's manifest; remove it")
    owners: dict[str, str] = {}
    for split in suite.splits:
        _verify_split(suite, split, owners)
    if "validation" not in suite.splits:
        return
    mini = {query.id: query.group for query in suite.queries("mini")}
    for query in suite.queries("validation"):
        if query.group in mini.values() and query.id not in mini:
            raise IntegrityError(
                f"{suite.root / MANIFEST}: mini has a part of group {query.group} only"
            )


def _verify_split(suite: Suite, split: str, owners: dict[str, str]) -> None:
    """Check one split; `owners` maps each id and group seen so far to its split."""
    queries = suite.queries(split)
    groups = {query.group for query in queries}
    count = suite.manifest["splits"][split].get("groups")
    if count != len(groups):
        raise IntegrityError(
            f"{suite.root / MANIFEST}: splits.{split}.groups is {count}, the file has {len(groups)}"
        )
    for key in sorted(groups) + [query.id for query in queries]:
        if owners.setdefault(key, split) != split:
            raise IntegrityError(f"{suite.root}: {key} is in both {owners[key]} and {split}")
    checked_vectors(suite, split, queries)
    if suite.describes:
        return suite_features.verify_split(suite, split)
    suite.truth(split)
    suite.oracle(split)
    return None
