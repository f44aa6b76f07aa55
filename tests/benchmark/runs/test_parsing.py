"""The answer grammar, against the published table `data/parsing.jsonl`."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from introspect_bench.benchmark.records import Answer
from introspect_bench.benchmark.runs.reply_text import has_ended, until_ended
from introspect_bench.benchmark.scoring.correct import same_content
from introspect_bench.tasks.verdicts import (
    MAX_LINE,
    expressible,
    format_answer,
    format_replayed,
    parse_answer,
)

TABLE = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "parsing.jsonl")
    .read_text("utf-8")
    .splitlines()
]

WRAPPERS = (
    "{}",
    "\ufeff{}",
    "<think>changed: or\n\nunchanged: ?</think>\n{}",
    "```\n{}\n```",
    "~~~text\n{}\n~~~",
    "- {}",
    "> {}",
    "1. {}",
    "### {}",
    "\\boxed{{{}}}",
    "$$\\boxed{{\\text{{{}}}}}$$",
    "Final answer: {}",
    "**Answer:**\n\n{}",
    "**{}**",
    '"{}"',
    "\ufeff<think></think>\n> ```\n- Final answer: \\boxed{{{}}}\n```\n",
)
"""What may stand around an answer."""

marks = st.text(alphabet="aB1.'\"*_`<>{}\\$()-# :", max_size=6)
contents = st.one_of(
    st.text(max_size=20),
    st.builds("{}x{}".format, marks, marks),
    st.sampled_from(["", "A", "(A)", "A. Paris", "U.S.", "\\boxed{x}", "- a", "changed: x"]),
)
answers = st.builds(Answer, changed=st.booleans(), content=contents)
speakable = answers.filter(expressible)
wrappers = st.sampled_from(WRAPPERS)
plain_wrappers = st.sampled_from([wrapper for wrapper in WRAPPERS if "think" not in wrapper])


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


@settings(deadline=None)
@given(speakable | st.builds(Answer, changed=st.booleans(), content=st.just("")), wrappers)
def test_what_can_be_said_is_read_back_whatever_is_around_it(answer: Answer, wrapper: str) -> None:
    assert parse_answer(wrapper.format(format_answer(answer))) == answer


@settings(deadline=None)
@given(speakable, speakable, plain_wrappers, plain_wrappers)
def test_two_different_answers_are_none(
    one: Answer, other: Answer, around: str, about: str
) -> None:
    alike = same_content(one.content, other.content) or same_content(other.content, one.content)
    assume(one.changed != other.changed or not alike)
    said = f"{around.format(format_answer(one))}\n{about.format(format_answer(other))}"
    assert parse_answer(said) is None
    assert parse_answer(f"```\n{said}\n```") is None


@pytest.mark.parametrize("content", ["->", '"', "", "a: unchanged: b", "x\nchanged: y", " Paris"])
def test_what_no_reply_can_say_is_not_expressible(content: str) -> None:
    assert not expressible(Answer(changed=True, content=content))


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


def test_a_very_long_reply_costs_no_time() -> None:
    parts = ("- ", "> ", "\n", "```\n", "<think>", "\\boxed{", "**", "changed: A\nB", "answer:")
    for part in parts:
        assert parse_answer(part * 200_000 + "changed:x\nunchanged:x") is None


def test_a_very_long_line_has_no_answer_and_costs_no_time() -> None:
    assert parse_answer("changed: " + "x" * (MAX_LINE - 9)) is not None
    assert parse_answer("changed: " + "x" * (MAX_LINE - 8)) is None
    assert parse_answer("changed: " + "*" * 5_000_000) is None


PIECES = (
    "\n",
    "\n",
    " ",
    "a",
    "changed: A",
    "<think>",
    "</THINK>",
    "```",
    "- ",
    "Answer:",
    "\ufeff",
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_reply_is_cut_where_decoding_stops(text: str) -> None:
    prefixes = (text[: place + 1] for place, one in enumerate(text) if one == "\n")
    assert until_ended(text) == next(filter(has_ended, prefixes), text)


def test_the_time_to_cut_a_reply_grows_with_its_length() -> None:
    start = time.process_time()
    until_ended("\n" * 100_000)
    assert time.process_time() - start < 1
