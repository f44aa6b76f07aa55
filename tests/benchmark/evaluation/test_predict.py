"""A run asks each query once, in batches, without the truth, and records every reply."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import asked
from told import Told

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.evaluation.plan import plan
from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.records import SLOT, Completion
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task


def test_run_holds_every_reply_and_says_who_gave_it(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite, toy_task: Task
) -> None:
    settings = {"temperature": 0.0, "max_new_tokens": 16}
    card = ExplainerCard(name="toy/scripted", kind="local", settings=settings)
    path = ask(batch_dependent, card=card, device="cpu")
    run = read_run(path)
    assert run.complete
    assert run.rows.keys() == {query.id for query in toy_suite.queries("test")}
    assert [row["i"] for row in run.rows.values()] == list(range(24))
    header = run.header.to_json()
    assert header["task"] == {
        "id": "toy-vector",
        "version": "v1",
        "split": "test",
        "suite": "toy",
        "n": 24,
        "limit": None,
        "query_ids": None,
        "query_ids_sha256": header["task"]["query_ids_sha256"],
        "data_sha256": toy_suite.data_sha256,
        "prompt_sha256": toy_task.prompt_sha256,
        "metric_version": header["task"]["metric_version"],
    }
    assert header["explainer"] == {
        "name": "toy/scripted",
        "kind": "local",
        "revision": None,
        "weights_sha256": {},
        "settings": settings,
        "shots": 0,
        "no_vector": False,
    }
    assert header["generation"] == {
        "max_new_tokens": 16,
        "thinking": False,
        "seed": 0,
        "batch_size": 3,
    }
    assert header["selftest"] == toy_suite.manifest["doctor"]
    assert header["env"]["device"] == "cpu"
    assert header["target"] == toy_suite.manifest["target"]
    assert header["partial"] is False
    assert run.footer is not None
    assert run.footer["counts"] == {"scored": 24, "unparsed": 0}
    assert run.footer["cost"]["tokens_out"] == 72
    assert run.footer["cost"]["tokens_in"] == sum(row["n_in"] for row in run.rows.values())


def test_header_names_neither_host_nor_user_nor_place(
    ask: Callable[..., Path], batch_dependent: Any, tmp_path: Path
) -> None:
    text = ask(batch_dependent).read_text()
    for secret in (os.uname().nodename, str(tmp_path), str(Path.home()), str(Path.cwd())):
        assert secret == "/" or secret not in text


def test_prompts_carry_the_querys_own_vector_as_float32(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite
) -> None:
    ask(batch_dependent)
    vectors = toy_suite.vectors("test")
    for prompt in asked(batch_dependent):
        assert prompt.vector is not None
        assert prompt.vector.dtype == np.float32
        assert prompt.query.vector is not None
        np.testing.assert_array_equal(prompt.vector, vectors[prompt.query.vector])
        assert prompt.question.count(SLOT) == 1


def test_batches_share_a_template_and_go_by_length(
    ask: Callable[..., Path], batch_dependent: Any
) -> None:
    ask(batch_dependent)
    for batch in batch_dependent.batches:
        assert len({(prompt.template, prompt.instructions) for prompt in batch}) == 1
        assert 1 <= len(batch) <= 3
    order = [(p.template, len(p.question), p.query.id) for p in asked(batch_dependent)]
    assert order == sorted(order)
    assert len({template for template, _, _ in order}) == 2


def test_never_opens_the_truth_of_the_split_it_answers(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite
) -> None:
    for split in ("validation", "test"):
        for name in ("truth.jsonl", "oracle.jsonl"):
            (toy_suite.root / split / name).unlink()
    (toy_suite.root / "train" / "oracle.jsonl").unlink()
    assert read_run(ask(batch_dependent, shots=2)).complete
    (toy_suite.root / "train" / "truth.jsonl").unlink()
    path = ask(batch_dependent, out=toy_suite.root.parent / "zero.jsonl")
    assert read_run(path).complete
    assert not [name for name in inspect.signature(predict).parameters if "truth" in name]


def test_no_vector_withholds_and_records(ask: Callable[..., Path], batch_dependent: Any) -> None:
    path = ask(batch_dependent, no_vector=True, shots=2)
    assert read_run(path).header.explainer.no_vector is True
    for prompt in asked(batch_dependent):
        assert prompt.vector is None
        assert all(turn.vector is None for turn in prompt.shots)


def test_no_vector_means_nothing_to_a_task_without_vectors(
    ask: Callable[..., Path], batch_dependent: Any, toy_text_task: Task, toy_text_suite: Suite
) -> None:
    path = ask(batch_dependent, task=toy_text_task, suite=toy_text_suite, no_vector=True)
    assert read_run(path).header.explainer.no_vector is False
    assert all(prompt.vector is None for prompt in asked(batch_dependent))


def test_limit_and_ids_mark_the_run_partial(
    ask: Callable[..., Path], scripted: Callable[..., Any], toy_suite: Suite, tmp_path: Path
) -> None:
    ids = [query.id for query in toy_suite.queries("test")]
    run = read_run(ask(scripted({}), limit=5))
    assert run.header.partial is True
    assert run.rows.keys() == set(ids[:5])
    run = read_run(ask(scripted({}), queries=[ids[9], ids[2]], out=tmp_path / "ids.jsonl"))
    assert run.header.partial is True
    assert run.header.task.query_ids == sorted([ids[9], ids[2]])
    assert run.rows.keys() == {ids[9], ids[2]}
    run = read_run(ask(scripted({}), limit=24, out=tmp_path / "all.jsonl"))
    assert run.header.partial is False
    run = read_run(ask(scripted({}), split="mini", out=tmp_path / "mini.jsonl"))
    assert run.header.partial is False
    assert len(run.rows) == 4


def test_unparsed_replies_are_kept_and_counted(
    ask: Callable[..., Path], scripted: Callable[..., Any], toy_suite: Suite
) -> None:
    first, second, *_ = (query.id for query in toy_suite.queries("test"))
    run = read_run(ask(scripted({first: "changed: Rome", second: ""})))
    assert run.rows[first]["parsed"] == {"changed": True, "content": "Rome"}
    assert (run.rows[first]["status"], run.rows[first]["reason"]) == ("scored", None)
    assert (run.rows[second]["status"], run.rows[second]["reason"]) == ("unparsed", "empty reply")
    assert run.footer is not None
    assert run.footer["counts"] == {"scored": 1, "unparsed": 23}
    assert {row["reason"] for row in run.rows.values()} == {None, "empty reply", "no answer found"}


def test_progress_counts_queries(ask: Callable[..., Path], batch_dependent: Any) -> None:
    told = Told()
    ask(batch_dependent, progress=told)
    assert told.steps[0][1:] == (0, 24)
    assert told.steps[-1][1:] == (24, 24)
    assert told.steps == sorted(told.steps)


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        (lambda prompts: ["x"] * (len(prompts) - 1), "Scripted\\.complete returned 2 replies to 3"),
        (lambda prompts: "x" * len(prompts), "returned a str, expected a list"),
        (lambda _: None, "returned a NoneType, expected a list"),
        (lambda prompts: [None] * len(prompts), "returned a NoneType as a reply"),
        (lambda prompts: [Completion(text=3)] * len(prompts), "returned a int as a reply"),  # type: ignore[arg-type]
        (lambda prompts: [Completion(text="", n_in=-1)] * len(prompts), "with n_in -1, expected"),
        (lambda prompts: [Completion(text="", n_in=10**30)] * len(prompts), "with n_in 10000"),
        (lambda prompts: [Completion(text="", n_out=math.nan)] * len(prompts), "with n_out nan"),  # type: ignore[arg-type]
        (lambda prompts: [Completion(text="", n_out=math.inf)] * len(prompts), "with n_out inf"),  # type: ignore[arg-type]
        (lambda prompts: [Completion(text="", n_out=2.5)] * len(prompts), r"with n_out 2\.5"),  # type: ignore[arg-type]
        (lambda prompts: [Completion(text="", n_in=True)] * len(prompts), "with n_in True"),
        (lambda prompts: [Completion(text="", n_in="3")] * len(prompts), "with n_in '3'"),  # type: ignore[arg-type]
    ],
)
def test_explainers_that_break_the_contract_are_named(
    ask: Callable[..., Path], scripted: Callable[..., Any], replies: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ask(scripted(replies))


def test_numbers_of_tokens_may_come_from_numpy(
    ask: Callable[..., Path], scripted: Callable[..., Any]
) -> None:
    reply: Any = Completion(text="", n_in=np.int64(3), n_out=np.uint8(2))  # type: ignore[arg-type]
    run = read_run(ask(scripted(lambda prompts: [reply] * len(prompts))))
    assert {(row["n_in"], row["n_out"]) for row in run.rows.values()} == {(3, 2)}


def test_a_seed_below_zero_is_refused(
    ask: Callable[..., Path], scripted: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match="the seed is -1"):
        ask(scripted({}), seed=-1, shots=1)


def test_of_a_local_target_only_name_and_hashes_are_recorded(
    ask: Callable[..., Path],
    scripted: Callable[..., Any],
    freeze: Callable[..., Suite],
    toy_suite: Suite,
) -> None:
    kept = {
        "name": "mine",
        "weights_sha256": {"a.safetensors": "0" * 64},
        "tensors_sha256": None,
        "tokenizer_sha256": "1" * 64,
    }
    local = {"source": "local", "location": "/home/ann/mine", "revision": "local", "d_model": 4}
    suite = freeze(toy_suite.root, target=kept | local)
    path = ask(scripted({}), suite=suite)
    del kept["tensors_sha256"]
    assert read_run(path).header.to_json()["target"] == kept
    assert "/home/ann" not in path.read_text()


def test_of_a_public_target_it_is_recorded_where_to_get_it(
    ask: Callable[..., Path],
    scripted: Callable[..., Any],
    freeze: Callable[..., Suite],
    toy_suite: Suite,
) -> None:
    public = {"name": "x", "source": "hub", "location": "org/x", "revision": "0" * 40, "d_model": 4}
    suite = freeze(toy_suite.root, target=public)
    assert read_run(ask(scripted({}), suite=suite)).header.to_json()["target"] == public


def test_suite_of_another_task_is_refused(
    ask: Callable[..., Path], scripted: Callable[..., Any], toy_text_suite: Suite
) -> None:
    with pytest.raises(IntegrityError, match="task is 'toy-text'"):
        ask(scripted({}), suite=toy_text_suite)


def test_plan_says_what_a_run_would_do(
    toy_task: Task, toy_suite: Suite, ask: Callable[..., Path], batch_dependent: Any
) -> None:
    arguments: dict[str, Any] = {"task": toy_task, "suite": toy_suite, "split": "test"}
    found = plan(PromptSpec(**arguments, batch_size=3, shots=2))
    path = ask(batch_dependent, shots=2)
    assert found.queries == 24
    assert found.batches == len(batch_dependent.batches)
    characters = sum(
        len(p.instructions) + len(p.question) + sum(len(t.question + t.answer) for t in p.shots)
        for p in asked(batch_dependent)
    )
    assert found.prompt_tokens == pytest.approx(characters / 3.5, rel=0.02)
    assert found.disk_bytes == pytest.approx(path.stat().st_size, rel=0.5)
    assert plan(PromptSpec(**arguments, batch_size=3, limit=5)).queries == 5
    with pytest.raises(UsageError, match="batch size is 0"):
        plan(PromptSpec(**arguments, batch_size=0))


@pytest.mark.parametrize("sign", ["x", "é", "\x00", '"', "\ud800"])
def test_a_reply_too_long_for_a_row_is_cut_and_the_run_goes_on(
    ask: Callable[..., Path], scripted: Callable[..., Any], sign: str
) -> None:
    long = "changed: " + 80_000 * sign
    path = ask(scripted(lambda prompts: [long, *["changed: X"] * (len(prompts) - 1)]))
    run = read_run(path)
    assert run.complete
    rows = [row for row in run.rows.values() if row["raw"] != "changed: X"]
    assert len(rows) == 9  # one of each batch
    for row in rows:
        assert long.startswith(row["raw"])
        assert len(row["raw"].encode()) <= 4_096
        assert row["reason"].startswith("cut to 4096 of ")
    before = path.read_bytes()
    assert ask(scripted({})).read_bytes() == before
