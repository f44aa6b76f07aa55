"""Run files to all that a board shows of them, and a cache of that in the user's cache folder.

A key is the hash of what is scored (a run file, the suite's files), of the metrics and of the
source that reads and scores, so that what is cached is what scoring again would give.
"""

from __future__ import annotations

import base64
import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ... import benchmark
from ...benchmark import files
from ...benchmark.cache import cache_dir
from ...benchmark.errors import MissingPartError
from ...benchmark.export.tables import title
from ...benchmark.metrics.descriptions import DescriptionTable
from ...benchmark.metrics.verdicts import METRIC_VERSION, ScoreTable, Table
from ...benchmark.records import Described, Replied, Scored
from ...benchmark.registry import provided_tasks
from ...benchmark.runs.header import Header
from ...benchmark.runs.run import read_run
from ...benchmark.scoring.correct import is_right
from ...benchmark.scoring.grade import grade_run
from ...benchmark.scoring.score import check_score
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from . import shades
from .figures import shown
from .render import Reply

RIGHT = 0.5
"""Score from which a description counts as right in the query browser, where it is shown."""

_TABLES = {"interventions": ScoreTable, "descriptions": DescriptionTable}
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """What a board shows of one whole run."""

    result: Mapping[str, Any]  # what `score` returns
    header: Header  # the run file's first line
    ids: tuple[str, ...]  # queries of the headline kinds, in the suite's order
    table: Table  # their answers, in the same order
    replies: tuple[Reply, ...]  # the reply to every query, in the suite's order


def scored_run(path: Path, task: Task, suite: Suite, *, use_cache: bool = True) -> ScoredRun:
    """Score a run file of a suite's task, or find the scores of the same bytes."""
    parts = [files.sha256_file(path), suite.data_sha256, task.prompt_sha256]
    return _from_json(cached(parts, lambda: _scored(path, task, suite), use_cache=use_cache))


def cached(
    parts: Sequence[str], make: Callable[[], dict[str, Any]], *, use_cache: bool
) -> dict[str, Any]:
    """Return a JSON object that was made from the same parts by the same source, or make it."""
    if not use_cache:
        return make()
    key = files.canonical_json([*parts, METRIC_VERSION, _source_sha256()]).encode()
    place = cache_dir() / "board" / f"{files.sha256_bytes(key)}.json"
    if (data := files.read_derived(place, max_bytes=_MAX_BYTES)) is not None:
        return files.parse_object(data, str(place))
    made = make()
    with contextlib.suppress(MissingPartError):  # a full disk, or one that is only read
        files.write_derived(place, files.canonical_json(made).encode())
    return made


@functools.cache
def _source_sha256() -> str:
    """Return the hash of the source that reads and scores runs."""
    harness = Path(benchmark.__file__).parent.rglob("*.py")
    paths = [
        Path(__file__),
        Path(shades.__file__),
        *(path for path in harness if "backends" not in path.parts),
        *Path(provided_tasks().__file__).parent.rglob("*.py"),
    ]
    hashes = sorted((path.name, files.sha256_file(path)) for path in paths)
    return files.sha256_bytes(files.canonical_json(hashes).encode())


def _scored(path: Path, task: Task, suite: Suite) -> dict[str, Any]:
    run = read_run(path)
    graded = grade_run(run, task, suite)
    result = graded.result()
    check_score(path, result)
    kept, table = graded.headline, graded.table(graded.kept)
    kind = next(name for name, known in _TABLES.items() if isinstance(table, known))
    arrays = {field.name: getattr(table, field.name) for field in fields(_TABLES[kind])}
    lines = shades.predicted_shades(run, suite) if suite.describes else {}
    replies = [_reply(one, task, lines.get(one.query.id, ())) for one in graded.scored]
    return {
        "result": result,
        "header": run.header.to_json(),
        "ids": [one.query.id for one in kept],
        "kind": kind,
        "columns": {
            name: [str(array.dtype), base64.b64encode(array.tobytes()).decode()]
            for name, array in arrays.items()
        },
        "replies": [[one.raw, one.read, one.score, one.right, one.shades] for one in replies],
    }


def _reply(one: Replied, task: Task, lines: tuple[str, ...]) -> Reply:
    read = None if one.answer is None else task.format_answer(one.answer)
    if isinstance(one, Described):
        matched = one.found.matched_auroc
        name = "weighted_r" if matched is None else "matched_auroc"
        value = one.found.weighted_r if matched is None else matched
        score = f"{title(name)} {shown(name, value)}"
        return Reply(raw=one.raw, read=read, score=score, right=value >= RIGHT, shades=lines)
    assert isinstance(one, Scored)
    verdict, content = is_right(one)
    right = verdict and content
    said = "right" if right else "verdict right" if verdict else "wrong"
    return Reply(raw=one.raw, read=read, score="no answer" if read is None else said, right=right)


def _from_json(value: Mapping[str, Any]) -> ScoredRun:
    columns = {
        name: np.frombuffer(base64.b64decode(data), dtype=dtype)
        for name, (dtype, data) in value["columns"].items()
    }
    return ScoredRun(
        result=value["result"],
        header=Header.from_json(value["header"], "header"),
        ids=tuple(value["ids"]),
        table=_TABLES[value["kind"]](**columns),
        replies=tuple(Reply(*(*row[:4], tuple(row[4]))) for row in value["replies"]),
    )
