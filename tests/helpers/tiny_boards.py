"""Invented boards: as many entries as asked for, on suites of three tasks; and their queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from introspect_bench.leaderboard.site.board import (
    Access,
    Board,
    Column,
    Estimate,
    Kind,
    Layered,
    Matrix,
    Row,
    SuiteBoard,
    TaskScore,
)
from introspect_bench.leaderboard.site.render import Reply, Sheet, ShownQuery

TASKS = {
    "feature-descriptions": ("Feature descriptions", "matched_auroc", 600, 0.0, 0.62),
    "activation-patching": ("Activation patching", "balanced_exact_match", 1000, 0.048, 1.0),
    "input-ablations": ("Input ablations", "kind_mean", 1000, 0.107, 1.0),
}
"""Title, headline, queries, floor and ceiling by task."""
METRICS = {
    "matched_auroc": ("matched_auroc", "weighted_r"),
    "balanced_exact_match": (
        "balanced_exact_match",
        "exact_match_changed",
        "content_match_changed",
        "group_consistency",
    ),
    "kind_mean": ("kind_mean", "balanced_exact_match", "content_match_changed", "which_accuracy"),
}
ORGS = ("tuva-lab", "northfield", "open-probes", "iris", "halden-group", "kestrel")
WORDS = ("lens", "oracle-lora", "reader", "self-report", "mirror", "probe-lm", "echo", "verbatim")
KIND_OF: tuple[Kind, ...] = ("trained", "trained", "untrained", "trained", "baseline")


def column(task: str) -> Column:
    """A task's column."""
    title, metric, n, floor, ceiling = TASKS[task]
    return Column(
        task=task,
        version="v1",
        title=title,
        summary=f"Asks a toy about {task}.",
        metric=metric,
        n=n,
        n_groups=n // 4,
        floor=floor,
        ceiling=ceiling,
        data_sha256="ab" * 32,
    )


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def task_score(task: str, skill: float, rng: np.random.Generator) -> TaskScore:
    """A score a share `skill` of the way up."""
    _, metric, n, floor, ceiling = TASKS[task]
    value = float(floor + (ceiling - floor) * np.clip(skill + rng.normal(scale=0.05), -0.05, 0.95))
    return TaskScore(
        headline=estimate(value, 0.03),
        metrics={
            name: estimate(value * factor, 0.03)
            for name, factor in zip(METRICS[metric], (1, 1.2, 1.1, 0.4), strict=False)
        },
        n=n,
        n_groups=n // 4,
        unparsed=int(rng.integers(0, 30)),
        missing=0,
        by_layers=tuple(
            Layered(first=6 * i, last=6 * i + 5, score=estimate(value + 0.02 * (i - 2), 0.04))
            for i in range(5)
        )
        if task != "input-ablations"
        else (),
        run_sha256="cd" * 32,
    )


def make_row(number: int, n: int, suite: str, rng: np.random.Generator, **changes: Any) -> Row:
    """The row at a place, of `n`."""
    kind: Kind = "oracle" if number >= n - max(1, n // 12) else KIND_OF[number % len(KIND_OF)]
    skill = 0.7 * (1 - number / n)
    org = "introspect-bench" if kind in ("baseline", "oracle") else ORGS[number % len(ORGS)]
    name = f"{WORDS[number % len(WORDS)]}-{number}"
    rank = number + 1
    seconds = float(np.round(10 ** rng.uniform(-3, 1), 4))
    size = (135, 360, 1_700, 8_000)[number % 4] * 1_000_000
    fields: dict[str, Any] = {
        "id": f"{org}__{name}__{number:08x}",
        "org": org,
        "name": name,
        "kind": kind,
        "access": "oracle" if kind == "oracle" else "words",
        "access_basis": "set by the benchmark",
        "unranked": "is told what no contestant has" if kind == "oracle" else "",
        "scores": {task: task_score(task, skill, rng) for task in TASKS},
        "rank": None if kind == "oracle" else (max(1, rank - 1), rank + 1 + number % 3),
        "ties": () if kind == "oracle" else tuple("abcdefghijklmnop"[number // 3 % 16]),
        "overall": estimate(skill, 0.025),
        "tier": 1 + (number * 7) % 4,
        "uses_vectors": number % 6 != 4,
        "vector_gain": estimate(0.11, 0.03) if number % 5 == 0 else None,
        "seconds_per_query": seconds,
        "tokens_per_query": float(rng.integers(50, 2000)),
        "parameters": size if kind != "baseline" else None,
        "n_train": (512, 2048, 8192, 32768)[number % 4] if kind == "trained" else 0,
        "base": suite if number % 2 else None,
        "date": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "authors": ("A. Nilsen", "B. Okafor"),
        "links": {"paper": "https://arxiv.org/abs/2511.08579"} if number % 2 else {},
        "licence": "Apache-2.0",
        "trained_on": ("the training split",) if kind == "trained" else (),
        "bibtex": f"@misc{{toy{number}, title={{Toy {number}}}}}" if number % 2 else "",
        "notes": "A toy.",
    }
    return Row(**(fields | changes))


def make_suite_board(name: str, n: int, *, seed: int = 0) -> SuiteBoard:
    """A table of `n` entries."""
    rng = np.random.default_rng(seed)
    return SuiteBoard(
        name=name,
        target=name,
        split="test",
        columns=tuple(column(task) for task in TASKS),
        rows=tuple(make_row(number, n, name, rng) for number in range(n)),
    )


def make_matrix(suites: Sequence[SuiteBoard], task: str = "activation-patching") -> Matrix:
    """A matrix of the first four rows; the last pair is not measured."""
    rows = [row.name for row in suites[0].rows[:4]]
    cells = []
    for y, row in enumerate(rows):
        for x, suite in enumerate(suites):
            if (y, x) == (3, len(suites) - 1):
                continue
            found = suite.rows[y]
            score = found.scores[task].headline
            assert score is not None
            own = y == x
            cells.append(
                Access(
                    row=row,
                    target=suite.target,
                    entry=found.id,
                    score=score,
                    is_self=own,
                    to_self=None if own else estimate(-0.08 + 0.04 * y, 0.03),
                    p=None if own else (0.001, 0.01, 0.4, 0.9)[y],
                    equal="" if own else suite.rows[x].id,
                )
            )
    title, metric, *_ = TASKS[task]
    return Matrix(
        task=task,
        access="words",
        title=title,
        metric=metric,
        rows=tuple(rows),
        targets=tuple(suite.target for suite in suites),
        cells=tuple(cells),
    )


def make_board(n: int = 24, names: Sequence[str] = ("smollm2-135m", "qwen3-0.6b")) -> Board:
    """A board of suites with `n` entries each."""
    suites = tuple(make_suite_board(name, n, seed=k) for k, name in enumerate(names))
    return Board(
        package="0.0",
        metric_version="ab" * 8,
        suites=suites,
        matrices=(make_matrix(suites),),
    )


def change_row(board: Board, place: int, **changes: Any) -> Board:
    """The board with fields of one row of its first suite replaced."""
    first, *rest = board.suites
    rows = list(first.rows)
    rows[place] = dataclasses.replace(rows[place], **changes)
    return dataclasses.replace(board, suites=(dataclasses.replace(first, rows=tuple(rows)), *rest))


def make_sheet(suite: SuiteBoard, task: str = "activation-patching", n: int = 120) -> Sheet:
    """Queries of a task; entry k has query q right if k + 2 divides q, none those above 100."""
    rows = [row for row in suite.rows if task in row.scores]
    queries = tuple(
        ShownQuery(
            id=f"{number:016x}",
            about=("last-subject", "layers 6 to 11"),
            asked=f"The city of Ann {number} is ⟦vector⟧. What does the model answer then?",
            truth=f"changed: Paris {number}",
        )
        for number in range(n)
    )
    return Sheet(
        key=f"{suite.name}-{task}",
        title=f"{TASKS[task][0]} · {suite.target}",
        queries=queries,
        entries=tuple((row.id, row.name) for row in rows),
        replies=tuple(
            tuple(_reply(place, number) for number in range(n)) for place in range(len(rows))
        ),
        metrics=METRICS[TASKS[task][1]],
        differences={"0-1": ["+1.0 [\u22122.0, +4.0]", *["0.0 [0.0, 0.0]"] * 3]},
    )


def _reply(place: int, number: int) -> Reply:
    if number == 7:
        return Reply(raw=None, read=None, score="0", right=False)
    right = number % (place + 2) == 0 and number <= 100
    said = f"Paris {number}" if right else f"Rome {place}"
    return Reply(
        raw=f"changed: {said}", read=f"changed: {said}", score=str(int(right)), right=right
    )
