"""Mutated run files: the readers take them or raise an error of ours, and nothing else.

`INTROSPECT_BENCH_FUZZ=10000` sets the number of files; the default is a quick part of that.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_features import judges, make_feature_suite
from tiny_runs import header, pred, score_run
from toy import make_toy_suite, make_toy_task

from introspect_bench.benchmark.errors import IntrospectBenchError
from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.files import sha256_bytes
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.runs.run import encode_line, read_run
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.leaderboard.submissions.checks import run_findings, together
from introspect_bench.leaderboard.submissions.entries import Entry
from introspect_bench.leaderboard.submissions.schema import REQUIRED, EntryFields
from introspect_bench.leaderboard.verification.rerun import Recheck, request_again

N_FILES = int(os.environ.get("INTROSPECT_BENCH_FUZZ", "1000"))
TOKENS = (
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"-0", b"01", b"0x1"),
    *(b"null", b"true", b"[]", b"{}", b'""', b"9" * 19, b"9" * 5000, b"-1", b"1.5", b"1E400"),
    *(b'"\\ud800"', b'"\\u0000"', b"[" * 40 + b"]" * 40, b"[" * 3000, b'{"a":' * 33 + b"}"),
    *(b"\xff", b"\x00", b"\xef\xbb\xbf", b"\n", b"\r", b"\xe2\x80\xa8", b'"', b"\\", b"," * 9),
    *(b'"../../etc/passwd"', b'"test"', b'"train"', b'"0000000000000000"', b'"footer"'),
)
ANY: dict[str, Any] = dict.fromkeys(REQUIRED, "")
ENTRY = Entry(
    folder=Path("submissions/toy/acme__model__00000000"),
    id="acme__model__00000000",
    suite="toy",
    fields=EntryFields(**ANY | {"kind": "trained"}),
    runs=(),
    notes=None,
)
VALUE = re.compile(rb'(?<=":)(?:"[^"]*"|[-0-9.e]+|null|true|false|\[[^\[\]]*\]|\{[^{}]*\})')


def _again(data: bytes) -> bytes:
    """Let the footer's hash fit the lines above it, so that what is behind the hash is reached."""
    lines = data.splitlines(keepends=True)
    for place, line in enumerate(lines):
        if b'"kind":"footer"' in line:
            digest = sha256_bytes(b"".join(lines[:place])).encode()
            new = re.sub(rb'"body_sha256":"[0-9a-f]*"', b'"body_sha256":"' + digest + b'"', line)
            lines[place] = new
    return b"".join(lines)


def mutated(data: bytes, draw: Any) -> bytes:
    """Apply a few drawn changes: of bytes, of values, of whole lines."""
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("byte", "cut", "insert", "value", "value", "value", "line")))
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        if kind == "byte" and data:
            data = data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place] + data[place + draw(st.integers(1, 200)) :]
        elif kind == "insert":
            data = data[:place] + draw(st.sampled_from(TOKENS)) + data[place:]
        elif kind == "value":
            found = list(VALUE.finditer(data))
            if found:
                match = found[draw(st.integers(0, len(found) - 1))]
                token = draw(st.sampled_from(TOKENS))
                data = data[: match.start()] + token + data[match.end() :]
        else:
            lines = data.splitlines(keepends=True)
            if lines:
                line = lines[draw(st.integers(0, len(lines) - 1))]
                lines.insert(draw(st.integers(0, len(lines))), line)
                lines.pop(draw(st.integers(0, len(lines) - 1)))
                data = b"".join(lines)
    return _again(data) if draw(st.booleans()) else data


class Says:
    def complete(self, prompts: Any) -> list[str]:
        return [f"changed: Rome ant {number}" for number, _ in enumerate(prompts)]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, Task, Suite]]:
    """Run files to start from: verdicts, and judged descriptions."""
    from introspect_bench.benchmark.registry import get_task
    from introspect_bench.tasks.feature_descriptions.judge.run import judge_run

    root = tmp_path_factory.mktemp("fuzz")
    words = get_task("feature-descriptions")
    toy = make_toy_task(uses_vector=True)
    found = []
    for task, suite in (
        (toy, make_toy_suite(root / "toy", toy)),
        (words, make_feature_suite(root / "words")),
    ):
        path = root / f"{task.name}.jsonl"
        card = ExplainerCard(name="says", kind="custom")
        spec = PromptSpec(task=task, suite=suite, split="test", batch_size=9)
        predict(spec, Says(), card, path)
        if suite.describes:
            judge_run(path, task=task, suite=suite, judges=judges())
        found.append((path.read_bytes(), task, suite))
    return found


@settings(
    max_examples=N_FILES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_mutated_run_file_is_read_or_refused(
    seeds: list[tuple[bytes, Task, Suite]], tmp_path: Path, data: st.DataObject
) -> None:
    content, task, suite = seeds[data.draw(st.integers(0, len(seeds) - 1))]
    path = tmp_path / "run.jsonl"
    path.write_bytes(mutated(content, data.draw))
    try:
        run = read_run(path)
        score_run(run, task, suite)
    except IntrospectBenchError:  # any other error fails the test
        return
    list(run_findings(run, ENTRY))
    list(together(ENTRY, {"toy": run}))
    with contextlib.suppress(IntrospectBenchError):
        request_again(run, Recheck(model="baseline/constant"), output=tmp_path)


def test_the_mutations_reach_both_sides(tmp_path: Path) -> None:
    """The same loop on a sound file, and on one that a change of a value makes wrong."""
    lines = [header(), *(pred(number) for number in range(4))]
    content = b"".join(encode_line(line) for line in lines)
    path = tmp_path / "run.jsonl"
    path.write_bytes(_again(content))
    assert len(read_run(path).rows) == 4
    assert VALUE.search(content)
    path.write_bytes(content.replace(b'"ms":1.5', b'"ms":1e999', 1))
    with pytest.raises(IntrospectBenchError, match="not finite"):
        read_run(path)
