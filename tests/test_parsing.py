"""The answer grammar, against the published table `data/parsing.jsonl`."""

import json
from pathlib import Path

import pytest

from introspect_bench.benchmark.records import Answer
from introspect_bench.tasks.answers import MAX_LINE, format_answer, format_replayed, parse_answer

TABLE = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "parsing.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{i}-{row['why']}" for i, row in enumerate(TABLE)])
def test_table(row: dict[str, object]) -> None:
    expected = None
    if row["changed"] is not None:
        expected = Answer(changed=bool(row["changed"]), content=str(row["content"]))
    assert parse_answer(str(row["raw"])) == expected


def test_table_holds_both_verdicts_and_refusals() -> None:
    verdicts = [row["changed"] for row in TABLE]
    assert min(verdicts.count(True), verdicts.count(False), verdicts.count(None)) >= 7
    assert len({row["raw"] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        "Paris",
        "B",
        "U.S.",
        "'Allo 'Allo",
        "'Heroes'",
        "*x*",
        '"a"',
        "a: b",
        "São Paulo",
        "1.",
        "x'",
    ],
)
def test_what_is_written_is_read_back(content: str, changed: bool) -> None:
    answer = Answer(changed=changed, content=content)
    assert parse_answer(format_answer(answer)) == answer
    assert parse_answer(format_replayed(answer)) == answer


def test_plain_content_is_written_plainly() -> None:
    assert format_answer(Answer(changed=True, content="Paris")) == "changed: Paris"
    assert format_answer(Answer(changed=False, content="Paris")) == "unchanged: Paris"


def test_behind_a_replayed_text_the_output_comes_first_unless_it_could_be_misread() -> None:
    changed = Answer(changed=True, content="Paris")
    assert format_replayed(changed) == "Paris, so the output would change to <<<Paris>>>"
    kept = Answer(changed=False, content="U.S.")
    assert format_replayed(kept) == "U.S., so the output would remain unchanged from <<<U.S.>>>"
    negated = Answer(changed=True, content="not a country")
    assert format_replayed(negated) == "changed: not a country"


def test_a_very_long_line_has_no_answer_and_costs_no_time() -> None:
    assert parse_answer("changed: " + "x" * (MAX_LINE - 9)) is not None
    assert parse_answer("changed: " + "x" * (MAX_LINE - 8)) is None
    assert parse_answer("changed: " + "*" * 5_000_000) is None
