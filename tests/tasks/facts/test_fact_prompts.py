"""Prompts written from facts: the right spans, the right split, a fixed order."""

from __future__ import annotations

import pytest
from tiny_models import make_tokenizer

from introspect_bench.benchmark.backends.explainer.chat import offsets_of
from introspect_bench.tasks.facts.facts import (
    BY_RELATION,
    MAX_SUBJECT_CHARACTERS,
    PHRASES,
    Fact,
    Phrase,
    facts_of,
    interleave,
    names_something,
    normalise,
    one_shot,
    other_fact,
    rank,
    split_of,
    tokens_in,
)

SUBJECTS = ("Kenya", "東京", "Москва", "القاهرة", "São Tomé", "Saint-Étienne (Loire)")


def fact(relation: str, subject: str, *objects: str) -> Fact:
    return Fact(relation=relation, subject=subject, objects=objects or ("Thing",))


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.relation)
def test_every_phrase_has_its_parts_once(phrase: Phrase) -> None:
    assert phrase.cloze.count("{s}") == phrase.question.count("{s}") == 1
    assert phrase.cloze.split().count(phrase.key) == 1
    assert phrase.question.endswith("?")
    assert phrase.cloze == phrase.cloze.strip()
    assert BY_RELATION[phrase.relation] is phrase


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.relation)
@pytest.mark.parametrize("subject", [*SUBJECTS, "{key} of the {key}", "{s}"])
def test_spans_are_the_words_they_name(phrase: Phrase, subject: str) -> None:
    """Also for subjects that hold the relation's own word, before or after it."""
    subject = subject.replace("{key}", phrase.key)
    shown = fact(phrase.relation, f"Old {phrase.key}", f"New {phrase.key}", "other")
    prompt = one_shot(fact(phrase.relation, subject), shown)
    found = {name: prompt.text[a:b] for name, (a, b) in prompt.spans.items()}
    assert found == {"shown": f"New {phrase.key}", "subject": subject, "key": phrase.key}
    solved, rest = phrase.closed(shown.subject, shown.objects[0]), phrase.open(subject)
    assert prompt.text == f"{solved} {rest}"
    # in the open sentence, and of the template, not of the subject
    start = len(solved) + 1
    assert prompt.spans["shown"][1] == len(solved) - 1
    where, (low, high) = prompt.spans["subject"], prompt.spans["key"]
    assert start <= min(where[0], low)
    assert not (low < where[1] and high > where[0])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_tokens_of_a_span_spell_it(subject: str) -> None:
    tokenizer = make_tokenizer(bos=True)
    prompt = one_shot(fact("capital", subject), fact("capital", "Perú", "Lima"))
    spans = offsets_of(tokenizer, prompt.text, special=True)
    ids = tokenizer(prompt.text)["input_ids"]
    assert len(spans) == len(ids)
    for name, text in (("subject", subject), ("key", "capital"), ("shown", "Lima")):
        tokens = tokens_in(spans, prompt.spans[name])
        assert tokenizer.decode([ids[i] for i in tokens]) == text
    assert tokens_in(spans, (0, 1)) == [1]  # not the special token before it


def test_tokens_that_share_one_character_count() -> None:
    spans = [(0, 0), (0, 3), (3, 7), (7, 9)]
    assert tokens_in(spans, (2, 4)) == [1, 2]
    assert tokens_in(spans, (3, 7)) == [2]
    assert tokens_in(spans, (9, 12)) == []


def test_no_subject_is_in_two_splits() -> None:
    found = {
        split: {f.subject for own in facts_of(split, 0).values() for f in own}
        for split in ("train", "validation", "test")
    }
    names = {split: {normalise(s) for s in subjects} for split, subjects in found.items()}
    assert not names["train"] & names["validation"]
    assert not names["train"] & names["test"]
    assert not names["validation"] & names["test"]
    for split, subjects in found.items():
        assert subjects
        assert {split_of(subject) for subject in subjects} == {split}
        assert max(map(len, subjects)) <= MAX_SUBJECT_CHARACTERS


def test_a_seed_orders_facts() -> None:
    first, again, other = (facts_of("validation", seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert {r: set(own) for r, own in first.items()} == {r: set(own) for r, own in other.items()}


def test_relations_come_in_turn_and_subjects_once() -> None:
    lists = {
        "b": [fact("b", name) for name in ("x", "y", "z")],
        "a": [fact("a", name) for name in ("x", "w")],
    }
    order = [(f.relation, f.subject) for f in interleave(lists)]
    assert order == [("a", "x"), ("a", "w"), ("b", "y"), ("b", "z")]
    assert interleave({}) == []


def test_another_fact_is_of_another_subject() -> None:
    own = fact("a", "x")
    among = [own, fact("a", "y"), fact("a", "z")]
    picks = {other_fact(own, among, salt) for salt in "abcdefgh"}
    assert picks == set(among[1:])
    assert other_fact(own, among, "s") == other_fact(own, among, "s")
    assert other_fact(own, [own], "s") is None


def test_a_rank_is_the_same_everywhere() -> None:
    assert rank("a", "b") == 6463353407833682387
    assert rank("ab", "c") != rank("a", "bc")
    assert rank("a") != rank("b")


@pytest.mark.parametrize(
    ("text", "ended", "expected"),
    [
        ("Nairobi", True, True),
        ("New York City Hall", True, True),
        ("the United States", True, True),
        ("東京", True, True),
        ("1984", True, True),
        ("Nairobi", False, False),  # cut by the token limit
        ("", True, False),
        ("  ", True, False),
        ("one two three four five", True, False),
        ("a city", True, False),
        ("A city", True, False),
        ("not known", True, False),
        ("the", True, False),
        ("the city", True, False),
        ("The largest city", True, False),
        ("-", True, False),
        ("Nai\ufffd", True, False),
    ],
)
def test_what_names_something(text: str, ended: bool, expected: bool) -> None:
    assert names_something(text, ended) is expected
