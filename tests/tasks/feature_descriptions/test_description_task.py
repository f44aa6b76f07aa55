"""The task of descriptions: prompts that say nothing but the layer, and what is read in a reply."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from introspect_bench.benchmark.records import SLOT, Description, Query
from introspect_bench.tasks.feature_descriptions.task import (
    MAX_CHARACTERS,
    PROMPTS,
    format_description,
    make_task,
    parse_description,
)
from introspect_bench.tasks.templates import n_templates

READ = {
    "the word 'during'": "the word 'during'",
    "  commas \n": "commas",
    "first line\nsecond line": "first line second line",
    "one paragraph\n\nanother": "one paragraph",
    "one paragraph\r\n \r\nanother": "one paragraph",
    "\n\n late start\n": "late start",
    "a\tb\u00a0 c": "a b c",
    "bell\x07, zero\u200bwidth, \u202eturned": "bell, zerowidth, turned",
    "cafe\u0301": "caf\u00e9",
    "Description: x.": "Description: x.",
    "<think>nouns?\n\nverbs?</think>\n\nverbs": "verbs",
    "\ufeff<think></think>verbs": "verbs",
    "```\nverbs\n```": "verbs",
    "- verbs\n- and nouns": "verbs and nouns",
    "### 1. > verbs": "verbs",
    "Final answer:\n\nverbs": "verbs",
    "**Answer:** verbs": "verbs",
    "\\boxed{\\text{verbs}}": "verbs",
    "**verbs**": "**verbs**",
    ".": ".",
}


@pytest.mark.parametrize("raw", READ)
def test_the_first_paragraph_is_read_on_one_line(raw: str) -> None:
    assert parse_description(raw) == Description(text=READ[raw])


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "\n\n",
        "\x00\x07",
        "\u200b\n",
        "<think>the word is",
        "<think>verbs\n\nnouns",
        "verbs</think>nouns",
        "<think>a</think><think>b</think>verbs",
        "<think>verbs</think>",
        "```\n```",
    ],
)
def test_nothing_is_no_description(raw: str) -> None:
    assert parse_description(raw) is None


def test_a_long_description_is_cut_behind_a_word_and_says_so() -> None:
    found = parse_description("word " * 300)
    assert found is not None
    assert found.truncated
    assert found.text == " ".join(["word"] * 80)
    unbroken = parse_description("x" * 1000)
    assert unbroken == Description(text="x" * MAX_CHARACTERS, truncated=True)
    assert parse_description("x" * MAX_CHARACTERS) == Description(text="x" * MAX_CHARACTERS)


PIECES = ("<think>", "</think>", "```", "\n", " ", "- ", "1.", "#", ">", "\\boxed{", "}", "$")
WORDS = ("answer:", "Final ", "\ufeff", "\x00", "*", "x", "x" * 399)


@settings(deadline=None)
@given(st.text(max_size=600) | st.lists(st.sampled_from(PIECES + WORDS), max_size=12).map("".join))
def test_what_is_read_is_read_again_unchanged(raw: str) -> None:
    found = parse_description(raw)
    if found is not None:
        assert 0 < len(found.text) <= MAX_CHARACTERS
        assert parse_description(format_description(found)) == Description(text=found.text)


def query(number: int, layer: int = 17) -> Query:
    return Query(id=f"{number:016x}", group="0" * 16, kind="sae", fields={"layer": layer}, vector=0)


def test_prompts_hold_the_layer_the_slot_and_nothing_else_of_the_query() -> None:
    task = make_task()
    seen = {}
    for number in range(64):
        rendered = task.render(query(number))
        assert rendered.question.count(SLOT) == 1
        assert SLOT not in rendered.instructions
        assert re.findall(r"\d+", rendered.question) in (["17"], ["17", "0"])
        seen[rendered.template] = rendered
        other = task.render(query(number, layer=3))
        assert other.question == rendered.question.replace("17", "3")
    assert len(seen) == n_templates(PROMPTS) >= 4
    assert len({one.instructions for one in seen.values()}) == len(seen)


def test_the_task_ranks_by_what_the_token_does_not_say() -> None:
    task = make_task()
    assert task.headline == task.metrics[0] == "matched_auroc"
    assert "token" not in (task.headline_kinds or ())
    assert task.uses_vector
    assert len(task.prompt_sha256) == 64
