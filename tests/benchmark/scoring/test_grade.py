"""Scores of whole, partial and unfinished runs on the toy suites, worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import Perfect, score_run

from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.files import canonical_json
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.records import Answer, GroundTruth, Query, Scored
from introspect_bench.benchmark.runs.header import n_train
from introspect_bench.benchmark.runs.run import Run, encode_line, read_run
from introspect_bench.benchmark.scoring.correct import is_right, same_content
from introspect_bench.benchmark.scoring.grade import Graded, grade
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.verdicts import format_answer, parse_answer


def values(part: dict[str, Any]) -> dict[str, float]:
    return {name: metric["value"] for name, metric in part["metrics"].items()}


def counts(part: dict[str, Any]) -> tuple[int, int, int]:
    return part["scored"], part["unparsed"], part["missing"]


def test_perfect_replies_score_one_and_silence_zero(
    toy_task: Task, toy_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    result = score_run(
        run_of(toy_task, toy_suite, perfect(toy_task, toy_suite, "test")), toy_task, toy_suite
    )
    assert values(result["overall"]) == dict.fromkeys(toy_task.metrics, 1.0)
    assert counts(result["overall"]) == (24, 0, 0)
    result = score_run(run_of(toy_task, toy_suite, {}), toy_task, toy_suite)
    assert values(result["overall"]) == dict.fromkeys(toy_task.metrics, 0.0)
    assert counts(result["overall"]) == (0, 24, 0)


def test_result_worked_out_by_hand(
    toy_task: Task, toy_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    replies = perfect(toy_task, toy_suite, "test")
    truth = toy_suite.truth("test")
    queries = toy_suite.queries("test")
    # Groups of four: members 0 and 1 unchanged, 2 and 3 changed. Damage the first group only:
    replies[queries[0].id] = (
        f"changed: {truth[queries[0].id].outcome}"  # content right, verdict not
    )
    replies[queries[2].id] = "changed: Atlantis"  # verdict right, content not
    replies[queries[3].id] = "hm"  # unparsed
    result = score_run(run_of(toy_task, toy_suite, replies), toy_task, toy_suite)
    assert counts(result["overall"]) == (23, 1, 0)
    assert result["counts"] == {"queries": 24, "scored": 23, "unparsed": 1, "missing": 0}
    found = values(result["overall"])
    assert found["exact_match"] == 21 / 24
    assert found["content_match"] == 22 / 24
    assert found["group_consistency"] == 5 / 6
    # changed: true 12, answered 12, both 11; unchanged: true 12, answered 11, both 11
    f1 = (2 * 11 / (12 + 12) + 2 * 11 / (12 + 11)) / 2
    assert found["has_changed_macro_f1"] == pytest.approx(f1, abs=1e-15)
    assert result["overall"]["n_groups"] == 6
    for metric in result["overall"]["metrics"].values():
        low, high = metric["interval_95"]
        assert 0 <= low <= metric["value"] <= high <= 1
        assert (metric["n"], metric["n_groups"]) == (24, 6)
    assert result["reference"]["input_only_ceiling"]["exact_match"] == 0.5
    assert result["explainer"]["name"] == "toy/scripted"
    assert result["explainer"]["kind"] == "custom"


def test_parts_by_kind_and_layers_add_up(
    toy_task: Task, toy_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    replies = perfect(toy_task, toy_suite, "test")
    for query in toy_suite.queries("test")[:7]:
        del replies[query.id]
    result = score_run(run_of(toy_task, toy_suite, replies), toy_task, toy_suite)
    for name, keys in (
        ("by_kind", ["last-subject", "relation"]),
        ("by_layers", ["00-05", "06-11"]),
    ):
        parts = result[name]
        assert list(parts) == keys
        assert sum(part["n"] for part in parts.values()) == 24
        assert np.sum([counts(part) for part in parts.values()], axis=0).tolist() == [17, 7, 0]
        right = sum(part["n"] * values(part)["exact_match"] for part in parts.values())
        assert right == pytest.approx(17)


def test_headline_leaves_out_the_other_kinds(
    toy_text_task: Task, toy_text_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    replies = perfect(toy_text_task, toy_text_suite, "test")
    words = [query.id for query in toy_text_suite.queries("test") if query.kind == "word"]
    for key in words:
        replies[key] = "changed: Atlantis"
    result = score_run(
        run_of(toy_text_task, toy_text_suite, replies), toy_text_task, toy_text_suite
    )
    assert values(result["overall"]) == dict.fromkeys(toy_text_task.metrics, 1.0)
    assert result["overall"]["n"] == 24 - len(words) == 16
    assert values(result["by_kind"]["word"])["exact_match"] == 0
    assert result["counts"]["queries"] == 24
    assert result["by_layers"] == {}
    only = run_of(toy_text_task, toy_text_suite, replies, queries=words)
    assert score_run(only, toy_text_task, toy_text_suite)["overall"] is None


def test_missing_rows_are_wrong_and_shown(
    toy_task: Task, toy_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    run = run_of(toy_task, toy_suite, perfect(toy_task, toy_suite, "test"))
    lines = run.path.read_bytes().splitlines(keepends=True)
    run.path.write_bytes(b"".join(lines[:19]))
    result = score_run(read_run(run.path), toy_task, toy_suite)
    assert result["complete"] is False
    assert counts(result["overall"]) == (18, 0, 6)
    assert values(result["overall"])["exact_match"] == 18 / 24


def test_partial_run_is_scored_over_the_queries_it_is_about(
    toy_task: Task, toy_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    replies = perfect(toy_task, toy_suite, "test")
    ids = [query.id for query in toy_suite.queries("test")]
    result = score_run(run_of(toy_task, toy_suite, replies, limit=6), toy_task, toy_suite)
    assert result["partial"] is True
    assert result["counts"]["queries"] == 6
    assert values(result["overall"])["exact_match"] == 1
    assert result["reference"] is None
    one = score_run(run_of(toy_task, toy_suite, replies, queries=ids[:1]), toy_task, toy_suite)
    assert one["overall"]["metrics"]["exact_match"]["interval_95"] is None


def test_scoring_twice_gives_identical_bytes(
    toy_task: Task, toy_suite: Suite, batch_dependent: Any, card: ExplainerCard, tmp_path: Path
) -> None:
    spec = PromptSpec(task=toy_task, suite=toy_suite, split="test", batch_size=3)
    path = predict(spec, batch_dependent, card, tmp_path / "r")
    first = canonical_json(score_run(read_run(path), toy_task, toy_suite))
    # The order of rows in the file does not matter either.
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[-2:0:-1]]))
    second = json.loads(canonical_json(score_run(read_run(path), toy_task, toy_suite)))
    assert canonical_json(score_run(read_run(path), toy_task, toy_suite)) == canonical_json(second)
    same = json.loads(first)
    for name in ("complete", "body_sha256", "cost"):
        del same[name], second[name]
    assert same == second


def test_only_raw_text_counts(toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run]) -> None:
    run = run_of(toy_task, toy_suite, {})
    lines = [json.loads(line) for line in run.path.read_bytes().splitlines()[:-1]]
    for row in lines[1:]:
        truth = toy_suite.truth("test")[row["qid"]]
        row |= {"status": "scored", "parsed": {"changed": truth.changed, "content": truth.outcome}}
    run.path.write_bytes(b"".join(encode_line(line) for line in lines))
    assert counts(score_run(read_run(run.path), toy_task, toy_suite)["overall"]) == (0, 24, 0)


def test_grade_puts_query_truth_and_answer_together(
    toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run]
) -> None:
    first = toy_suite.queries("test")[0]
    clean = toy_suite.truth("test")[first.id].clean
    graded = grade(
        run_of(toy_task, toy_suite, {first.id: f'unchanged: "{clean}."'}), toy_task, toy_suite
    )
    assert [one.query.id for one in graded] == [q.id for q in toy_suite.queries("test")]
    assert graded[0].status == "scored"
    assert is_right(graded[0]) == (True, True)
    assert graded[1].status == "unparsed"
    assert is_right(graded[1]) == (False, False)


def test_a_verdict_alone_counts_as_a_verdict_and_as_nothing_else(
    toy_suite: Suite, toy_task: Task, run_of: Callable[..., Run]
) -> None:
    task = replace(toy_task, parse=parse_answer, format_answer=format_answer)
    truth = toy_suite.truth("test")
    verdicts = {
        query: format_answer(Answer(changed=one.changed, content=""))
        for query, one in truth.items()
    }
    assert set(verdicts.values()) == {"changed", "unchanged"}
    result = score_run(run_of(task, toy_suite, verdicts), task, toy_suite)
    assert result["counts"] == {"queries": 24, "scored": 24, "unparsed": 0, "missing": 0}
    assert result["unread"] is None
    found = values(result["overall"])
    assert found["has_changed_macro_f1"] == 1
    assert found["exact_match"] == found["content_match"] == found["group_consistency"] == 0


@pytest.mark.parametrize(
    ("said", "truth", "right"),
    [
        ("A)", "A", True),
        ("(A)", "A", True),
        ("A:", "A", True),
        ("A. Paris", "A", True),
        ("(A) Paris", "A", True),
        ("B. Paris", "A", False),
        ("A Paris", "A", False),
        ("Paris", "A", False),
        ("A.Paris", "A", False),
        ("A. Lincoln", "Lincoln", False),
        ("A. Lincoln", "A. Lincoln", True),
        ("A", "A. Lincoln", False),
        ("(A)", "AB", False),
        ("", "A", False),
        ("", " ", False),
    ],
)
def test_a_marked_letter_is_right_only_where_the_truth_is_a_letter(
    said: str, truth: str, right: bool
) -> None:
    assert same_content(said, truth) is right
    answer = Answer(changed=True, content=said)
    one = GroundTruth(
        id="1", clean="Q", outcome=truth, clean_ids=(1,), outcome_ids=(2,), margin=1.0
    )
    query = Query(id="1", group="1", kind="hint", fields={})
    assert is_right(Scored(query=query, raw="", answer=answer, truth=one)) == (True, right)


def test_most_replies_unread_gives_one_of_them_and_the_form(
    toy_task: Task, toy_suite: Suite, perfect: Perfect, run_of: Callable[..., Run]
) -> None:
    task = replace(toy_task, form="`changed: X`")
    replies = perfect(task, toy_suite, "test")
    ids = list(replies)
    half = replies | dict.fromkeys(ids[:11], "hm " * 500) | {ids[11]: ""}
    assert score_run(run_of(task, toy_suite, half), task, toy_suite)["unread"] is None
    most = half | {ids[12]: ""}
    found = score_run(run_of(task, toy_suite, most), task, toy_suite)["unread"]
    assert found.pop("id") in ids[:11]
    assert found == {
        "unparsed": 13,
        "answered": 24,
        "reply": "hm " * 100,
        "expected": "`changed: X`",
    }


def test_scoring_needs_no_model_library() -> None:
    code = "import sys, introspect_bench.benchmark.scoring.grade\n"
    code += "import introspect_bench.benchmark.export.tables\n"
    code += "sys.exit(bool({'torch', 'transformers', 'nnsight'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_full_split_is_scored_in_a_few_seconds(
    toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run]
) -> None:
    run = run_of(toy_task, toy_suite, {})
    one = grade(run, toy_task, toy_suite)[0]
    many = tuple(
        type(one)(
            query=Query(
                id=f"{i:016x}",
                group=f"{i // 4:016x}",
                kind=f"k{i // 4 % 5}",
                fields={"layers": [i // 4 % 5, i // 4 % 5 + 5]},
            ),
            truth=one.truth,
            raw=one.raw,
            answer=one.answer,
        )
        for i in range(1450)
    )
    start = time.perf_counter()
    result = Graded(run=run, task=toy_task, suite=toy_suite, scored=many).result()
    assert time.perf_counter() - start < 6
    assert len(result["by_kind"]) == len(result["by_layers"]) == 5


@pytest.mark.parametrize("settings", [None, [], "all", {"n_train": "8"}, {"n_train": [8]}])
def test_settings_that_are_none_say_nothing_of_what_was_learnt(settings: object) -> None:
    assert n_train(settings, "toy") is None
    assert n_train({"n_train": {"toy": 8}}, "toy") == 8
