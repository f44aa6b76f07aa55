from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.predict import plan, predict
from introspect_bench.benchmark.prompting import render_all
from introspect_bench.benchmark.records import SLOT, Completion, Prompt
from introspect_bench.benchmark.runfile import read_run
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def ask(
    toy_task: Task, toy_suite: Suite, card: ExplainerCard, tmp_path: Path
) -> Callable[..., Path]:
    """`predict` on the toy suite's test split, with anything changed."""

    def call(explainer: Any, **changes: Any) -> Path:
        arguments: dict[str, Any] = {
            "task": toy_task,
            "suite": toy_suite,
            "split": "test",
            "card": card,
            "out": tmp_path / "run.jsonl",
            "batch_size": 3,
        }
        return predict(explainer=explainer, **(arguments | changes))

    return call


def rows(path: Path) -> list[dict[str, Any]]:
    """Rows sorted by id, without the time they took."""
    found = sorted(read_run(path).rows.values(), key=lambda row: row["qid"])
    return [{key: row[key] for key in row if key != "ms"} for row in found]


def asked(explainer: Any) -> list[Prompt]:
    return [prompt for batch in explainer.batches for prompt in batch]


def test_run_holds_every_reply_and_says_who_gave_it(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite, toy_task: Task
) -> None:
    path = ask(
        batch_dependent,
        generation={"max_new_tokens": 16},
        selftest={"identity_patch": "pass"},
        device="cpu",
    )
    run = read_run(path)
    assert run.complete
    assert run.rows.keys() == {query.id for query in toy_suite.queries("test")}
    assert [row["i"] for row in run.rows.values()] == list(range(24))
    header = run.header
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
        "kind": "custom",
        "revision": None,
        "weights_sha256": {},
        "settings": {"temperature": 0.0},
        "shots": 0,
        "no_vector": False,
    }
    assert header["generation"] == {"max_new_tokens": 16, "seed": 0, "batch_size": 3}
    assert header["selftest"] == {"identity_patch": "pass"}
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
    assert read_run(path).header["explainer"]["no_vector"] is True
    for prompt in asked(batch_dependent):
        assert prompt.vector is None
        assert all(turn.vector is None for turn in prompt.shots)


def test_no_vector_means_nothing_to_a_task_without_vectors(
    ask: Callable[..., Path], batch_dependent: Any, toy_text_task: Task, toy_text_suite: Suite
) -> None:
    path = ask(batch_dependent, task=toy_text_task, suite=toy_text_suite, no_vector=True)
    assert read_run(path).header["explainer"]["no_vector"] is False
    assert all(prompt.vector is None for prompt in asked(batch_dependent))


def test_shots_are_solved_training_queries(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite, toy_task: Task
) -> None:
    ask(batch_dependent, shots=4)
    truth = toy_suite.truth("train")
    vectors = toy_suite.vectors("train")
    # The vector tells which training query a turn is.
    solved = {
        vectors[question.query.vector].astype(np.float32).tobytes(): question
        for question in render_all(toy_task, toy_suite.queries("train"))
    }
    by_template = {prompt.template: prompt.shots for prompt in asked(batch_dependent)}
    assert by_template["toy-vector/1"] != by_template["toy-vector/2"]
    for prompt in asked(batch_dependent):
        assert prompt.shots == by_template[prompt.template]
        found = [solved[turn.vector.tobytes()] for turn in prompt.shots if turn.vector is not None]
        assert len({question.query.id for question in found}) == 4
        for question, turn in zip(found, prompt.shots, strict=True):
            assert turn.question == question.rendered.question
            assert turn.answer == toy_task.format_answer(truth[question.query.id].answer)
            assert question.rendered.template == prompt.template
        kinds = sorted(question.query.kind for question in found)
        assert kinds == ["last-subject"] * 2 + ["relation"] * 2
        assert sum(turn.answer.startswith("changed") for turn in prompt.shots) == 2
        assert len({question.query.group for question in found}) == 4


def shots_of(explainer: Any) -> list[Any]:
    return [(p.template, [(t.question, t.answer) for t in p.shots]) for p in asked(explainer)]


def test_seed_decides_the_shots(
    ask: Callable[..., Path], scripted: Callable[..., Any], tmp_path: Path
) -> None:
    seen = []
    for number, seed in enumerate((0, 0, 1)):
        explainer = scripted({})
        ask(explainer, shots=3, seed=seed, out=tmp_path / f"{number}.jsonl")
        seen.append(shots_of(explainer))
    assert seen[0] == seen[1] != seen[2]


def test_shots_balance_kinds_and_verdicts_together(
    ask: Callable[..., Path], batch_dependent: Any, toy_text_task: Task, toy_text_suite: Suite
) -> None:
    # Were every `hint` shot changed and every `context` shot not, kind would give the answer away.
    ask(batch_dependent, task=toy_text_task, suite=toy_text_suite, shots=4)
    questions = {
        q.rendered.question: q.query.kind
        for q in render_all(toy_text_task, toy_text_suite.queries("train"))
    }
    for prompt in asked(batch_dependent):
        pairs = {(questions[t.question], t.answer.startswith("changed")) for t in prompt.shots}
        assert len(pairs) == 4


def test_impossible_shots(ask: Callable[..., Path], scripted: Callable[..., Any]) -> None:
    for split, shots, message in (
        ("train", 1, "answer another one"),
        ("test", -1, "give 0 or more"),
        ("test", 33, "the training split has 32"),
    ):
        with pytest.raises(UsageError, match=message):
            ask(scripted({}), split=split, shots=shots)


def test_limit_and_ids_mark_the_run_partial(
    ask: Callable[..., Path], scripted: Callable[..., Any], toy_suite: Suite, tmp_path: Path
) -> None:
    ids = [query.id for query in toy_suite.queries("test")]
    run = read_run(ask(scripted({}), limit=5))
    assert run.header["partial"] is True
    assert run.rows.keys() == set(ids[:5])
    run = read_run(ask(scripted({}), queries=[ids[9], ids[2]], out=tmp_path / "ids.jsonl"))
    assert run.header["partial"] is True
    assert run.header["task"]["query_ids"] == sorted([ids[9], ids[2]])
    assert run.rows.keys() == {ids[9], ids[2]}
    run = read_run(ask(scripted({}), limit=24, out=tmp_path / "all.jsonl"))
    assert run.header["partial"] is False
    run = read_run(ask(scripted({}), split="mini", out=tmp_path / "mini.jsonl"))
    assert run.header["partial"] is False
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


def test_complete_run_asks_nothing(ask: Callable[..., Path], scripted: Callable[..., Any]) -> None:
    before = ask(scripted({})).read_bytes()
    explainer = scripted({})
    assert ask(explainer).read_bytes() == before
    assert not explainer.batches


def test_progress_counts_queries(ask: Callable[..., Path], batch_dependent: Any) -> None:
    seen: list[tuple[int, int]] = []
    ask(batch_dependent, on_progress=lambda *progress: seen.append(progress))
    assert seen[0] == (0, 24)
    assert seen[-1] == (24, 24)
    assert seen == sorted(seen)


def interrupting(after: int, inner: Any) -> Any:
    """Replies like `inner`, until a keyboard interrupt in a later batch."""

    def replies(prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        if len(inner.batches) == after:
            raise KeyboardInterrupt
        return inner.complete(prompts)  # type: ignore[no-any-return]

    return replies


def test_interrupted_run_continues_with_what_is_missing(
    ask: Callable[..., Path], scripted: Callable[..., Any], batch_dependent: Any, tmp_path: Path
) -> None:
    whole = ask(batch_dependent, out=tmp_path / "whole.jsonl", shots=1)
    n_batches = len(batch_dependent.batches)
    batch_dependent.batches.clear()
    with pytest.raises(KeyboardInterrupt):
        ask(scripted(interrupting(3, batch_dependent)), shots=1)
    run = read_run(tmp_path / "run.jsonl")
    assert not run.complete
    assert len(run.rows) == sum(len(batch) for batch in batch_dependent.batches) > 0
    batch_dependent.batches.clear()
    assert rows(ask(batch_dependent, shots=1)) == rows(whole)
    assert len(batch_dependent.batches) == n_batches - 3


def test_half_a_batch_on_disk_is_asked_whole_and_completed(
    ask: Callable[..., Path], batch_dependent: Any
) -> None:
    path = ask(batch_dependent)
    whole = rows(path)
    lines = path.read_bytes().splitlines(keepends=True)
    # The header, the first batch and two of the three rows of the second, one of them torn.
    path.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    batch_dependent.batches.clear()
    assert rows(ask(batch_dependent)) == whole
    assert len(batch_dependent.batches[0]) == 3


def test_resume_refuses_other_settings(
    ask: Callable[..., Path], scripted: Callable[..., Any]
) -> None:
    ask(scripted({}), limit=3)
    other = ExplainerCard(name="toy/scripted", kind="custom", settings={"temperature": 1.0})
    for changes, field in (
        ({"limit": 4}, "task.n"),
        ({"limit": 3, "shots": 2}, "explainer.shots"),
        ({"limit": 3, "seed": 1}, "generation.seed"),
        ({"limit": 3, "batch_size": 4}, "generation.batch_size"),
        ({"limit": 3, "no_vector": True}, "explainer.no_vector"),
        ({"limit": 3, "card": other}, "explainer.settings.temperature"),
        ({"limit": 3, "split": "validation"}, "task.split"),
    ):
        with pytest.raises(IntegrityError, match=f"is another run: {field} is"):
            ask(scripted({}), **changes)


def test_rows_that_are_not_this_runs_are_refused(
    ask: Callable[..., Path], scripted: Callable[..., Any]
) -> None:
    path = ask(scripted({}))
    lines = path.read_text().splitlines(keepends=True)
    row = json.loads(lines[1])
    path.write_text(lines[0] + json.dumps(row | {"qid": "f" * 16}) + "\n")
    with pytest.raises(IntegrityError, match=r"query id f{16} is not among the run's queries"):
        ask(scripted({}))
    path.write_text(lines[0] + json.dumps(row | {"key": "0"}) + "\n")
    with pytest.raises(
        IntegrityError, match=f"the row of query {row['qid']} was made from another"
    ):
        ask(scripted({}))


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        (lambda prompts: ["x"] * (len(prompts) - 1), "Scripted\\.complete returned 2 replies to 3"),
        (lambda prompts: "x" * len(prompts), "returned a str, expected a list"),
        (lambda _: None, "returned a NoneType, expected a list"),
        (lambda prompts: [None] * len(prompts), "returned a NoneType as a reply"),
        (lambda prompts: [Completion(text=3)] * len(prompts), "returned a int as a reply"),  # type: ignore[arg-type]
        (lambda prompts: [Completion(text="", n_in=-1)] * len(prompts), "negative number"),
        (lambda prompts: ["x" * 70_000] * len(prompts), "more briefly"),
    ],
)
def test_explainers_that_break_the_contract_are_named(
    ask: Callable[..., Path], scripted: Callable[..., Any], replies: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ask(scripted(replies))


def test_full_disk_loses_nothing(
    ask: Callable[..., Path], scripted: Callable[..., Any], batch_dependent: Any, tmp_path: Path
) -> None:
    whole = rows(ask(batch_dependent, out=tmp_path / "whole.jsonl"))

    def fill(prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        if len(batch_dependent.batches) == 12:
            patch.setattr(os, "fsync", full)
        return batch_dependent.complete(prompts)  # type: ignore[no-any-return]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(MissingPartError, match="no disk space"),
    ):
        ask(scripted(fill))
    assert 0 < len(read_run(tmp_path / "run.jsonl").rows) < 24
    assert rows(ask(batch_dependent)) == whole


def test_suite_of_another_task_is_refused(
    ask: Callable[..., Path], scripted: Callable[..., Any], toy_text_suite: Suite
) -> None:
    with pytest.raises(IntegrityError, match="task is 'toy-text'"):
        ask(scripted({}), suite=toy_text_suite)


def test_plan_says_what_a_run_would_do(
    toy_task: Task, toy_suite: Suite, ask: Callable[..., Path], batch_dependent: Any
) -> None:
    arguments: dict[str, Any] = {"task": toy_task, "suite": toy_suite, "split": "test"}
    found = plan(**arguments, batch_size=3, shots=2)
    path = ask(batch_dependent, shots=2)
    assert found.queries == 24
    assert found.batches == len(batch_dependent.batches)
    characters = sum(
        len(p.instructions) + len(p.question) + sum(len(t.question + t.answer) for t in p.shots)
        for p in asked(batch_dependent)
    )
    assert found.prompt_tokens == pytest.approx(characters / 3.5, rel=0.02)
    assert found.disk_bytes == pytest.approx(path.stat().st_size, rel=0.5)
    counted = plan(**arguments, batch_size=3, shots=2, count_tokens=len)
    assert counted.prompt_tokens == characters
    assert plan(**arguments, batch_size=3, limit=5).queries == 5
    with pytest.raises(UsageError, match="batch size is 0"):
        plan(**arguments, batch_size=0)


RUNNER = """
import importlib.util, sys, time
from pathlib import Path
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.predict import predict
from introspect_bench.benchmark.suite import open_suite

spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
sys.modules["toy"] = toy
spec.loader.exec_module(toy)

def slow(prompts):
    time.sleep(0.01)
    return toy.batch_replies(prompts)

predict(
    task=toy.make_toy_task(uses_vector=True), suite=open_suite(Path(sys.argv[2])), split="test",
    explainer=toy.Scripted(slow), card=ExplainerCard(name="toy/scripted", kind="custom",
    settings={"temperature": 0.0}), out=Path(sys.argv[3]), batch_size=2, shots=2,
)
"""


def test_killed_runs_end_with_the_rows_of_an_uninterrupted_one(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite, tmp_path: Path
) -> None:
    whole = rows(ask(batch_dependent, batch_size=2, shots=2, out=tmp_path / "whole.jsonl"))
    out = tmp_path / "killed.jsonl"
    command = [sys.executable, "-c", RUNNER, str(CONFTEST), str(toy_suite.root), str(out)]
    rng = np.random.default_rng()
    n_rows = [0]
    for _ in range(5):
        process = subprocess.Popen(command)
        size = out.stat().st_size if out.exists() else 0
        deadline = time.monotonic() + 60
        # Wait until this process has written something, then strike at any moment.
        while (out.stat().st_size if out.exists() else 0) <= size and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_rows.append(len(read_run(out).rows))
    assert n_rows == sorted(n_rows)
    assert n_rows[1] < 24
    subprocess.run(command, check=True)
    assert read_run(out).complete
    assert rows(out) == whole
