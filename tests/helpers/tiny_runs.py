"""Runs in parts: files written line by line, replies by query id, prompts that were asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.runs.run import Run, encode_line
from introspect_bench.benchmark.scoring.grade import grade_run
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task

N = 4

Perfect = Callable[[Task, Suite, str], dict[str, str]]
"""`perfect(task, suite, split)`: the reply that scores 1, by query id."""


def score_run(run: Run, task: Task, suite: Suite) -> dict[str, Any]:
    return grade_run(run, task, suite).result()


def header(**task: object) -> dict[str, Any]:
    about: dict[str, object] = {
        "id": "toy-vector",
        "version": "v1",
        "split": "test",
        "suite": "toy",
        "n": N,
        "limit": None,
        "query_ids": None,
        "query_ids_sha256": "00",
        "data_sha256": "11",
        "prompt_sha256": "22",
        "metric_version": "33",
    }
    return {
        "kind": "header",
        "schema": "introspect-bench/run/1",
        "run_id": "a",
        "created": "2026-01-02T03:04:05Z",
        "package": {"name": "introspect-bench", "version": "0.1.0", "commit": None, "dirty": None},
        "task": about | task,
        "target": {"name": "toy-target"},
        "access": "undeclared",
        "explainer": {
            "name": "x",
            "kind": "custom",
            "revision": None,
            "weights_sha256": {},
            "settings": {"scale": [1, 2.5]},
            "shots": 0,
            "no_vector": False,
        },
        "generation": {"seed": 0, "batch_size": 2},
        "env": {
            "python": "3.11",
            "system": "Linux",
            "machine": "x86_64",
            "device": "cpu",
            "torch": "2.6",
            "transformers": "5.23",
            "nnsight": None,
            "peft": None,
            "numpy": "2.4",
            "safetensors": "0.8",
        },
        "selftest": {},
        "partial": False,
    }


def row(number: int, **fields: object) -> dict[str, Any]:
    return {
        "qid": f"{number:016x}",
        "i": number,
        "raw": f"reply {number}",
        "parsed": None,
        "status": "unparsed",
        "n_in": 3,
        "n_out": 2,
        "ms": 1.5,
    } | fields


def pred(number: int, **fields: object) -> dict[str, Any]:
    return {"kind": "pred", **row(number, **fields)}


def save(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_bytes(b"".join(encode_line(line) for line in lines))
    return path


def asked(explainer: Any) -> list[Prompt]:
    return [prompt for batch in explainer.batches for prompt in batch]
