"""Replies that name one of four parts: what is read, and when it is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import Answer, Choice, GroundTruth, Query, Scored
from introspect_bench.benchmark.scoring.correct import is_right
from introspect_bench.benchmark.scoring.grade import score_table
from introspect_bench.tasks.verdicts import format_either, parse_choice, parse_either


@pytest.mark.parametrize(
    "raw",
    [
        "part: B",
        "Part: b",
        " part: (B).",
        "**part: B**",
        "Answer: part: B",
        "part: [B]\nBecause it names the city.",
        "part: B\npart: B",
        "\n\npart:B",
    ],
)
def test_read(raw: str) -> None:
    assert parse_either(raw) == Choice(part="B")


@pytest.mark.parametrize(
    "raw",
    ["", "B", "part:", "part: E", "part: B or C", "part: B\npart: C", "the part: B", "part B"],
)
def test_not_read(raw: str) -> None:
    assert parse_choice(raw) is None


@given(st.sampled_from("ABCD"))
def test_a_choice_is_read_back(part: str) -> None:
    assert parse_either(format_either(Choice(part=part))) == Choice(part=part)


@given(st.booleans(), st.sampled_from(["Paris", "part: B", "the B side"]))
def test_an_answer_is_read_back(changed: bool, content: str) -> None:
    answer = Answer(changed=changed, content=content)
    assert parse_either(format_either(answer)) == answer


def scored(answer: Answer | Choice | None, part: str | None) -> Scored:
    truth = GroundTruth(
        id="0" * 16,
        clean="Paris",
        outcome="Rome",
        clean_ids=(1,),
        outcome_ids=(2,),
        margin=1.0,
        part=part,
    )
    kind = "which" if part else "hint"
    query = Query(id="0" * 16, group="0" * 16, kind=kind, fields={})
    return Scored(query=query, raw="", answer=answer, truth=truth)


def test_a_part_is_right_by_its_letter() -> None:
    assert is_right(scored(Choice(part="B"), "B")) == (True, True)
    assert is_right(scored(Choice(part="C"), "B")) == (False, False)
    table = score_table([scored(Choice(part="B"), "B"), scored(Choice(part="C"), "B")])
    assert table.exact.tolist() == [True, False]
    assert table.pred_changed.tolist() == [-1, -1]


def test_a_part_that_changes_nothing_is_no_truth() -> None:
    with pytest.raises(IntegrityError, match="removing part B changes nothing"):
        GroundTruth(
            id="0" * 16,
            clean="Paris",
            outcome="Paris",
            clean_ids=(1,),
            outcome_ids=(1,),
            margin=1.0,
            part="B",
        )
