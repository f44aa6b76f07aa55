"""Run files scored, checked and shown; a run file never chooses its own ground truth."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CheckFailedError, IncompleteRunError, UsageError, check_choice
from ..export import tables as table
from ..metrics.confidence import FIELDS
from ..records import Replied
from ..runs.run import Named, read_run, run_file, run_files
from ..suite.suite import MINI
from .grade import Graded, about, grade_file
from .paper_protocol import PAPER, paper_result

_REFERENCE = re.compile(r"(?P<path>.+?)(?::(?P<id>[0-9a-f]{16}))?", re.DOTALL)


def score(
    path: Path | str, *, suite: str | None = None, protocol: str | None = None
) -> dict[str, Any]:
    """Score a run file, or a folder's only one, see `Graded.result`.

    With the `protocol` of the paper its result has one field more, see `paper_result`.
    """
    graded = grade_file(run_file(path), suite=suite)
    if protocol is None:
        return graded.result()
    check_choice("protocol", protocol, (PAPER,))
    return graded.result() | {PAPER: paper_result(graded.run, graded.scored)}


def score_all(
    paths: Named, *, suite: str | None = None, protocol: str | None = None
) -> list[dict[str, Any]]:
    """Score several run files, or those in folders, each of them once."""
    results = []
    seen: dict[str, Path] = {}
    with _no_collector():
        for path in run_files(paths):
            result = score(path, suite=suite, protocol=protocol)
            refuse_twice(path, result["task"], result["run_id"] or result["body_sha256"], seen)
            results.append(result)
    return results


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the collector from looking for cycles among rows, which have none: 7 % of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def refuse_twice(path: Path, task: str, known: str | None, seen: dict[str, Path]) -> None:
    """Refuse a run that was seen, and note it: by its id, which it keeps while it grows, and entry.

    Only a file of another maker can lack an id; in a folder of an entry it may be another's.
    """
    where = path.resolve()
    own = where.parent if (where.parent / "entry.json").is_file() else ""
    name = f"{own}/{task}/{known or where}"
    if name in seen:
        raise UsageError(f"{seen[name]} and {path} hold the same run; give it once")
    seen[name] = path


def check_whole(path: Path | str, result: Mapping[str, Any]) -> None:
    """Refuse a run that does not answer its whole split, where it would stand beside others."""
    if result["partial"] or not result["complete"]:
        raise UsageError(f"{path}: answers only a part of {result['split']}; run it whole")


def score_table(paths: Named, *, suite: str | None = None) -> str:
    """Score run files and return one Markdown table a task and split."""
    return table.markdown(score_all(paths, suite=suite))


def has_truth(path: Path | str, *, suite: str | None = None) -> bool:
    """Whether the ground truth of a run's split is on this machine."""
    found = read_run(run_file(path))
    _, where = about(found, suite)
    split = found.header.task.split
    return (where.root / ("validation" if split == MINI else split) / "truth.jsonl").is_file()


def check_score(path: Path | str, result: dict[str, Any]) -> None:
    """Fail unless a scored run is whole, its suite frozen, and its claims what was computed."""
    n, missing = result["counts"]["queries"], result["counts"]["missing"]
    if error := _part(result["partial"], result["complete"], n, missing):
        raise type(error)(f"{path}: {error}")
    if not result["frozen"]:
        raise CheckFailedError(
            f"{path}: its suite {result['suite']} is a draft for {result['task']}, which nothing "
            "can be submitted for; use a frozen suite"
        )
    overall = result["overall"]
    for name, claimed in sorted(result["claimed"].items()):
        computed = overall["metrics"].get(name, {}).get("value") if overall else None
        if claimed != computed:
            raise CheckFailedError(f"{path}: claims {name} {claimed!r}, computed {computed!r}")


def validate(path: Path | str, *, strict: bool = False) -> dict[str, Any]:
    """Read a run file strictly and say what it is; `strict` refuses what cannot be submitted."""
    path = run_file(path)
    found = read_run(path)
    said, partial = found.header.task, found.header.partial
    error = _part(partial, found.complete, said.n, said.n - len(found.rows))
    if strict and error is not None:
        raise type(error)(f"{path}: {error}")
    return {
        "path": str(path),
        "complete": found.complete,
        "partial": partial,
        "cannot_submit": None if error is None else str(error),
        "rows": len(found.rows),
        "queries": said.n,
        "suite": said.suite,
        "task": said.id,
        "split": said.split,
        "explainer": found.header.explainer.name,
    }


def _part(
    partial: bool, complete: bool, n: int, missing: int
) -> CheckFailedError | IncompleteRunError | None:
    """Say why a run that answers only a part of its queries, or of its split, is not submitted."""
    if partial:
        return CheckFailedError(
            f"a partial run cannot be submitted: it answers {n} queries that were chosen; "
            "run it again without --limit and --queries"
        )
    if not complete:
        return IncompleteRunError(
            f"an incomplete run cannot be submitted: {missing} of {n} queries have no row; "
            "run the same command again to complete it"
        )
    return None


def show(reference: str, *, suite: str | None = None) -> list[dict[str, Any]]:
    """Put queries beside truth, raw reply, answer and score; `RUN` or `RUN:ID` for one query.

    RUN is a run file or a folder of them; every row says explainer, task and split.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError("expected RUN or RUN:ID")
    rows = [
        {"explainer": graded.run.header.explainer.name, "task": graded.task.name}
        | {"split": graded.split}
        | shown(graded, one)
        | {k: v for k, v in graded.run.rows.get(one.query.id, {}).items() if k in FIELDS}
        for graded in (grade_file(path, suite=suite) for path in run_files(match["path"]))
        for one in graded.scored
        if match["id"] in (None, one.query.id)
    ]
    if not rows:
        raise UsageError(f"{match['path']} is not about a query {match['id']}")
    return rows


def shown(graded: Graded, one: Replied) -> dict[str, Any]:
    """Return what `show` says of a graded query."""
    query = one.query
    asked = {"query": graded.task.render(query).question}
    return (
        {"id": query.id, "group": query.group, "kind": query.kind}
        | asked
        | (graded.scorer.shown(one))
    )
