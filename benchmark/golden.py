"""What metrics and prompts give on a frozen fixture, as hashes: `golden.jsonl` beside this file.

A row has a query, its truth (causal tasks) and two replies; activations, weights and confidences
are bytes of SHA-256, so that nothing depends on a generator's stream but the bootstrap. Numbers
count to ten significant digits. No model and no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from ._version import METRIC_VERSION, PROMPT_VERSION
from .golden_prompts import prompt_outputs
from .judging.rubric import prompt_sha256 as rubric_sha256
from .metrics import descriptions
from .metrics.activations import auprc
from .metrics.bootstrap import differences, estimates
from .metrics.confidence import FIELDS, confidence_result
from .metrics.descriptions import UNIT, DescriptionTable
from .metrics.paired import CORRECTIONS, adjust, compare
from .metrics.verdicts import METRICS, Table
from .records import Description, GroundTruth, Predicted, Query, Replied, Scored
from .registry import tasks
from .scoring.correct import is_right, of_kind, same_content
from .scoring.grade import score_table
from .scoring.judged import score_feature
from .suite.features import MATCHED, WINDOW, WINDOWS
from .task import Task

FIXTURE = Path(__file__).with_name("golden.jsonl")
DIGITS = 10  # Significant digits of a number

Row = Mapping[str, Any]


@cache
def golden() -> dict[str, dict[str, str]]:
    """Return both versions, as recorded and as computed here."""
    return {
        "metric_version": {"recorded": METRIC_VERSION, "computed": short_hash(metric_outputs())},
        "prompt_version": {"recorded": PROMPT_VERSION, "computed": short_hash(prompts())},
    }


def short_hash(outputs: object) -> str:
    """Return 16 hexadecimal digits that stand for outputs."""
    return files.sha256_bytes(files.canonical_json(_rounded(outputs)).encode())[:16]


@cache
def fixture(task: str) -> tuple[Row, ...]:
    """Rows of a task."""
    return tuple(row for _, row in files.read_jsonl(FIXTURE) if row["task"] == task)


def metric_outputs() -> dict[str, Any]:
    """Every metric with its interval, differences and their p, and what was read in the replies."""
    found: dict[str, Any] = {task.name: _metrics(task) for task in tasks()}
    found["contents"] = [
        [same_content(said, row["truth"]) for said in row["said"]] for row in fixture("contents")
    ]
    ps = [one / 1000 for one in _bytes("p", 6)]
    return found | {"corrected": {name: adjust(ps, name) for name in CORRECTIONS}}


def prompts() -> dict[str, Any]:
    """Every prompt of every task in every form, and the rubric of language models that rate."""
    found: dict[str, Any] = {"rubric": rubric_sha256()}
    for task in tasks():
        rows = fixture(task.name)
        answers = [
            task.format_answer(_truth(row).answer if "truth" in row else Description(text="verbs"))
            for row in rows
        ]
        found[task.name] = prompt_outputs(task, [_query(row) for row in rows], answers)
    return found


def _metrics(task: Task) -> dict[str, Any]:
    described = task.metrics[0] in descriptions.METRICS
    rows = fixture(task.name)
    names = [name for name in METRICS if (name in descriptions.METRICS) is described]
    tables: list[Table] = []
    more: dict[str, Any] = {}
    for side in (0, 1):
        if described:
            tables.append(_described(task, side))
            continue
        scored = [_scored(task, row, side) for row in rows]
        tables.append(score_table(scored))
        right = {one.query.id: is_right(one) for one in scored}
        sure = {id: dict(zip(FIELDS, _confidences(id, side), strict=True)) for id in right}
        answers = [None if one.answer is None else asdict(one.answer) for one in scored]
        more[str(side)] = {"read": answers, "right": right, "sure": confidence_result(sure, right)}
    queries = [_query(row) for row in rows]
    fresh = np.random.default_rng
    return more | {
        "estimates": [estimates(table, names, seed=0) for table in tables],
        "compared": {
            name: asdict(compare(tables[0], tables[1], name, rng=fresh(0))) for name in task.metrics
        },
        "parts": {
            title: {part: asdict(one) for part, one in parts.items()}
            for title, parts in differences(
                tables[0], tables[1], queries, task.headline, lambda: fresh(0)
            ).items()
        },
        "average_precision": [_average_precision(row) for row in rows] if described else [],
    }


def _query(row: Row) -> Query:
    vector = 0 if "layers" in row["query"]["fields"] or "layer" in row["query"]["fields"] else None
    return Query(**row["query"], vector=vector)


def _scored(task: Task, row: Row, side: int) -> Scored:
    query, raw, truth = _query(row), row["replies"][side], _truth(row)
    reply = Replied(query=query, raw=raw, answer=None if raw is None else task.parse(raw))
    return Scored(query=query, raw=raw, answer=of_kind(reply, truth), truth=truth)


def _truth(row: Row) -> GroundTruth:
    return GroundTruth(id=row["query"]["id"], clean_ids=(1,), outcome_ids=(1,), **row["truth"])


def _described(task: Task, side: int) -> DescriptionTable:
    rows = fixture(task.name)
    found, marked = [], []
    for place, row in enumerate(rows):
        own = _feature(row, marked=place % 5 > 0)
        raw = row["replies"][side]
        answer = None if raw is None else task.parse(raw)
        predicted = np.zeros((WINDOWS, WINDOW))
        if isinstance(answer, Description):
            said = _array(f"{row['query']['id']}/{answer.text}", (WINDOWS, WINDOW))
            predicted = np.where(said > 16, own["activations"], said)
        one = score_feature(own, predicted)
        found.append(one if answer else Predicted(matched_auroc=0.0, weighted_r=0.0))
        marked.append(place % 5 > 0)
    groups = np.unique([row["query"]["group"] for row in rows], return_inverse=True)[1]
    return DescriptionTable(
        matched_auroc=np.array([round((one.matched_auroc or 0) * UNIT) for one in found]),
        marked=np.array(marked),
        weighted_r=np.array([round(one.weighted_r * UNIT) for one in found]),
        group=groups.astype(np.int64),
    )


def _feature(row: Row, *, marked: bool) -> dict[str, Any]:
    """Windows as suites have them: marked ones, strong before silent, two matches; then random."""
    name = row["query"]["id"]
    activations = _array(name, (WINDOWS, WINDOW))
    place, n = np.arange(WINDOWS), MATCHED if marked else 0
    weights = np.where(place < MATCHED, 0, 1 + _array(f"{name}/weights", (WINDOWS,)))
    return {
        "marks": np.where(place < n, _array(f"{name}/marks", (WINDOWS,)) % WINDOW, -1),
        "pair_group": np.where(place < n, place % 2, -1),
        "strong": place < n // 2,
        "weights": weights,
        "activations": activations * (activations > 24),
    }


def _average_precision(row: Row) -> float:
    own = _feature(row, marked=True)
    said = _array(f"{row['query']['id']}/said", (WINDOWS * WINDOW,))
    return auprc(own["activations"].ravel() > 0, said, np.repeat(own["weights"], WINDOW))


def _array(name: str, shape: tuple[int, ...]) -> Any:
    """Multiples of 1/8 below 32."""
    return np.array(_bytes(name, int(np.prod(shape)))).reshape(shape) / 8


def _confidences(name: str, side: int) -> list[float]:
    sure, *logs = _bytes(f"{name}/{side}/sure", len(FIELDS))
    return [sure / 256, *(-one / 64 for one in logs)]


def _bytes(name: str, n: int) -> list[int]:
    found = b""
    for block in count():
        if len(found) >= n:
            break
        found += sha256(f"{name}/{block}".encode()).digest()
    return list(found[:n])


def _rounded(value: Any) -> Any:
    """Numbers to `DIGITS` digits as text; a number that is not finite is None."""
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return repr(float(f"{value:.{DIGITS}g}") + 0.0) if np.isfinite(value) else None
    return value
