"""Descriptions are taken apart as they were put together, and as a person would write them."""

from __future__ import annotations

import pytest

from introspect_bench.tasks.feature_descriptions.judge.conjunctions import (
    clause_table,
    denied,
    join,
    parts_of,
    slot,
    wordings_of,
)
from introspect_bench.tasks.feature_descriptions.judge.grammar import Context, read

PLACES = [form for forms in clause_table("place").values() for form in forms]
EXAMPLES = (
    ("word:to", "previous-list:question-word"),
    ("previous-word:been",),
    ("pos:past-verb", "lately-list:be"),
    ("word:of", "previous-pos:noun", "inside:parentheses"),
    ("word:the", "sentence-word:of", "place:sentence-late"),
    ("mark:comma", "second-previous-case:capitalised", "genre:names"),
    ("about:music", "earlier-word:band"),
    ("inside:quotation",),
    ("previous-mark:colon", "line:list-item"),
    ("word:that", "topic-about:science"),
)


@pytest.mark.parametrize("parts", EXAMPLES)
def test_every_wording_is_taken_apart_as_it_was_made(parts: tuple[str, ...]) -> None:
    name = join(parts)
    expected = [slot(part) for part in parts_of(name) if slot(part) != "thing"]
    has_thing = any(slot(part) == "thing" for part in parts)
    for text in wordings_of(name):
        reading = read(text, PLACES)
        stated = [one.slot for one in reading.contexts if one.slot is not None]
        assert stated == [each for each in expected if each not in _PLACE_SLOTS], text
        n_places = sum(one.slot is None for one in reading.contexts)
        assert n_places == sum(each in _PLACE_SLOTS for each in expected), text
        assert not reading.denied
        if has_thing:
            assert reading.thing, text
    opposite = read(denied(name), PLACES)
    assert opposite.denied
    assert len(opposite.contexts) == len(expected)


_PLACE_SLOTS = {"piece", "place", "inside", "line", "repeat", "name", "genre"}


@pytest.mark.parametrize(
    ("text", "thing", "contexts"),
    [
        (
            "The word 'to' after a question word.",
            "The word 'to'",
            [("previous", "a question word")],
        ),
        ("This feature fires on commas preceded by a name", "commas", [("previous", "a name")]),
        ("words in a passage about war", "words", [("topic", "war")]),
        ("nouns", "nouns", []),
    ],
)
def test_plain_english_is_read(text: str, thing: str, contexts: list[tuple[str, str]]) -> None:
    reading = read(text, PLACES)
    assert reading.thing == thing
    assert reading.contexts == tuple(Context(slot=s, phrase=p) for s, p in contexts)
