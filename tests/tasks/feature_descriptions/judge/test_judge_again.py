"""Judgements made again: rounding is forgiven, whatever changes a score is not."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tiny_descriptions import TASK, answered
from tiny_entries import rows_of, write_rows
from tiny_features import Counting, judges, make_feature_suite

from introspect_bench.benchmark.scoring.judged import EXACT
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.judge.run import judge_run, rejudge

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_feature_suite(tmp_path_factory.mktemp("words") / "feature-descriptions" / "v2")


@pytest.fixture
def judged(suite: Suite, tmp_path: Path) -> Callable[[str], Path]:
    """`judged(text)`: a run that says one thing of every feature, judged."""

    def make(text: str) -> Path:
        path = answered(suite, tmp_path / "run.jsonl", lambda _: text)
        judge_run(path, task=TASK, suite=suite, judges=judges())
        return path

    return make


def changed(path: Path, suite: Suite, field: str, change: Callable[[Bytes, Bytes], Bytes]) -> None:
    """Change stored bytes, given those and where the feature is truly active."""
    true = arrays(suite, "test", "activations")["activations"]
    place = {query.id: row for row, query in enumerate(suite.queries("test"))}
    rows = rows_of(path)
    for row in rows:
        if field in row:
            old = np.frombuffer(base64.b64decode(row[field]), dtype=np.uint8)
            active = (true[place[row["qid"]]].reshape(-1) > 1).astype(np.uint8)
            row[field] = base64.b64encode(change(old, active).tobytes()).decode()
    write_rows(path, rows)


def differing(path: Path, suite: Suite) -> set[str]:
    """Kinds of judges that do not find what the file says, for any of all queries."""
    qids = [query.id for query in suite.queries("test")]
    found = rejudge(path, task=TASK, suite=suite, judges=judges(), qids=qids)
    assert len(found) == len(qids)
    return {judge.partition("/")[0] for (judge, _), same in found.items() if not same}


def test_what_judges_find_they_find_again(judged: Callable[[str], Path], suite: Suite) -> None:
    assert differing(judged("ant bee"), suite) == set()


def test_rounding_of_a_value_is_forgiven(judged: Callable[[str], Path], suite: Suite) -> None:
    path = judged("ant")

    def rounded(old: Bytes, _active: Bytes) -> Bytes:
        new = old.copy()
        new[np.flatnonzero(old)[-1]] -= 1  # in a random window
        return new

    before = path.read_bytes()
    changed(path, suite, "predicted", rounded)
    assert path.read_bytes() != before
    assert differing(path, suite) == set()


@pytest.mark.parametrize("step", [1, 3])
def test_single_steps_in_the_right_places_are_not(
    judged: Callable[[str], Path], suite: Suite, step: int
) -> None:
    """A correlation does not change with scale: they make a flat prediction a perfect one."""
    path = judged("nothing at all")
    changed(path, suite, "predicted", lambda old, active: old + step * active)
    assert differing(path, suite) == {EXACT}


def test_another_description_is_not(judged: Callable[[str], Path], suite: Suite) -> None:
    path = judged("ant")
    changed(path, suite, "predicted", lambda old, _active: old[::-1].copy())
    assert differing(path, suite) == {EXACT}


def test_bytes_that_are_missing_are_not(judged: Callable[[str], Path], suite: Suite) -> None:
    path = judged("ant")
    changed(path, suite, "predicted", lambda old, _active: old[:-1])
    assert differing(path, suite) == {EXACT}


def test_another_way_of_reading_is_not(judged: Callable[[str], Path], suite: Suite) -> None:
    path = judged("nothing at all")
    rows = rows_of(path)
    for row in rows:
        if row.get("judge") == Counting().id:
            assert row["mapped"] == "none"
            row["mapped"] = "grammar"
    write_rows(path, rows)
    assert differing(path, suite) == {EXACT}
