"""Texts of the ablation kinds: removing the span gives exactly the text without it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from introspect_bench.tasks.facts.facts import BY_RELATION, Fact
from introspect_bench.tasks.input_ablations.build import hints as wording
from introspect_bench.tasks.input_ablations.build.hints import Ablation

CITIES = ("Lima", "Oslo", "Rome", "東京", "Москва", "Bern")
SALT = "s"


def fact(subject: str, *objects: str, relation: str = "capital") -> Fact:
    return Fact(relation=relation, subject=subject, objects=objects or ("Nairobi",))


KENYA = fact("Kenya", "Nairobi", "Nairobi City")
PERU = fact("Perú", "Lima")
OUD = fact("Bo", "oud", relation="instrument")


def check(group: Sequence[Ablation], kind: str, *, chat: bool) -> None:
    """What holds for every group."""
    for a in group:
        assert (a.kind, a.chat, a.relation) == (kind, chat, "capital")
        start, end = a.span
        assert 0 <= start < end <= len(a.text)
        assert a.removed.strip()
        assert a.removed == a.text[start:end]
        assert a.without == a.text[:start] + a.text[end:]
    assert len({(a.text, a.span) for a in group}) == len(group)


def options() -> tuple[str, ...]:
    found = wording.options_for(KENYA, CITIES, SALT)
    assert found is not None
    return found


def test_four_options_hold_the_truth_and_no_other_right_answer() -> None:
    found = options()
    assert len(set(found)) == 4
    assert "Nairobi" in found
    assert set(found) <= {"Nairobi", *CITIES}
    # accepted answers are no distractors, whatever their case
    again = wording.options_for(KENYA, (*CITIES, "NAIROBI", "nairobi city"), SALT)
    assert again is not None
    assert set(again) <= {"Nairobi", *CITIES}


def test_the_true_option_stands_anywhere() -> None:
    places = {
        found.index("Nairobi")
        for i in range(40)
        if (found := wording.options_for(KENYA, CITIES, str(i)))
    }
    assert places == {0, 1, 2, 3}


def test_too_few_distractors() -> None:
    assert wording.options_for(KENYA, ("Lima", "Oslo", "Nairobi City"), SALT) is None


def test_hints_differ_in_the_hint_alone() -> None:
    group = wording.hint_group(KENYA, PERU, options(), SALT)
    check(group, "hint", chat=False)
    without = "Q: What is the capital of Perú?\nA: Lima\nQ: What is the capital of Kenya?\nA:"
    assert {a.without for a in group} == {without}
    for option, a in zip(options(), group, strict=True):
        assert a.named == option
        forms = [h.format(option=option) for h in wording.HINTS]
        assert a.role == f"hint-{forms.index(a.removed[:-1]) + 1}"
        assert a.text == without.removesuffix("A:") + a.removed + "A:"


def test_all_hints_occur() -> None:
    groups = [wording.hint_group(fact(f"Land {i}"), PERU, options(), SALT) for i in range(60)]
    roles = {a.role for group in groups for a in group}
    assert roles == {f"hint-{i}" for i in range(1, len(wording.HINTS) + 1)}


@pytest.mark.parametrize("listed", [False, True])
def test_four_parts_can_each_be_removed(listed: bool) -> None:
    found = wording.four_parts(KENYA, PERU, options(), SALT, listed=listed)
    parts = [found.text[start:end] for start, end in found.spans]
    assert set(found.named) == set(options())
    assert len(found.texts) == len(set(found.texts)) == 5
    assert found.texts[0] == found.text
    for i, part in enumerate(parts):
        assert found.text.count(part) == 1
        assert found.without(i) == found.text.replace(part, "")
        said = "- {option}" if listed else wording.SOURCES[found.roles[i]]
        assert part == said.format(option=found.named[i]) + "\n"
    demonstration = "Q: What is the capital of Perú?\nA: Lima\n"
    question = "Q: What is the capital of Kenya?\n"
    head = demonstration + (f"{question}Options:\n" if listed else "")
    assert found.text == head + "".join(parts) + ("" if listed else question) + "A:"


def test_parts_stand_in_every_order() -> None:
    found = [
        wording.four_parts(KENYA, PERU, options(), f"{SALT}:{i}", listed=False) for i in range(60)
    ]
    for role in wording.SOURCES:
        assert {one.roles.index(role) for one in found} == {0, 1, 2, 3}
    for option in options():
        assert {one.named.index(option) for one in found} == {0, 1, 2, 3}
    assert {one.roles.index("key") - one.named.index("Nairobi") for one in found} >= {-3, 0, 3}


def test_a_group_is_the_same_every_time() -> None:
    first, again = (wording.hint_group(KENYA, PERU, options(), SALT) for _ in range(2))
    assert first == again


def test_each_option_is_removed_once() -> None:
    group = wording.option_group(KENYA, options(), SALT)
    check(group, "option", chat=True)
    (text,) = {a.text for a in group}
    marked = [
        "".join(
            f"\n{style.format(letter=x)}{name}" for x, name in zip("ABCD", options(), strict=True)
        )
        for style in wording.STYLES
    ]
    assert text.removeprefix("What is the capital of Kenya?") in marked
    for option, a in zip(options(), group, strict=True):
        assert option in a.removed
        assert a.without.count("\n") == 3
        assert option not in a.without


@pytest.mark.parametrize("question_form", [False, True])
def test_sentences_before_a_question(question_form: bool) -> None:
    before = wording.sentences(KENYA, CITIES, [PERU, OUD], SALT)
    group = wording.context_group(KENYA, PERU, before, question_form=question_form)
    check(group, "context", chat=False)
    assert len(group) == 5
    assert len({a.without for a in group}) == 1
    form = (
        "Q: What is the capital of Perú?\nA: Lima\nQ: What is the capital of Kenya?\nA:"
        if question_form
        else "The capital of Perú is Lima. The capital of Kenya is"
    )
    assert group[0].without == form
    assert [(a.role, a.named, a.removed[:-1]) for a in group] == before
    # no text ends in a blank: the answer's first token has its own
    assert all(a.text == a.text.rstrip() for a in group)


def test_sentences_are_true_false_doubtful_and_about_others() -> None:
    found = wording.sentences(KENYA, CITIES, [PERU, OUD], SALT)
    true, false, doubt, *others = [sentence for _, _, sentence in found]
    roles = [role for role, _, _ in found]
    assert roles[:2] + roles[3:] == ["true", "false", "other", "irrelevant"]
    number = roles[2].removeprefix("doubt-")
    assert doubt.startswith(wording.DOUBTS[int(number) - 1])
    assert all(named in sentence for _, named, sentence in found)
    assert true == "The capital of Kenya is Nairobi."
    assert false.removeprefix("The capital of Kenya is ").rstrip(".") in CITIES
    assert doubt.startswith(wording.DOUBTS)
    start = next(d for d in wording.DOUBTS if doubt.startswith(d))
    rest = doubt.removeprefix(start)
    assert rest.startswith("the capital of Kenya is ")
    wrong = {false.split(" is ")[1], rest.split(" is ")[1]}
    assert len(wrong) == 2
    assert others == ["The capital of Perú is Lima.", "Bo plays the oud."]


def test_a_name_keeps_its_capital_after_a_doubt() -> None:
    bo = fact("Theo", "oud", relation="instrument")
    doubt = wording.sentences(bo, ("lute", "drum"), [], SALT)[2][2]
    assert "Theo plays the " in doubt


def test_without_wrong_answers_there_are_fewer_sentences() -> None:
    found = wording.sentences(KENYA, ("Nairobi", "Lima"), [PERU], SALT)
    assert [sentence for _, _, sentence in found] == [
        "The capital of Kenya is Nairobi.",
        "The capital of Perú is Lima.",
    ]


def test_demonstrations() -> None:
    shown = [PERU, fact("Norge", "Oslo"), fact("日本", "東京"), fact("Italia", "Rome")]
    group = wording.demonstration_group(KENYA, shown)
    check(group, "demonstration", chat=False)
    assert {a.without for a in group} == {"The capital of Kenya is"}
    assert group[2].text == "The capital of 日本 is 東京. The capital of Kenya is"


def test_each_word_but_the_last_is_removed_once() -> None:
    land = fact("Côte d'Ivoire")
    group = wording.word_group(land, PERU)
    check(group, "word", chat=False)
    head, text = "The capital of Perú is Lima. ", "The capital of Côte d'Ivoire is"
    assert {a.text for a in group} == {head + text}
    assert [a.removed for a in group] == ["The ", "capital ", "of ", "Côte ", "d'Ivoire "]
    assert group[1].without == f"{head}The of Côte d'Ivoire is"
    assert all("  " not in a.without for a in group)


@pytest.mark.parametrize("relation", BY_RELATION)
def test_every_relation_has_words_to_remove(relation: str) -> None:
    own, other = fact("K", "x", relation=relation), fact("L", "y", relation=relation)
    group = wording.word_group(own, other)
    assert len(group) >= 2
    assert all(a.without != a.text and a.removed.endswith(" ") for a in group)
